"""Decode records into columns: strictly, and with the reason for each record that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from state.customers.actions import Action
from state.customers.events import EventBatch, event_hash
from state.customers.machine import CustomerMachine
from streams.messages.checks import (
    LOG_APPEND_TIME,
    MAX_VALUE_BYTES,
    EventTypes,
    Unusable,
    check_id,
    check_time,
)
from streams.messages.event_columns import decode_columns
from streams.messages.schema import MAX_SOURCE_BYTES, EventMessage, decode_event, decode_item

T = TypeVar("T")

BY_COLUMNS = 64  # records from which on it pays to decode a chunk by columns


class ConsumedRecord(Protocol):
    """A record as aiokafka and kafka-python deliver it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Refused:
    """A record that is no event, and the reason."""

    record: ConsumedRecord
    reason: str


@dataclass
class Decoded:
    """The events of a chunk as columns, their records, and what was refused.

    Attributes
    ----------
    published_ms : int
        When the first of them was published (see the function `published_ms`); 0 if there is none.
    """

    batch: EventBatch
    records: list[ConsumedRecord] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    published_ms: int = 0


def published_ms(record: ConsumedRecord, now_ms: int) -> int:
    """Return when a record was published, ms since 1970: the broker's time, or now if it is the producer's.

    On a topic with CreateTime a record has the time that its producer wrote there. That may be the time of
    the event, years ago, or 0, and does not show when the record was published.
    """
    return record.timestamp if record.timestamp_type == LOG_APPEND_TIME else now_ms


def time_ms(timestamp: int | str, published_ms: int) -> int:
    """Return an event time in ms since 1970 (UTC).

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
    check_time(timestamp, published_ms)
    return timestamp


def _check_source(event: EventMessage) -> None:
    if event.source is None or event.sequence is None:
        missing = "sequence" if event.sequence is None else "source"
        raise Unusable(f"{missing} is missing: an event has both source and sequence, or neither")
    check_id("source", event.source, MAX_SOURCE_BYTES)


def _value(record: ConsumedRecord, null_reason: str) -> bytes:
    if record.value is None:
        raise Unusable(null_reason)
    if len(record.value) > MAX_VALUE_BYTES:
        raise Unusable(f"value has {len(record.value)} bytes, more than {MAX_VALUE_BYTES}")
    return record.value


def _check_key(record: ConsumedRecord, name: str, value: str) -> None:
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


def _parsed_events(
    records: Sequence[ConsumedRecord],
) -> Iterator[tuple[ConsumedRecord, EventMessage | Unusable]]:
    for record in records:
        try:
            value = record.value
            if value is None or len(value) > MAX_VALUE_BYTES:
                value = _value(record, "null value: an event cannot be deleted by a tombstone")
            yield record, _parsed(decode_event, value)
        except Unusable as error:
            yield record, error


def decode_events(
    records: Sequence[ConsumedRecord], end: int, machine: CustomerMachine, types: EventTypes, now_ms: int
) -> Decoded:
    """Decode a chunk whose last record is before offset `end`; new ids enter the machine's dictionaries.

    `now_ms` is the caller's time, ms since 1970: see `published_ms`.
    """
    if len(records) >= BY_COLUMNS:
        batch = decode_columns(records, end, machine, types, now_ms)
        if batch is not None:
            return Decoded(batch, list(records), [], published_ms(records[0], now_ms))
    parsed = list(_parsed_events(records))
    known = [event for _, event in parsed if not isinstance(event, Unusable)]
    machine.bring_in([event.customer_id for event in known], [event.item_id for event in known])
    customer_number, item_number = machine.customers.numbers.get, machine.items.numbers.get
    rows: list[tuple[int, int, int, int, int, int, int, int]] = []
    published: list[tuple[int, int, int]] = []
    used: list[ConsumedRecord] = []
    refused: list[Refused] = []
    for record, event in parsed:
        if isinstance(event, Unusable):
            refused.append(Refused(record, str(event)))
            continue
        try:
            action = types.number(event.type)
            moment = time_ms(event.timestamp, published_ms(record, now_ms))
            customer, item = customer_number(event.customer_id), item_number(event.item_id)
            if customer is None:
                check_id("customer_id", event.customer_id)
            _check_key(record, "customer_id", event.customer_id)
            if event.event_id is not None:
                check_id("event_id", event.event_id)
            if event.profile_id is not None:
                check_id("profile_id", event.profile_id)
            if event.source is not None or event.sequence is not None:
                _check_source(event)
            if item is None and action != Action.FORGET:
                check_id("item_id", event.item_id)
                item = machine.items.number(event.item_id)
            if customer is None:
                customer = machine.customers.number(event.customer_id)
        except Unusable as error:
            refused.append(Refused(record, str(error)))
            continue
        if event.source is not None and event.sequence is not None:
            published.append((len(rows), machine.event_sources.number(event.source), event.sequence))
        profile = 0 if event.profile_id is None else machine.profiles.number(customer, event.profile_id)
        identity = event_hash(event.event_id)
        rows.append((record.offset, action, customer, item or 0, event.quantity, moment, identity, profile))
        used.append(record)
    first_ms = published_ms(used[0], now_ms) if used else 0
    return Decoded(EventBatch.of_rows(rows, end, published), used, refused, first_ms)


@dataclass
class DecodedItems:
    """A chunk of the catalogue: ids and whether each can be bought, and what was refused."""

    ids: list[str]
    available: np.ndarray[tuple[int], np.dtype[np.uint8]]
    refused: list[Refused]


def decode_items(records: Sequence[ConsumedRecord]) -> DecodedItems:
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


def _key_id(record: ConsumedRecord) -> str:
    if record.key is None:
        raise Unusable("the record has neither key nor value")
    try:
        item_id = record.key.decode()
    except UnicodeDecodeError:
        raise Unusable("the record's key is not UTF-8") from None
    check_id("item_id", item_id)
    return item_id
