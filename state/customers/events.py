"""Events as columns: what a customer machine reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from state.customers.actions import Action
from state.customers.event_sources import EventSources
from state.customers.profiles import Profiles
from state.customers.residents import Residents
from state.memory.ids import Dictionary


@dataclass(frozen=True)
class Event:
    """One event, for use of the machines without Kafka."""

    customer_id: str
    item_id: str
    time_ms: int
    quantity: int = 1
    action: Action = Action.PURCHASE
    event_id: str | None = None
    profile_id: str | None = None
    source: str | None = None
    sequence: int | None = None


def event_hash(event_id: str | None) -> int:
    """Return the 64-bit hash of an event id.

    It is 0 for an event without an id, which is never treated as a duplicate.
    """
    return (xxhash.xxh3_64_intdigest(event_id.encode()) or 1) if event_id else 0


def event_hashes(event_ids: Sequence[str | None]) -> list[int]:
    """Return the `event_hash` of each event id."""
    digest = xxhash.xxh3_64_intdigest
    return [(digest(event_id.encode()) or 1) if event_id else 0 for event_id in event_ids]


@dataclass(frozen=True)
class EventBatch:
    """A batch of events in columns: one element for each event, in the order of the log.

    Attributes
    ----------
    offsets : int64[n]
        The offsets, ascending; offsets in between were refused records.
    actions : uint8[n]
        Values of `Action`.
    customers, items : uint32[n]
        Numbers in the machine's dictionaries; the item of a FORGET is ignored.
    quantities : uint32[n]
        How many of the item were bought or returned.
    times_ms : int64[n]
        Event times, milliseconds since 1970.
    hashes : uint64[n]
        The `event_hash` of the event ids.
    profiles : uint8[n]
        The number of the customer's profile (`state.customers.profiles`), 0 for none.
    sources : uint32[n]
        What each event was published from: a number of the machine's `EventSources`, 0 for none.
    sequences : int64[n]
        The event's number within the source, 0 for none.
    end : int
        The offset after the last record of the batch, event or not.
    """

    offsets: npt.NDArray[np.int64]
    actions: npt.NDArray[np.uint8]
    customers: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    quantities: npt.NDArray[np.uint32]
    times_ms: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    profiles: npt.NDArray[np.uint8]
    sources: npt.NDArray[np.uint32]
    sequences: npt.NDArray[np.int64]
    end: int

    def __len__(self) -> int:
        return len(self.offsets)

    @staticmethod
    def of_rows(
        rows: Sequence[tuple[int, int, int, int, int, int, int, int]],
        end: int,
        published: Sequence[tuple[int, int, int]] = (),
    ) -> EventBatch:
        """Return a batch of tuples (offset, action, customer, item, quantity, time_ms, hash, profile).

        `published` has (index of the row, source, sequence) for each row with a source.
        """
        columns = list(zip(*rows, strict=True)) or [()] * 8
        types = (np.int64, np.uint8, np.uint32, np.uint32, np.uint32, np.int64, np.uint64, np.uint8)
        arrays: list[Any] = [np.array(c, t) for c, t in zip(columns, types, strict=True)]
        sources, sequences = np.zeros(len(rows), np.uint32), np.zeros(len(rows), np.int64)
        if published:
            which, numbers, numbered = zip(*published, strict=True)
            sources[list(which)], sequences[list(which)] = numbers, numbered
        return EventBatch(*arrays, sources=sources, sequences=sequences, end=end)  # type: ignore[misc]

    @staticmethod
    def of_events(
        events: Iterable[Event],
        customers: Residents,
        items: Dictionary,
        profiles: Profiles,
        sources: EventSources,
        first_offset: int,
    ) -> EventBatch:
        """Return a batch of events, the first of which is at `first_offset`.

        New ids enter the dictionaries.
        """
        events = list(events)
        rows = [
            (
                offset,
                int(e.action),
                (customer := customers.number(e.customer_id)),
                0 if e.action == Action.FORGET else items.number(e.item_id),
                e.quantity,
                e.time_ms,
                event_hash(e.event_id),
                profiles.number(customer, e.profile_id),
            )
            for offset, e in enumerate(events, first_offset)
        ]
        published = [
            (index, sources.number(e.source), e.sequence)
            for index, e in enumerate(events)
            if e.source is not None and e.sequence is not None
        ]
        return EventBatch.of_rows(rows, first_offset + len(rows), published)
