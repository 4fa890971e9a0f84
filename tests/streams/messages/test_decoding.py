"""Bad input is refused with its reason, and the records beside it are decoded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from state.customers.machine import CustomerMachine
from streams.kinds import BOUGHT, BUILT_IN, EventKind
from streams.messages.checks import LOG_APPEND_TIME, MAX_VALUE_BYTES, EventTypes
from streams.messages.decoding import Decoded, decode_events, decode_items, time_ms
from streams.messages.reasons import OTHER, class_of

NOW = 1_750_000_000_000
DAY = 86_400_000


@dataclass
class Raw:
    value: bytes | None
    key: bytes | None = b"ann"
    offset: int = 0
    timestamp: int = NOW
    timestamp_type: int = LOG_APPEND_TIME


def _event(**changes: object) -> bytes:
    event = {"customer_id": "ann", "item_id": "tea", "timestamp": NOW, "event_id": "e1"} | changes
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def _decode(records: Sequence[Raw], end: int, machine: CustomerMachine, kind: EventKind = BOUGHT) -> Decoded:
    return decode_events(records, end, machine, EventTypes(kind, BUILT_IN), NOW)


BAD: dict[str, tuple[Raw, str]] = {
    "broken JSON": (Raw(b'{"customer_id": "ann"'), "not the JSON expected: Input data was truncated"),
    "no JSON": (Raw(b"hello"), "not the JSON expected"),
    "empty": (Raw(b""), "not the JSON expected"),
    "an array": (Raw(b"[]"), "Expected `object`, got `array`"),
    "a number": (Raw(b"1"), "Expected `object`, got `int`"),
    "trailing": (Raw(_event() + b"x"), "trailing characters"),
    "invalid UTF-8": (Raw(_event().replace(b"tea", b"\xff\xfe")), "not the JSON expected"),
    "UTF-16": (Raw(_event().decode().encode("utf-16")), "not the JSON expected"),
    "NaN": (Raw(_event().replace(str(NOW).encode(), b"NaN")), "not the JSON expected"),
    "NaN price": (Raw(_event()[:-1] + b', "price": NaN}'), "not the JSON expected"),
    "half a surrogate": (Raw(_event().replace(b"tea", b"\\ud800")), "not the JSON expected"),
    "deeply nested": (Raw(_event()[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"), "nested"),
    "a number of 5,000 digits": (
        Raw(_event(timestamp=...)[:-1] + b', "timestamp": ' + b"9" * 5000 + b"}"),
        "",
    ),
    "null value": (Raw(None), "null value: an event cannot be deleted by a tombstone"),
    "oversized": (Raw(_event(basket_id="x" * MAX_VALUE_BYTES)), f"bytes, more than {MAX_VALUE_BYTES}"),
    "no key": (Raw(_event(), key=None), "the record has no key: its key must be the customer_id"),
    "another key": (Raw(_event(), key=b"bob"), "the record's key b'bob' is not the customer_id 'ann'"),
    "no customer": (Raw(_event(customer_id=...)), "missing required field `customer_id`"),
    "null customer": (Raw(_event(customer_id=None)), "Expected `str`, got `null` - at `$.customer_id`"),
    "customer is a number": (Raw(_event(customer_id=7)), "Expected `str`, got `int`"),
    "empty customer": (Raw(_event(customer_id=""), key=b""), "customer_id is missing or empty"),
    "long customer": (
        Raw(_event(customer_id="é" * 129), key=("é" * 129).encode()),
        "has 258 bytes, more than 256",
    ),
    "no item": (Raw(_event(item_id=...)), "item_id is missing or empty"),
    "empty item": (Raw(_event(item_id="")), "item_id is missing or empty"),
    "long item": (Raw(_event(item_id="x" * 257)), "item_id has 257 bytes, more than 256"),
    "control character": (Raw(_event(item_id="a\nb")), "item_id has the control character U+000A"),
    "NUL": (Raw(_event(item_id="\0")), "item_id has the control character U+0000"),
    "C1 control": (Raw(_event(event_id="a\x85")), "event_id has the control character U+0085"),
    "empty event id": (Raw(_event(event_id="")), "event_id is missing or empty"),
    "no timestamp": (Raw(_event(timestamp=...)), "missing required field `timestamp`"),
    "seconds": (Raw(_event(timestamp=NOW // 1000)), "is before 1990; are these seconds?"),
    "year 1800": (Raw(_event(timestamp="1800-01-01T00:00:00Z")), "is before 1990"),
    "year 1": (Raw(_event(timestamp="0001-01-01T00:00:00+23:59")), "is before 1990"),
    "negative": (Raw(_event(timestamp=-1)), "is before 1990"),
    "two days ahead": (Raw(_event(timestamp=NOW + 2 * DAY)), "more than a day after it was published"),
    "year 9999": (Raw(_event(timestamp="9999-12-31T23:59:59-23:59")), "more than a day after"),
    "beyond 64 bits": (Raw(_event(timestamp=10**30)), ""),
    "no offset": (Raw(_event(timestamp="2025-06-15T12:00:00")), "has no offset: add Z or one like +02:00"),
    "no time": (Raw(_event(timestamp="yesterday")), "is neither RFC 3339 nor a number of ms"),
    "fraction of a ms": (Raw(_event(timestamp=NOW + 0.5)), "Expected `int | str`, got `float`"),
    "nothing bought": (Raw(_event(quantity=0)), "`int` >= 1 - at `$.quantity`"),
    "less than nothing": (Raw(_event(quantity=-1)), "`int` >= 1 - at `$.quantity`"),
    "a billion": (Raw(_event(quantity=10**9)), "`int` <= 1000000 - at `$.quantity`"),
    "one and a half": (Raw(_event(quantity=1.5)), "Expected `int`, got `float` - at `$.quantity`"),
    "quantity in words": (Raw(_event(quantity="2")), "Expected `int`, got `str` - at `$.quantity`"),
    "true": (Raw(_event(quantity=True)), "Expected `int`, got `bool` - at `$.quantity`"),
    "a source alone": (Raw(_event(source="f")), "sequence is missing: an event has both source and sequence"),
    "a sequence alone": (Raw(_event(sequence=0)), "source is missing: an event has both source and sequence"),
    "an empty source": (Raw(_event(source="", sequence=0)), "source is missing or empty"),
    "a long source": (Raw(_event(source="x" * 65, sequence=0)), "source has 65 bytes, more than 64"),
    "a source of two lines": (
        Raw(_event(source="a\nb", sequence=0)),
        "source has the control character U+000A",
    ),
    "a negative sequence": (Raw(_event(source="f", sequence=-1)), "`int` >= 0 - at `$.sequence`"),
    "a huge sequence": (Raw(_event(source="f", sequence=2**53)), "`int` <= 9007199254740991"),
    "a sequence in words": (Raw(_event(source="f", sequence="1")), "Expected `int | null`, got `str`"),
    "unknown type": (Raw(_event(type="refund")), "'refund' is none of purchase, return, forget, which"),
    "a type of another topic": (
        Raw(_event(type="watch")),
        "not for the topic purchases: publish it to watches",
    ),
    "type is a number": (Raw(_event(type=1)), "Expected `str | null`, got `int` - at `$.type`"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_purchases_are_refused_and_the_others_go_on(what: str) -> None:
    bad, reason = BAD[what]
    before, after = Raw(_event(), offset=7), Raw(_event(item_id="milk"), offset=9)
    bad.offset = 8
    machine = CustomerMachine()
    decoded = _decode([before, bad, after], 10, machine)
    assert [refused.record for refused in decoded.refused] == [bad]
    assert reason in decoded.refused[0].reason
    assert class_of(decoded.refused[0].reason) != OTHER
    assert decoded.batch.offsets.tolist() == [7, 9]
    assert decoded.records == [before, after]
    assert list(machine.items) == ["tea", "milk"]
    assert list(machine.customers) == ["ann"]


def test_a_refused_record_leaves_nothing_in_the_dictionaries() -> None:
    for bad, _ in BAD.values():
        machine = CustomerMachine()
        assert _decode([bad], 1, machine).refused
        assert list(machine.customers) == [], bad
        assert list(machine.items) == [], bad
        assert machine.event_sources.number("f") == 1, bad


def test_a_whole_event() -> None:
    machine = CustomerMachine()
    value = _event(
        quantity=3, type="return", price=2.5, unknown={"a": [1]}, timestamp="2025-06-15T12:00:00+02:00"
    )
    batch = _decode([Raw(value)], 5, machine).batch
    assert (batch.actions.tolist(), batch.quantities.tolist(), batch.end) == ([1], [3], 5)
    assert batch.times_ms.tolist() == [1_749_981_600_000]


def test_the_source_of_an_event() -> None:
    machine = CustomerMachine()
    values = [_event(source="f", sequence=2**53 - 1), _event(), _event(source="é" * 32, sequence=0),
              _event(source="f", sequence=4)]  # fmt: skip
    batch = _decode([Raw(value, offset=n) for n, value in enumerate(values)], 4, machine).batch
    assert batch.sources.tolist() == [1, 0, 2, 1]
    assert batch.sequences.tolist() == [2**53 - 1, 0, 0, 4]


def test_forget_needs_no_item() -> None:
    decoded = _decode([Raw(_event(type="forget", item_id=...))], 1, CustomerMachine())
    assert decoded.refused == []
    assert decoded.batch.actions.tolist() == [2]


def test_an_empty_chunk_still_ends_somewhere() -> None:
    assert _decode([], 12, CustomerMachine()).batch.end == 12


def test_ids_of_any_language() -> None:
    for name in ("Grüße", "日本", "a b", "'\"\\", "é" * 128, "\u200b", "😀" * 64):
        decoded = _decode(
            [Raw(_event(item_id=name, customer_id=name), key=name.encode())], 1, CustomerMachine()
        )
        assert decoded.refused == []


def test_a_day_ahead_is_the_limit() -> None:
    assert time_ms(NOW + DAY, NOW) == NOW + DAY
    assert time_ms("1990-01-01T00:00:00Z", NOW) == 631_152_000_000


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.none() | st.binary(max_size=20))
@example(b'{"customer_id":"a","timestamp":1}', b"a")
def test_arbitrary_bytes_never_raise(value: bytes, key: bytes | None) -> None:
    decoded = _decode([Raw(value, key)], 1, CustomerMachine())
    assert len(decoded.refused) + len(decoded.batch) == 1
    items = decode_items([Raw(value, key), Raw(None, key)])
    assert len(items.refused) + len(items.ids) == 2


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = ["customer_id", "item_id", "timestamp", "quantity", "type", "event_id", "price", "available"]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _json))
def test_arbitrary_fields_never_raise(fields: dict[str, object]) -> None:
    value = json.dumps({"customer_id": "ann", "item_id": "ann", "timestamp": NOW} | fields).encode()
    decoded = _decode([Raw(value)], 1, CustomerMachine())
    assert len(decoded.refused) + len(decoded.batch) == 1
    items = decode_items([Raw(value)])
    assert len(items.refused) + len(items.ids) == 1


def _item(**changes: object) -> bytes:
    return json.dumps({"item_id": "tea"} | changes).encode()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Raw(b"{", b"tea"), "not the JSON expected"),
        (Raw(_item(), None), "the record has no key: its key must be the item_id"),
        (Raw(_item(), b"milk"), "the record's key b'milk' is not the item_id 'tea'"),
        (Raw(_item(available=1), b"tea"), "Expected `bool`, got `int` - at `$.available`"),
        (Raw(_item(item_id=""), b""), "item_id is missing or empty"),
        (Raw(_item(title="x" * MAX_VALUE_BYTES), b"tea"), f"more than {MAX_VALUE_BYTES}"),
        (Raw(None, None), "the record has neither key nor value"),
        (Raw(None, b"\xff"), "the record's key is not UTF-8"),
        (Raw(None, b"a\x07"), "item_id has the control character U+0007"),
    ],
)
def test_bad_catalogue_entries_are_refused_and_the_others_go_on(bad: Raw, reason: str) -> None:
    decoded = decode_items(
        [Raw(_item(available=False), b"tea"), bad, Raw(None, b"milk"), Raw(_item(), b"tea")]
    )
    assert [refused.record for refused in decoded.refused] == [bad]
    assert reason in decoded.refused[0].reason
    assert class_of(decoded.refused[0].reason) != OTHER
    assert decoded.ids == ["tea", "milk", "tea"]
    assert decoded.available.tolist() == [0, 0, 1]
