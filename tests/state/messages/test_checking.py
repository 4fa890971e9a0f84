"""Each number of a message of deltas that a kernel uses as an index, or as a bound, is checked before."""

from __future__ import annotations

import pytest

from state.customers.machine import CustomerMachine
from state.errors import NoMessage
from state.items.machine import ItemMachine
from state.messages.checking import check_deltas
from state.messages.deltas import DISTANCE_BITS, EFFECT_BITS, Deltas, columns_of, decode, encode
from state.settings import CountingSettings
from tests.state.machines import shop

SETTINGS = CountingSettings(window=4)
LARGE = (1 << 31) - 1


@pytest.fixture(scope="module")
def message() -> Deltas:
    machine = CustomerMachine(SETTINGS)
    (found,) = machine.apply(
        machine.batch(shop(5, 120, 6, 12, duplicates=0, returns=0.2, forgets=0.05))
    ).deltas[0]
    assert min(found.near, found.gone, found.histories, len(found.taken)) > 0
    return found


def test_what_a_machine_sends_fits(message: Deltas) -> None:
    check_deltas(decode(encode(message)), SETTINGS.window)


@pytest.mark.parametrize(
    ("column", "value", "wrong"),
    [
        ("offsets", LARGE, "events"), ("items", 0, "events"), ("items", (1 << EFFECT_BITS) + 1000, "items"),
        ("items", 3 << EFFECT_BITS, "events"), ("near_ends", LARGE, "neighbours"),
        ("minutes", LARGE, "times"), ("millis", 60_000, "times"),
        ("near", (1 << DISTANCE_BITS) + 1000, "items"),
        ("near", 5 << DISTANCE_BITS, "neighbours"), ("near", 0, "neighbours"),
        ("gone_ranks", LARGE, "histories"), ("gone_ends", LARGE, "histories"),
        ("taken_ends", LARGE, "purchases taken back"), ("gone_items", 1000, "items"),
        ("gone_minutes", LARGE, "times"),
    ],
)  # fmt: skip
def test_a_number_that_does_not_fit_is_refused_before_anything_changes(
    message: Deltas, column: str, value: int, wrong: str
) -> None:
    words = message.words.copy()
    of_words = columns_of(words, message.events, message.near, message.gone, message.histories)
    getattr(of_words, column)[0] = value
    damaged = decode(encode(message._replace(words=words)))
    items = ItemMachine(SETTINGS)
    with pytest.raises(NoMessage, match=wrong):
        items.apply(damaged)
    assert (items.position, len(items.items), items.row_count, items.sources) == (0, 0, 0, {})
    items.apply(message)
    assert items.row_count > 0


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"own": 1000}, "items"), ({"end": 0}, "events"), ({"previous": 1 << 50}, "offsets"),
        ({"new_ids": ["tea"] * 10}, "ids"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_is_refused(message: Deltas, changes: dict[str, object], wrong: str) -> None:
    assert len(message.new_ids) == 10
    with pytest.raises(NoMessage, match=wrong):
        check_deltas(message._replace(**changes), SETTINGS.window)  # type: ignore[arg-type]
