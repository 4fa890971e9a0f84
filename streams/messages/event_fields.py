"""The fields of many events, read from the keys and values of their records.

`fields_of` reads them with a kernel, or with msgspec where the kernel cannot. Both give the same fields, and
None where any record is to be refused for a reason that its own key and value show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from streams.messages.checks import CONTROL, MAX_VALUE_BYTES
from streams.messages.event_parsing import NUMBERS, TEXTS, EventArrays, parse_events
from streams.messages.record_batches import parts_of
from streams.messages.schema import MAX_ID_BYTES, MAX_SOURCE_BYTES, EventMessage, decode_event

_CUSTOMER, _ITEM, _TYPE, _EVENT, _PROFILE, _SOURCE = range(len(TEXTS))
_TIMESTAMP, _QUANTITY, _SEQUENCE = range(len(NUMBERS))

Texts = Sequence[str | None] | None
"""A text for each event, None where it has none; None altogether where no event has one."""


@dataclass(frozen=True)
class EventFields:
    """The fields of n events.

    Attributes
    ----------
    customers, items : sequence of str
        An id that is new may be no valid one.
    types, event_ids, profile_ids, sources
        All ids are valid, and so is each source; the types may be any.
    times_ms : int64[n]
        Event times, ms since 1970; they may be absurd.
    quantities : uint32[n]
    sequences : int64[n] or None
        Every event has a source and a sequence, or none has.
    """

    customers: Sequence[str]
    items: Sequence[str]
    types: Texts
    event_ids: Texts
    profile_ids: Texts
    sources: Texts
    times_ms: npt.NDArray[np.int64]
    quantities: npt.NDArray[np.uint32]
    sequences: npt.NDArray[np.int64] | None


def fields_of(keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> EventFields | None:
    """Return the fields of events, None if any must be looked at by itself."""
    if None in keys or None in values:
        return None
    there: tuple[Sequence[bytes], Sequence[bytes]] = keys, values  # type: ignore[assignment]
    fields = _by_kernel(*there)
    return _by_objects(*there) if fields is None else fields


def _by_kernel(keys: Sequence[bytes], values: Sequence[bytes]) -> EventFields | None:
    parts = parts_of(values)
    found = parse_events(parts_of(keys), parts)
    if found is None:
        return None
    sourced, numbered = found.given[_SOURCE], np.count_nonzero(found.numbers[_SEQUENCE] >= 0)
    if (sourced or numbered) and not sourced == numbered == len(values):
        return None  # all have both, or none has
    text = parts.raw.tobytes().decode("ascii")
    return EventFields(
        list(map(bytes.decode, keys)), _slices(text, found, _ITEM), _texts(text, found, _TYPE),
        _texts(text, found, _EVENT), _texts(text, found, _PROFILE), _texts(text, found, _SOURCE),
        found.numbers[_TIMESTAMP], found.numbers[_QUANTITY].astype(np.uint32),
        found.numbers[_SEQUENCE] if numbered else None,
    )  # fmt: skip


def _slices(text: str, found: EventArrays, field: int) -> list[str]:
    starts, ends = found.texts[field].T.tolist()
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _texts(text: str, found: EventArrays, field: int) -> Texts:
    if not found.given[field]:
        return None
    n = found.texts.shape[1]
    if found.given[field] == n and found.alike[field]:
        start, end = found.texts[field, 0].tolist()
        return [text[start:end]] * n
    return [one or None for one in _slices(text, found, field)]  # where none is given it is text[-1:-1]


def _by_objects(keys: Sequence[bytes], values: Sequence[bytes]) -> EventFields | None:
    try:
        if max(map(len, values)) > MAX_VALUE_BYTES:
            return None
        events: list[EventMessage] = list(map(decode_event, values))
        customers = [event.customer_id for event in events]
        if list(keys) != [customer.encode() for customer in customers]:
            return None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    times_ms = _times_ms([event.timestamp for event in events])
    event_ids = [event.event_id for event in events]
    profile_ids = [event.profile_id for event in events]
    sources = [event.source for event in events]
    sequences = [event.sequence for event in events]
    numbered = any(map(_given, sources)) or any(map(_given, sequences))
    # as `publish` has it: all have both, or none has
    are_sources = not numbered or (None not in sequences and all(map(_is_source, set(sources))))
    if times_ms is None or not (are_sources and _are_ids(event_ids) and _are_ids(profile_ids)):
        return None
    return EventFields(
        customers, [event.item_id for event in events], _if_any([event.type for event in events]),
        _if_any(event_ids), _if_any(profile_ids), _if_any(sources), times_ms,
        np.fromiter((event.quantity for event in events), np.uint32, len(events)),
        np.array(sequences, np.int64) if numbered else None,
    )  # fmt: skip


def _is_source(value: str | None) -> bool:
    return value is not None and is_id(value) and len(value.encode()) <= MAX_SOURCE_BYTES


def _given(value: object) -> bool:
    return value is not None


def _are_ids(values: Sequence[str | None]) -> bool:
    """Return whether all given values are valid ids; it checks them together, as most are."""
    given = [value for value in values if value is not None]
    if not given:
        return True
    together = "".join(given)
    if "" in given or CONTROL.search(together) is not None:
        return False
    if 4 * max(map(len, given)) <= MAX_ID_BYTES and together.isascii():
        return True
    return all(map(is_id, given))


def _if_any(values: Sequence[str | None]) -> Texts:
    return values if any(map(_given, values)) else None


def is_id(value: str) -> bool:
    """Return whether a value is a valid id.

    >>> is_id("7502931"), is_id("a" + chr(7)), is_id(""), is_id("x" * 257)
    (True, False, False, False)
    """
    if not value or CONTROL.search(value) is not None:
        return False
    try:
        return len(value) <= MAX_ID_BYTES and len(value.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def _times_ms(timestamps: Sequence[int | str]) -> npt.NDArray[np.int64] | None:
    """Return the event times; None if any is no time."""
    try:
        if set(map(type, timestamps)) == {int}:
            return np.array(timestamps, np.int64)
        moments = [t if isinstance(t, int) else datetime.fromisoformat(t) for t in timestamps]
        if any(isinstance(moment, datetime) and moment.tzinfo is None for moment in moments):
            return None
        return np.array([m if isinstance(m, int) else round(m.timestamp() * 1000) for m in moments], np.int64)
    except (ValueError, OverflowError):
        return None
