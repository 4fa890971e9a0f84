"""Tests compare whole columns with the functions for one cell: where columns give a value, it is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from alsobought.sources.arrays import bits
from alsobought.sources.columns import array_of
from alsobought.sources.events import EventTable, messages_of
from alsobought.sources.table import RowBatch
from alsobought.sources.time_columns import times
from alsobought.sources.times import timestamp_value
from alsobought.sources.values import BadValue, Notes
from streams.kinds import BOUGHT
from streams.messages.schema import EventMessage

NOW_MS = 1_800_000_000_000

IDS: list[Any] = [
    ["ann", "7", "007", "", None, "a b", "é", "x" * 256, "x" * 257, "é" * 129, "\x00",
     "a\tb", "\x7f", "\x85"],
    ["17850.0", "17850.00", "-3.0", "0.0", "00.0", "1.5", "1e5", ".0", "1.0.0", "\u0661.0",
     "a\u200bb", "¢", "\u0100"],
    [1, 2**62, None, -5],
    [1.0, 2.5, None, float("nan"), float("inf"), 2.0**53, -7.0, 1e300],
    [Decimal("17850"), None],
    [Decimal("17850.50"), Decimal("3.00")],
    [b"ann", b"\xff", None],
    [b"ann", b"bob"],
    [True, False],
    ["ann", 7, 7.0, None, True, ["x"]],
    [["ann"], None],
    [{"a": 1}],
]  # fmt: skip
TIMES: list[Any] = [
    ["2026-01-31T12:00:00Z", "2026-02-29T12:00:00Z", "2024-02-29T12:00:00Z", "2026-13-01T00:00:00Z",
     "2026-01-31t12:00:00Z", "1989-12-31T23:59:59Z", "1990-01-01T00:00:00Z", "2026-01-31T24:00:00Z"],
    ["2026-01-31 12:00:00.123456Z", "2026-01-31 12:00:00.999999Z", "2026-01-31 12:00:00+01:00ZZ", "x" * 27],
    ["2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00-02:00", "2026-01-31T12:00:00.1234Z"],
    ["2026-01-31T12:00:00-11:30", "2026-01-31T12:00:00-25:00"],
    ["2026-01-31 12:00:00", "2026-01-31 12:00:60", "2026-01-31 1x:00:00"],
    ["2026-01-31 12:00:00 UTC", "2026-01-31 12:00:00.123", "2024-09-24 11:57:06 UTC"],
    ["2026-01-31 12:00:00.12", "2026-01-31 12:00:00.1", "2026-01-31 12:00:00.123456789"],
    ["2026-01-31", "2026-02-30", "1769860800", "20260131", "", None, "yesterday"],
    ["1769860800", "9999999999", "0000000001", "17698608o0"],
    ["1769860800000", "9769860800000", "0069860800000", "1769860800.25"],
    [1_769_860_800, 1_769_860_800_000, 0, -1, None, 2**62, 10**13, 99_999_999_999],
    [1_769_860_800.5, 1_769_860_800_000.0, float("nan"), float("inf"), None, 45_559.498],
    [datetime(2026, 1, 31, 12, 0, 0, 999_999), None, datetime(1970, 1, 1), datetime(2029, 1, 1)],
    [datetime(2026, 1, 31, 12, tzinfo=UTC)],
    [date(2026, 1, 31), None],
    [Decimal("1769860800"), Decimal("1769860800.5")],
    [b"2026-01-31T12:00:00Z"],
    [True],
]  # fmt: skip
QUANTITIES: list[Any] = [
    ["1", "2.0", "", None, "0", "-1", "1000000", "1000001", "x", "1.5", " 1", "0x1F", "1_0"],
    [1, 0, None, 10**6 + 1, 2**62],
    [1.0, 1.5, None, float("nan")],
    [Decimal("2"), None],
    [b"3", b""],
    [True],
    [[1]],
]
PRICES: list[Any] = [
    ["1", "2.50", "", None, "free", "12,50", "nan", "inf", "1e2", "-0.5"],
    ["1", "2.50", "", None, "1e-7"],
    [1, None],
    [1.5, None, float("nan")],
    [Decimal("2.55"), None],
    [b"3", b"x"],
    [True],
    [{}],
]
TYPES: list[Any] = [["purchase", "return", "", None, "watch", "Return"], [1], [b"return"], [True]]
TEXTS: list[Any] = [["b1", "", None, "\t", 'q"\\', "é", "x" * 10_001], [7, None], [7.0], [b"x"], [["x"]]]


def _refuse(refused: list[tuple[int, str]], number: int, reason: str) -> None:
    refused.append((number, reason))


def _arrow(cells: list[Any]) -> Any:
    """Return the cells as an Arrow array, or None if no type can hold them all."""
    try:
        return pa.array(cells)
    except pa.ArrowException:
        return None


def _both(columns: dict[str, Any], count: int) -> tuple[list[Any], list[Any]]:
    """Return the results of converting whole columns and of converting their rows one at a time."""

    def converted(rows: Sequence[RowBatch]) -> list[Any]:
        table = EventTable(BOUGHT, lambda: NOW_MS, Notes())
        found: list[Any] = []
        for some in rows:
            refused: list[tuple[int, str]] = []
            events = messages_of(table.batch(some, partial(_refuse, refused)))
            found += [("bad", *bad) for bad in refused] + [("good", event) for event in events]
        return sorted(found, key=repr)

    whole = RowBatch(range(1, count + 1), columns)
    ones = []
    for n in range(count):
        cells = {name: list(whole.cells(name, [n])) for name in columns}
        # A second row of another type, which is refused, prevents the conversion of whole columns.
        ones.append(RowBatch([n + 1, 0], {name: [*cell, object()] for name, cell in cells.items()}))
    singles = [one for one in converted(ones) if one[0] == "good" or one[1] != 0]
    return converted([whole]), singles


FIELDS = [
    *(("customer_id", cells) for cells in IDS), *(("item_id", cells) for cells in IDS),
    *(("event_id", cells) for cells in IDS), *(("profile_id", cells) for cells in IDS),
    *(("timestamp", cells) for cells in TIMES), *(("quantity", cells) for cells in QUANTITIES),
    *(("price", cells) for cells in PRICES), *(("event_type", cells) for cells in TYPES),
    *(("basket_id", cells) for cells in TEXTS),
]  # fmt: skip


GIVEN = [
    *FIELDS, *((field, array) for field, cells in FIELDS if (array := _arrow(cells)) is not None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "given"), GIVEN)
def test_columns_are_converted_as_their_cells(field: str, given: Any) -> None:
    count = len(given)
    columns: dict[str, Any] = {
        "customer_id": ["ann"] * count, "item_id": ["tea"] * count, "timestamp": ["2026-01-31"] * count,
    }  # fmt: skip
    columns[field] = given
    by_column, by_cell = _both(columns, count)
    assert by_column == by_cell


@drawn(st.lists(st.text(max_size=12), min_size=1), st.lists(st.text(max_size=12), min_size=1))
def test_any_ids(customers: list[str], items: list[str]) -> None:
    count = min(len(customers), len(items))
    columns: dict[str, Any] = {
        "customer_id": customers[:count], "item_id": items[:count], "timestamp": [1_769_860_800] * count,
    }  # fmt: skip
    by_column, by_cell = _both(columns, count)
    assert by_column == by_cell


@drawn(
    st.lists(
        st.datetimes(datetime(1985, 1, 1), datetime(2030, 1, 1)).map(datetime.isoformat), min_size=1
    ),
    st.sampled_from(["", "Z", " UTC", "+00:00", "-05:30", "+14:00"]),
)  # fmt: skip
def test_any_times(moments: list[str], zone: str) -> None:
    cells = [moment + zone for moment in moments]
    column = array_of(cells)
    assert column is not None
    found, unsure = times(column, NOW_MS)
    for cell, ms, skipped in zip(cells, found.to_pylist(), unsure.tolist(), strict=True):
        try:
            expected = timestamp_value(cell, NOW_MS)
        except BadValue:
            assert skipped
        else:
            assert skipped or ms == expected


def test_the_common_forms_of_times_are_all_done_as_columns() -> None:
    forms = [
        "2026-01-31T12:00:00Z", "2026-01-31 12:00:00", "2026-01-31 12:00:00.123", "2026-01-31T12:00:00.123Z",
        "2026-01-31T12:00:00.123456+02:00", "2026-01-31 12:00:00 UTC", "2026-01-31", "1769860800",
        "1769860800000",
    ]  # fmt: skip
    for form in forms:
        column = array_of([form] * 3)
        assert column is not None
        found, unsure = times(column, NOW_MS)
        assert not unsure.any()
        assert set(found.to_pylist()) == {timestamp_value(form, NOW_MS)}


def test_rows_keep_their_order_where_some_are_done_one_by_one() -> None:
    columns: dict[str, Any] = {
        "customer_id": [f"c{n}" for n in range(6)], "item_id": ["tea", "1.0", "", "milk", "2.0", "tea"],
        "timestamp": [1_769_860_800] * 6,
    }  # fmt: skip
    refused: list[int] = []
    notes = Notes()
    batch = EventTable(BOUGHT, lambda: NOW_MS, notes).batch(
        RowBatch(range(6), columns), lambda number, _why: refused.append(number)
    )
    assert [(e.customer_id, e.item_id) for e in messages_of(batch)] == [
        ("c0", "tea"), ("c1", "1"), ("c3", "milk"), ("c4", "2"), ("c5", "tea"),
    ]  # fmt: skip
    assert refused == [2]
    assert list(notes.counts.values()) == [2]


def test_masks_of_arrow_and_numpy() -> None:
    assert bits(pa.array([True, False, True]).slice(1)).tolist() == [False, True]
    assert (
        messages_of(EventTable(BOUGHT, lambda: NOW_MS, Notes()).batch(RowBatch([], {}), lambda *_: None))
        == []
    )
    assert EventMessage(customer_id="ann", timestamp=1).sequence is None
