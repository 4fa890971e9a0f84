"""The kernel writes what a reader of related-items reads."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.items.row_layout import MASS
from state.memory.item_ids import ItemIds, item_hashes
from state.settings import CountingSettings
from streams.messages.json_text import OVERRUN, put_array, put_real, put_text, put_whole, text_of
from streams.messages.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.messages.schema import RelatedItems, decode_related

KIND = np.frombuffer(b'"bought"', np.uint8).copy()
NAMES = ['say "hi"', "back\\slash", "Grüße", "日本", "😀", "a/b", "\u2028", "x" * 256, "é" * 128, "7", "\x7f"]


def _machine(names: list[str]) -> ItemMachine:
    settings_ = CountingSettings(list_length=20)
    customers, items = CustomerMachine(settings_), ItemMachine(settings_)
    rng = np.random.default_rng(4)
    events = [
        Event(
            f"c{rng.integers(60)}",
            names[int(rng.integers(len(names)) * rng.random())],
            1_700_000_000_000 + n * 10**7,
        )
        for n in range(800)
    ]
    for message in customers.apply(customers.batch(events)).deltas[0]:
        items.apply(message)
    return items


def _written(machine: ItemMachine) -> list[bytes]:
    lists = machine.rank(np.arange(machine.row_count), exact=True)
    ids = JsonIds(machine.items)
    ids.update()
    which = np.flatnonzero(lists.length)
    entry = ENTRY_BYTES + ids.longest
    out = np.zeros(int((HEAD_BYTES + ids.longest + lists.length[which] * entry).sum()), np.uint8)
    ends = np.empty(len(which), np.int64)
    tables = machine.tables
    write_lists(
        out, ends, which, lists, tables.item_of, tables.rows.heads, MASS,
        machine.watermark_ms, machine.position, KIND, ids.blob, ids.starts, ids.ends,
    )  # fmt: skip
    raw = out.tobytes()
    return [raw[a:b] for a, b in zip([0, *ends.tolist()], ends.tolist(), strict=False)]


def test_a_reader_gets_the_arrays_back() -> None:
    machine = _machine([f"{name}{n}"[-256:] if n else name for name in NAMES for n in range(3)])
    messages = [decode_related(raw) for raw in _written(machine)]
    assert len(messages) > 20
    for message in messages:
        related = machine.related(message.item_id)
        number = machine.items.get(message.item_id)
        assert number is not None
        assert message.kind == "bought"
        assert message.as_of == machine.watermark_ms
        assert message.version == machine.position
        assert message.buyers == machine.tables.popularity.buyers[number]
        assert message.mass == machine.tables.rows.heads[machine.tables.row_of[number], MASS]
        assert [e.item_id for e in message.related] == [e.item_id for e in related]
        for found, expected in zip(message.related, related, strict=True):
            assert (found.together, found.after) == (expected.together, expected.after)
            for name in ("score", "recent", "expected"):
                assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=5.1e-5)


def test_fields_come_in_the_order_of_the_type() -> None:
    raw = json.loads(_written(_machine(NAMES))[0])
    assert list(raw) == [field.name for field in msgspec.structs.fields(RelatedItems)]
    assert json.loads(json.dumps(raw)) == msgspec.to_builtins(decode_related(json.dumps(raw).encode()))


def test_ids_are_taken_in_as_the_dictionary_grows() -> None:
    """This holds also if a number comes before its id."""
    items = ItemIds()
    ids = JsonIds(items)
    ids.update()
    names = [*NAMES, *(f"item {n} " + "x" * 100 for n in range(3000))]
    items.numbers(item_hashes(names))
    for start in range(0, len(names), 700):
        for name in reversed(names[start : start + 700]):
            items.number(name)
        ids.update()
        ids.update()
    starts = ids.starts[: len(names)].tolist()
    raw = ids.blob.tobytes()
    assert [json.loads(raw[a:b]) for a, b in zip(starts, ids.ends.tolist(), strict=False)] == names
    assert ids.longest == max(len(msgspec.json.encode(name)) for name in names)


@pytest.mark.parametrize("names", [NAMES, ["7", "Grüße", "a/b", "日本"]])
def test_ids_are_keys_as_they_are(names: list[str]) -> None:
    items = ItemIds()
    ids = JsonIds(items)
    for name in names:
        items.number(name)
    ids.update()
    order = np.arange(len(names))[::-1].copy()
    keys = ids.plain(order)
    raw = keys.raw.tobytes()
    found = [raw[a:b].decode() for a, b in zip(keys.starts.tolist(), keys.ends.tolist(), strict=True)]
    assert found == names[::-1]


def _real(value: float) -> float:
    out = np.zeros(64, np.uint8)
    end = put_real(out.ctypes.data, value) - out.ctypes.data
    assert not out[end + OVERRUN :].any()
    assert end <= 20
    text = out.tobytes()[:end].decode()
    assert msgspec.json.decode(text, type=float) == json.loads(text)
    assert len(text.split("e")[0].strip("-0.").replace(".", "").rstrip("0")) <= 5, text
    return float(text)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
@example(0.0)
@example(-0.0)
@example(1e-12)
@example(9.99999)
@example(9.999949999)
@example(0.99999999)
@example(99999.5)
@example(999995.0)
@example(1e15)
@example(1e14)
@example(123456789012345.0)
@example(1e300)
@example(2.2250738585072014e-308)
@example(5e-324)
def test_numbers_keep_five_digits(value: float) -> None:
    assert math.isclose(_real(value), value, rel_tol=5.1e-5, abs_tol=1e-300)


def test_values_that_are_no_numbers_are_zero() -> None:
    assert [_real(value) for value in (math.nan, math.inf, -math.inf)] == [0, 0, 0]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_integers_are_exact(value: int) -> None:
    out = np.zeros(64, np.uint8)
    end = put_whole(out.ctypes.data, value) - out.ctypes.data
    assert not out[end + OVERRUN :].any()
    assert int(out.tobytes()[:end]) == value


TEXTS = ["", "}", '{"a":', '{"item_id":', ',"recent_mass":', ',"available":false}', "x" * 24]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("as_array", [False, True])
def test_texts_are_written_whole(text: str, as_array: bool) -> None:
    out = np.zeros(64, np.uint8)
    at = out.ctypes.data
    if as_array:
        end = put_array(at, np.frombuffer(text.encode(), np.uint8).copy()) - at
    else:
        end = put_text(at, text_of(text)) - at
    assert out.tobytes()[:end].decode() == text
    assert not out[end + OVERRUN :].any()


def test_a_text_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="25 bytes, at most 24 fit"):
        text_of("x" * 25)
