"""From records to columns: strict decoding of a chunk, and the reason for each record refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from state.customers import CustomerMachine
from state.events import EventBatch, Kind, event_hash
from streams.event_columns import CONTROL, decode_columns
from streams.kinds import EventKind
from streams.messages import MAX_ID_BYTES, EventMessage, decode_event, decode_item

T = TypeVar("T")

MAX_VALUE_BYTES = 65_536
EARLIEST_MS = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
BY_COLUMNS = 64  # records from which on it pays to decode a chunk by columns
AHEAD_MS = 24 * 3600 * 1000  # how far event time may be ahead of the time of publishing


class Record(Protocol):
    """A record as aiokafka and kafka-python deliver it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Refused:
    """A record that is no event, and why."""

    record: Record
    reason: str


class Unusable(ValueError):
    """Why a record cannot be used; goes to the dead letters."""


@dataclass
class Decoded:
    """The events of a chunk as columns, their records, and what was refused."""

    batch: EventBatch
    records: list[Record] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def published_ms(self) -> int:
        """When the first of them was published, ms since 1970; 0 without any."""
        return self.records[0].timestamp if self.records else 0


def check_id(name: str, value: str) -> None:
    """Raise Unusable unless a value is fit to be an id.

    >>> check_id("item_id", "7502931")
    >>> check_id("item_id", "a" + chr(7))
    Traceback (most recent call last):
    streams.decoding.Unusable: item_id has the control character U+0007
    """
    if not value:
        raise Unusable(f"{name} is missing or empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Unusable(f"{name} holds half a surrogate pair: it cannot be written as UTF-8") from None
    if size > MAX_ID_BYTES:
        raise Unusable(f"{name} has {size} bytes, more than {MAX_ID_BYTES}")
    if (control := CONTROL.search(value)) is not None:
        raise Unusable(f"{name} has the control character U+{ord(control.group()):04X}")


def time_ms(timestamp: int | str, published_ms: int) -> int:
    """Event time in ms since 1970 (UTC).

    Raises
    ------
    Unusable
        If it is no time, has no offset, or is absurd: before 1990, or a day after it was published.
    """
    if isinstance(timestamp, str):
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError:
            raise Unusable(f"timestamp {timestamp[:40]!r} is neither RFC 3339 nor a number of ms") from None
        if moment.tzinfo is None:
            raise Unusable(f"timestamp {timestamp!r} has no offset: add Z or one like +02:00")
        timestamp = round(moment.timestamp() * 1000)
    if timestamp < EARLIEST_MS:
        hint = "; are these seconds?" if timestamp > EARLIEST_MS // 1000 else ""
        raise Unusable(f"timestamp {timestamp} ms is before 1990{hint}")
    if timestamp > published_ms + AHEAD_MS:
        raise Unusable(f"timestamp {timestamp} ms is more than a day after it was published")
    return timestamp


def _value(record: Record, null_reason: str) -> bytes:
    if record.value is None:
        raise Unusable(null_reason)
    if len(record.value) > MAX_VALUE_BYTES:
        raise Unusable(f"value has {len(record.value)} bytes, more than {MAX_VALUE_BYTES}")
    return record.value


def _check_key(record: Record, name: str, value: str) -> None:
    if record.key is None:
        raise Unusable(f"the record has no key: its key must be the {name}")
    if record.key != value.encode():
        raise Unusable(f"the record's key {record.key[:64]!r} is not the {name} {value[:64]!r}")


def _parsed(decode: Callable[[bytes], T], value: bytes) -> T:
    try:
        return decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"not the JSON expected: {error}") from None
    except RecursionError:
        raise Unusable("not the JSON expected: nested too deeply") from None


def _parsed_events(records: Sequence[Record]) -> Iterator[tuple[Record, EventMessage | Unusable]]:
    for record in records:
        try:
            value = record.value
            if value is None or len(value) > MAX_VALUE_BYTES:
                value = _value(record, "null value: an event cannot be deleted by a tombstone")
            yield record, _parsed(decode_event, value)
        except Unusable as error:
            yield record, error


class EventTypes:
    """The types of events that a topic takes.

    >>> from streams.kinds import BOUGHT, WATCHED
    >>> EventTypes(WATCHED, (BOUGHT, WATCHED)).number("purchase")
    Traceback (most recent call last):
    streams.decoding.Unusable: type 'purchase' is not for the topic watches: publish it to purchases
    """

    def __init__(self, kind: EventKind, kinds: Sequence[EventKind]) -> None:
        self.kind = kind
        self._topics = {other.word: other.events.name for other in kinds}
        self.numbers: dict[str | None, int] = {
            None: int(Kind.PURCHASE), kind.word: int(Kind.PURCHASE),
            "return": int(Kind.RETURN), "forget": int(Kind.FORGET),
        }  # fmt: skip

    def number(self, word: str | None) -> int:
        """The value of `state.events.Kind` for a type on the wire.

        Raises
        ------
        Unusable
        """
        number = self.numbers.get(word)
        if number is None:
            raise Unusable(self._trouble(word))
        return number

    def _trouble(self, word: str | None) -> str:
        here = self.kind.events.name
        if word in self._topics:
            return f"type {word!r} is not for the topic {here}: publish it to {self._topics[word]}"
        known = ", ".join(str(one) for one in self.numbers if one)
        return f"type {str(word)[:40]!r} is none of {known}, which the topic {here} takes"


def decode_events(
    records: Sequence[Record], end: int, machine: CustomerMachine, types: EventTypes
) -> Decoded:
    """Decode a chunk whose last record is before offset `end`; new ids enter the machine's dictionaries."""
    if len(records) >= BY_COLUMNS:
        batch = decode_columns(
            records,
            end,
            machine,
            types,
            most_bytes=MAX_VALUE_BYTES,
            earliest_ms=EARLIEST_MS,
            ahead_ms=AHEAD_MS,
        )
        if batch is not None:
            return Decoded(batch, list(records))
    parsed = list(_parsed_events(records))
    known = [event for _, event in parsed if not isinstance(event, Unusable)]
    machine.bring_in([event.customer_id for event in known], [event.item_id for event in known])
    customer_number, item_number = machine.customers.numbers.get, machine.items.numbers.get
    rows: list[tuple[int, int, int, int, int, int, int, int]] = []
    used: list[Record] = []
    refused: list[Refused] = []
    for record, event in parsed:
        if isinstance(event, Unusable):
            refused.append(Refused(record, str(event)))
            continue
        try:
            kind = types.number(event.type)
            moment = time_ms(event.timestamp, record.timestamp)
            customer, item = customer_number(event.customer_id), item_number(event.item_id)
            if customer is None:
                check_id("customer_id", event.customer_id)
            _check_key(record, "customer_id", event.customer_id)
            if event.event_id is not None:
                check_id("event_id", event.event_id)
            if event.profile_id is not None:
                check_id("profile_id", event.profile_id)
            if item is None and kind != Kind.FORGET:
                check_id("item_id", event.item_id)
                item = machine.items.number(event.item_id)
            if customer is None:
                customer = machine.customers.number(event.customer_id)
        except Unusable as error:
            refused.append(Refused(record, str(error)))
            continue
        profile = 0 if event.profile_id is None else machine.profiles.number(customer, event.profile_id)
        identity = event_hash(event.event_id)
        rows.append((record.offset, kind, customer, item or 0, event.quantity, moment, identity, profile))
        used.append(record)
    return Decoded(EventBatch.of_rows(rows, end), used, refused)


@dataclass
class DecodedItems:
    """A chunk of the catalogue: ids and whether each can be bought, and what was refused."""

    ids: list[str]
    available: np.ndarray[tuple[int], np.dtype[np.uint8]]
    refused: list[Refused]


def decode_items(records: Sequence[Record]) -> DecodedItems:
    """Decode a chunk of the catalogue. A null value takes the item out of the catalogue."""
    ids: list[str] = []
    available: list[bool] = []
    refused: list[Refused] = []
    for record in records:
        try:
            if record.value is None:
                item_id, can_be_bought = _key_id(record), False
            else:
                item = _parsed(decode_item, _value(record, ""))
                check_id("item_id", item.item_id)
                _check_key(record, "item_id", item.item_id)
                item_id, can_be_bought = item.item_id, item.available
        except Unusable as error:
            refused.append(Refused(record, str(error)))
            continue
        ids.append(item_id)
        available.append(can_be_bought)
    return DecodedItems(ids, np.array(available, np.uint8), refused)


def _key_id(record: Record) -> str:
    if record.key is None:
        raise Unusable("the record has neither key nor value")
    try:
        item_id = record.key.decode()
    except UnicodeDecodeError:
        raise Unusable("the record's key is not UTF-8") from None
    check_id("item_id", item_id)
    return item_id
