"""Decoding by columns gives the same batch, dictionaries and refusals as the slow way, for any input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.customers.events import event_hash, event_hashes
from state.customers.machine import CustomerMachine
from streams.kinds import BOUGHT, BUILT_IN
from streams.messages import decoding
from streams.messages.checks import AHEAD_MS, EARLIEST_MS, MAX_VALUE_BYTES, EventTypes, Unusable, check_id
from streams.messages.decoding import Decoded, decode_events
from streams.messages.event_columns import decode_columns
from streams.messages.event_fields import is_id
from tests.streams.offline import NOW_MS, Sent

TYPES = EventTypes(BOUGHT, BUILT_IN)
COLUMNS = ("offsets", "actions", "customers", "items", "quantities", "times_ms", "hashes", "profiles")
NEVER = 10**9  # the number of records in a chunk

GOOD_IDS = st.one_of(
    st.sampled_from(
        ["ann", "bob", "7", "Grüße", "日本", "😀", " a b ", "x" * 64, "x" * 256, "é" * 128, "\u2028"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9),
)
BAD_IDS = st.sampled_from(["", "a\x07", "\x9f", "a\tb", "x" * 257, "é" * 129, "\ud800", "x\udfff"])
MOMENTS = st.one_of(
    st.integers(EARLIEST_MS, NOW_MS + AHEAD_MS),
    st.sampled_from([EARLIEST_MS, NOW_MS, NOW_MS + AHEAD_MS]),
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))])
TEXTS = st.tuples(MOMENTS, ZONES, st.sampled_from(["milliseconds", "microseconds", "seconds"])).map(
    lambda one: datetime.fromtimestamp(one[0] / 1000, one[1]).isoformat(timespec=one[2])
)
BAD_TIMES = st.sampled_from([
    EARLIEST_MS - 1, NOW_MS + AHEAD_MS + 1, 0, -(2**62), 2**63, 10**400, None, 1.5, True, "", "yesterday",
    "2024-02-30T00:00:00Z", "2024-01-01T00:00:00", "1989-12-31T23:59:59Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
])  # fmt: skip
GOOD = st.fixed_dictionaries(
    {"customer_id": GOOD_IDS, "item_id": GOOD_IDS, "timestamp": st.one_of(MOMENTS, MOMENTS, TEXTS)},
    optional={
        "quantity": st.sampled_from([1, 2, 1_000_000]),
        "type": st.sampled_from(["purchase", "purchase", "return", None]),
        "event_id": st.one_of(GOOD_IDS, st.none()),
        "profile_id": st.one_of(st.sampled_from(["kids", "a"]), GOOD_IDS, st.none()),
        "basket_id": st.just("b"),
        "price": st.just(1.5),
        "of their own": st.just({"deep": [1]}),
    },
)
BAD_FIELDS = st.one_of(
    *(st.tuples(st.just(name), BAD_IDS) for name in ("customer_id", "item_id", "event_id", "profile_id")),
    st.tuples(st.just("timestamp"), BAD_TIMES),
    st.tuples(st.just("quantity"), st.sampled_from([0, -1, 1_000_001, "1", 1.5])),
    st.tuples(st.just("type"), st.sampled_from(["forget", "watch", "nonsense", "", 3])),
)
UNUSABLE = (
    None, b"", b"{", b"[]", b"\xff", b"x" * (MAX_VALUE_BYTES + 1), b'{"customer_id":"ann"}', b"[" * 3_000,
)  # fmt: skip
BAD_VALUES = st.integers(0, len(UNUSABLE) - 1).map(lambda n: UNUSABLE[n])  # some are too large to be shown
BAD_KEYS = st.sampled_from([None, b"", b"somebody else"])


def _key(event: dict[str, Any]) -> bytes:
    return str(event["customer_id"]).encode("utf-8", "surrogatepass")


def _good(event: dict[str, Any]) -> tuple[bytes | None, bytes | None]:
    return _key(event), json.dumps(event).encode()


def _bad(event: dict[str, Any], how: Any) -> tuple[bytes | None, bytes | None]:
    name, value = how
    if name == "key":
        return value, json.dumps(event).encode()
    if name == "value":
        return _key(event), value
    return _good(event | {name: value})


GOOD_RECORDS = GOOD.map(_good)
BAD_RECORDS = st.builds(
    _bad,
    GOOD,
    st.one_of(BAD_FIELDS, BAD_VALUES.map(lambda v: ("value", v)), BAD_KEYS.map(lambda v: ("key", v))),
)
ANY = st.integers(0, 11).flatmap(lambda n: BAD_RECORDS if n == 0 else GOOD_RECORDS)
CHUNKS = st.lists(
    st.one_of(st.lists(GOOD_RECORDS, min_size=1, max_size=12), st.lists(ANY, min_size=1, max_size=12)),
    min_size=1, max_size=4,
)  # fmt: skip


def _chunks(raw: Sequence[Sequence[tuple[bytes | None, bytes | None]]]) -> list[list[Sent]]:
    """Return chunks of records; some offsets have no record."""
    made: list[list[Sent]] = []
    offset = 0
    for some in raw:
        made.append([])
        for key, value in some:
            offset += 1 + (offset % 5 == 3)
            made[-1].append(Sent(offset, key, value))
    return made


def _decode(chunks: list[list[Sent]], machine: CustomerMachine, columns_from: int) -> list[Decoded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BY_COLUMNS", columns_from)
        return [decode_events(records, records[-1].offset + 2, machine, TYPES, NOW_MS) for records in chunks]


def _same(fast: CustomerMachine, slow: CustomerMachine) -> None:
    assert list(fast.customers.numbers.items()) == list(slow.customers.numbers.items())
    assert list(fast.items.numbers.items()) == list(slow.items.numbers.items())
    for slot in slow.customers.numbers.values():
        assert fast.profiles.of(slot) == slow.profiles.of(slot)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(CHUNKS)
def test_both_ways_give_the_same(raw: list[list[tuple[bytes | None, bytes | None]]]) -> None:
    chunks = _chunks(raw)
    fast, slow = CustomerMachine(), CustomerMachine()
    for ours, theirs in zip(_decode(chunks, fast, 1), _decode(chunks, slow, NEVER), strict=True):
        for name in COLUMNS:
            one, other = getattr(ours.batch, name), getattr(theirs.batch, name)
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, name)
        assert ours.batch.end == theirs.batch.end
        assert ours.records == theirs.records
        assert ours.refused == theirs.refused
        assert ours.published_ms == theirs.published_ms
    _same(fast, slow)


def _columns(records: list[Sent], machine: CustomerMachine) -> Any:
    return decode_columns(records, records[-1].offset + 1, machine, TYPES, NOW_MS)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(GOOD_RECORDS, min_size=1, max_size=20))
def test_good_events_go_by_columns(raw: list[tuple[bytes | None, bytes | None]]) -> None:
    (records,) = _chunks([raw])
    assert _columns(records, CustomerMachine()) is not None


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.lists(GOOD_RECORDS, max_size=6), BAD_RECORDS, st.lists(GOOD_RECORDS, max_size=6))
def test_one_that_is_not_good_makes_all_go_the_slow_way_and_leaves_nothing(
    before: list[Any], bad: Any, after: list[Any]
) -> None:
    (records,) = _chunks([[*before, bad, *after]])
    machine = CustomerMachine()
    assert _columns(records, machine) is None
    assert not machine.customers.numbers
    assert not machine.items.numbers


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.one_of(GOOD_IDS, BAD_IDS, st.text(max_size=4)))
def test_ids_are_valid_where_they_are_not_refused(value: str) -> None:
    try:
        check_id("item_id", value)
    except Unusable:
        assert not is_id(value)
    else:
        assert is_id(value)


def test_hashes_are_those_of_one_after_the_other() -> None:
    ids = ["e1", None, "", "x" * 300, *(f"event {n}" for n in range(2_000))]
    hashes = np.zeros(len(ids), np.uint64)
    hashes[:] = event_hashes(ids)
    assert hashes.tolist() == [event_hash(one) for one in ids]
    assert max(hashes.tolist()) >= 2**63


def test_many_records_go_by_columns_and_few_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def columns(records: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        asked.append(len(records))
        return decode_columns(records, *args, **kwargs)

    monkeypatch.setattr(decoding, "decode_columns", columns)
    for n in (1, decoding.BY_COLUMNS - 1, decoding.BY_COLUMNS, 1_000):
        event = {"customer_id": "ann", "item_id": "tea", "timestamp": NOW_MS}
        (records,) = _chunks([[_good(event)] * n])
        decoded = decode_events(records, records[-1].offset + 1, CustomerMachine(), TYPES, NOW_MS)
        assert len(decoded.batch) == len(decoded.records) == n
    assert asked == [decoding.BY_COLUMNS, 1_000]
