"""Tests of the purchases that come with the installation."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alsobought.sources import Position, complete_journey, open_items, open_purchases
from alsobought.sources.complete_journey import readable, title
from streams.messages.schema import CatalogueItem, EventMessage
from tests.events import REAL_EVENTS, real_slice


def test_all_purchases_are_there_once_and_in_order_of_time() -> None:
    source = open_purchases("complete-journey")
    customers, items, ids = set(), set(), set()
    count, latest = 0, 0
    for batch in source.messages():
        for event in batch:
            assert isinstance(event.timestamp, int)
            assert event.timestamp >= latest
            latest = event.timestamp
            customers.add(event.customer_id)
            items.add(event.item_id)
            ids.add(event.event_id)
        count += len(batch)
    assert (count, len(ids), len(customers), len(items)) == (REAL_EVENTS, REAL_EVENTS, 2_467, 68_151)
    assert source.position == Position(REAL_EVENTS, REAL_EVENTS, "rows")


def test_a_purchase() -> None:
    assert real_slice(1) == [
        EventMessage(
            customer_id="900",
            item_id="1095275",
            timestamp=1_483_271_606_000,  # 2017-01-01 11:53:26
            event_id="31198570044-1095275",
            basket_id="31198570044",
            price=0.5,
        )
    ]


def test_slices() -> None:
    assert real_slice(20)[:5] == real_slice(5)
    assert real_slice(5, seed=1) == real_slice(5, seed=1) != real_slice(5)


def test_catalogue() -> None:
    items = [item for batch in open_items("complete-journey").messages() for item in batch]
    assert len({item.item_id for item in items}) == len(items) == 68_148
    assert all(item.title and item.category and item.brand for item in items)
    assert items[0] == CatalogueItem(
        item_id="25671", title="Ice - crushed/cubed, 22 lb", category="Frozen ice", brand="National"
    )


@pytest.mark.parametrize(
    ("capitals", "line"),
    [
        ("ICE - CRUSHED/CUBED", "Ice - crushed/cubed"),
        ("BREAD:ITALIAN/FRENCH", "Bread: italian/french"),
        ("FRZN ICE", "Frozen ice"),
        ("SOFT  DRINKS ", "Soft drinks"),
        ("", ""),
    ],
)
def test_capitals_are_made_readable(capitals: str, line: str) -> None:
    assert readable(capitals) == line


def test_titles() -> None:
    assert title("ICE - CRUSHED/CUBED", "22 LB") == "Ice - crushed/cubed, 22 lb"
    assert title("SHREDDED CHEESE", "AB    8 OZ") == "Shredded cheese, ab 8 oz"
    assert title("SHREDDED CHEESE", None) == "Shredded cheese"


def test_pandas_stays_out() -> None:
    program = (
        f"import sys; from alsobought.sources import open_purchases\n"
        f"next(open_purchases({complete_journey.NAME!r}).records()); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
