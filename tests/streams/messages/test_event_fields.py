"""The kernel reads the same fields of events as msgspec, or leaves them to it; and it reads what is usual."""

from __future__ import annotations

import ctypes
import json
import mmap
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.messages.checks import MAX_VALUE_BYTES
from streams.messages.event_fields import EventFields, _by_kernel, _by_objects, fields_of
from streams.messages.event_parsing import parse_events
from streams.messages.record_batches import Parts, parts_of
from tests.fuzz.damage import damaged, damaged_json

USUAL: dict[str, Any] = {"customer_id": "ann", "item_id": "tea", "timestamp": 1_700_000_000_000}
ALL: dict[str, Any] = {
    **USUAL, "quantity": 3, "type": "purchase", "event_id": "e-1", "basket_id": "b", "price": 1.25,
    "profile_id": "kids", "source": "till 7", "sequence": 2**53 - 1,
}  # fmt: skip
NULLABLE = ("type", "event_id", "basket_id", "price", "profile_id", "source", "sequence")


def _key(event: dict[str, Any]) -> bytes:
    return str(event["customer_id"]).encode()


def _both(keys: list[bytes], values: list[bytes]) -> tuple[EventFields | None, EventFields | None]:
    return _by_kernel(keys, values), _by_objects(keys, values)


def _same(ours: EventFields | None, theirs: EventFields | None) -> None:
    assert ours is not None
    assert theirs is not None
    for name in ("customers", "items", "types", "event_ids", "profile_ids", "sources"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (None if one is None else list(one)) == (None if other is None else list(other)), name
    for name in ("times_ms", "quantities", "sequences"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, name)


def _written(event: dict[str, Any], how: int) -> bytes:
    """Return an event as JSON, in one of the ways in which libraries write it."""
    if how == 0:
        return json.dumps(event, separators=(",", ":")).encode()
    if how == 1:
        return json.dumps(event).encode()
    if how == 2:
        return json.dumps(event, indent=1).replace("\n", "\r\n").encode()
    return b"\t" + json.dumps(dict(reversed(event.items()))).encode() + b" \n"


START = b'{"customer_id":"ann","item_id":"tea","timestamp":'
UNUSUAL_ITEMS = (b"", b"t\\u0065a", "thé".encode(), b"t\x07a", b"t\x7fa", b"x" * 257)
UNUSUAL = (
    b"", b"{}", b"{", b"[]", START, START[:-2], START + b"1", START + b"1}}", START + b"1,}", START + b"01}",
    START + b"-1}", START + b"1.0}", START + b"1e3}", START + b"null}", START + b'"2025-06-15T12:00:00Z"}',
    START + b'1,"timestamp":2}', START + b'1,"of its own":1}', START + b'1,"quantity":0}',
    START + b'1,"quantity":1000001}', START + b'1,"price":1.}', START + b'1,"price":00}',
    START + b'1,"source":"a"}', START + b'1,"sequence":1}', START + b'1,"event_id":""}',
    START + b'1,"basket_id":"' + b"x" * MAX_VALUE_BYTES + b'"}', START.replace(b"ann", b"bob") + b"1}",
    *(START.replace(b"tea", item) + b"1}" for item in UNUSUAL_ITEMS),
)  # fmt: skip
EXAMPLES = [_written(event, how) for event in (USUAL, ALL) for how in range(4)]
IDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=40
)
EVENTS = st.fixed_dictionaries(
    {"customer_id": IDS, "item_id": IDS, "timestamp": st.integers(0, 10**18 - 1)},
    optional={
        "quantity": st.integers(1, 1_000_000),
        "type": st.one_of(st.none(), st.sampled_from(["purchase", "return", "forget"])),
        "event_id": st.one_of(st.none(), IDS),
        "profile_id": st.one_of(st.none(), IDS),
        "basket_id": st.one_of(st.none(), IDS, st.just("")),
        "price": st.one_of(
            st.none(), st.integers(-(10**18) + 1, 10**18 - 1), st.sampled_from([0.0, -0.5, 12.75])
        ),
    },
)
SOURCES = st.one_of(st.none(), st.lists(IDS, min_size=1, max_size=2))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.integers(0, 3)), min_size=1, max_size=20), SOURCES)
def test_what_is_usual_is_read_as_msgspec_reads_it(
    written: list[tuple[dict[str, Any], int]], sources: list[str] | None
) -> None:
    for n, (event, _) in enumerate(written):
        if sources is not None:
            event |= {"source": sources[n % len(sources)], "sequence": n}
    values = [_written(event, how) for event, how in written]
    _same(*_both([_key(event) for event, _ in written], values))


@settings(max_examples=1_500, derandomize=True, deadline=None)
@given(st.one_of(damaged(EXAMPLES), damaged_json(EXAMPLES)))
def test_what_the_kernel_reads_of_damaged_events_msgspec_reads_as_well(value: bytes) -> None:
    usual = _written(USUAL, 0)
    ours, theirs = _both([b"ann"] * 3, [usual, value, usual])
    if ours is not None:
        _same(ours, theirs)


@pytest.mark.parametrize("name", ALL)
def test_a_field_that_is_left_out_or_null(name: str) -> None:
    names = {name, {"source": "sequence", "sequence": "source"}.get(name, name)}
    for event in (
        {field: value for field, value in ALL.items() if field not in names},
        {**ALL, **dict.fromkeys(names)},
    ):
        ours, theirs = _both([b"ann"], [_written(event, 0)])
        if name in NULLABLE or (name == "quantity" and name not in event):
            _same(ours, theirs)
        else:
            assert ours is None


@pytest.mark.parametrize("n", range(len(UNUSUAL)))
def test_what_is_unusual_is_left_to_msgspec(n: int) -> None:
    usual, value = _written(USUAL, 0), UNUSUAL[n]
    assert _by_kernel([b"ann"] * 2, [usual, value]) is None
    assert _by_kernel([b"ann"] * 2, [value, usual]) is None
    assert _by_kernel([b"ann"], [usual]) is not None


@pytest.mark.parametrize("other", [b"an", b"anna", b"ann\0", b"Ann", b""])
def test_the_key_must_be_the_customer(other: bytes) -> None:
    values = [_written(USUAL, 0)] * 2
    assert fields_of([b"ann", other], values) is None
    assert fields_of([b"ann", None], values) is None
    assert fields_of([b"ann"] * 2, values) is not None


def test_long_ids_are_compared_whole() -> None:
    for n in (7, 8, 9, 16, 255, 256):
        name = "x" * n
        value = _written({**USUAL, "customer_id": name}, 0)
        assert _by_kernel([name.encode()], [value]) is not None
        assert _by_kernel([name[:-1].encode() + b"y"], [value]) is None
        assert _by_kernel([b"y" + name[1:].encode()], [value]) is None


def test_nothing_is_read_far_behind_what_is_given() -> None:
    """Only the seven bytes that follow each part (`Parts`): the page behind them cannot be read."""
    for value in (*EXAMPLES, *(text for text in UNUSUAL if len(text) < mmap.PAGESIZE - 8)):
        before_the_wall(value)


def before_the_wall(value: bytes) -> None:
    """Read an event of which the last byte that may be read is the last one of a page."""
    region = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    raw = np.frombuffer(region, np.uint8)
    behind = raw.ctypes.data + mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(behind), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    end = mmap.PAGESIZE - 7
    raw[end - len(value) : end] = np.frombuffer(value, np.uint8)
    parts = Parts(raw[: mmap.PAGESIZE], np.array([end - len(value)]), np.array([end]))
    parse_events(parts_of([b"ann"]), parts)
