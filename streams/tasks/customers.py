"""The task of a partition of a kind's events: its customer machine turns events into deltas."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from faust.types import TP

from state.customers import pairing
from state.customers.actions import Action
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.messages.deltas import Source, encode
from state.messages.history_changes import BOUGHT, encode_history_changes
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.kafka.outbox import Record
from streams.kinds import EVENTS_SOURCE, CrossKind, EventKind, kinds_of, listed_of
from streams.messages.checks import EventTypes
from streams.messages.decoding import Decoded, Refused, decode_events, published_ms
from streams.messages.partitioning_many import partitions_for
from streams.settings import Settings
from streams.tasks.context import Context
from streams.tasks.following import follow_events
from streams.tasks.outgoing import Outgoing
from streams.tasks.task import Task
from streams.topics import HISTORY_CHANGES

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk


def counting_settings(settings: Settings) -> CountingSettings:
    """Return the machines' settings."""
    return CountingSettings(
        settings.window,
        settings.row_capacity,
        settings.list_length,
        settings.score,
        settings.score_tolerance,
        settings.most_a_day,
    )


def item_partitions(partitions: int, item_ids: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return the partition of each item."""
    return partitions_for([item_id.encode() for item_id in item_ids], partitions)


class CustomerTask(Task):
    """Applies events, and sends deltas to the item partitions of their kind."""

    machine: CustomerMachine
    memory_share = 0.2

    def __init__(self, tp: TP, context: Context, kind: EventKind) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._types = EventTypes(kind, kinds_of(context.settings))

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        partitions, publishes_as = self.context.partitions, self._source_of_history_changes()
        self.machine = CustomerMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partitions, partitions),
            self.memory_bytes(1 / partitions),
            publishes_as=publishes_as,
            waits=publishes_as is not None and publishes_as.topic == BOUGHT,
        )
        return CustomerSaver(self.machine, store, self.log_identity)

    def _source_of_history_changes(self) -> Source | None:
        """Return the source as which the crossing machine knows it, if
        there is one and it is of this kind.
        """
        for kind in listed_of(self.context.settings):
            if isinstance(kind, CrossKind) and self.kind in kind.sides:
                return Source(kind.sides.index(self.kind), self.tp.partition)
        return None

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for customers."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def memory_parts(self) -> dict[str, int]:
        """Return the bytes that histories take."""
        return {"histories": self.machine.footprint_bytes()}

    def evicted(self) -> int:
        """Return how often a customer was dropped from memory."""
        return self.machine.evicted

    def holds(self) -> int:
        """Return the number of customers, in memory or not, and items."""
        return self.machine.customer_count + len(self.machine.items)

    def is_quick(self, records: Sequence[Any]) -> bool:
        """Return whether everything is in memory."""
        del records
        return self.context.settings.memory_mib is None

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Count a chunk of events."""
        now_ms = time.time_ns() // 1_000_000
        traces = self.context.traces
        followed = None if traces is None else follow_events(traces, self.tp, records, now_ms)
        decoded = decode_events(records, chunk.end, self.machine, self._types, now_ms)
        self._look_for_misplaced(decoded)
        applied = self.machine.apply(decoded.batch)
        at_ms = published_ms(records[0], now_ms) if records else None
        deltas = self.kind.deltas.name
        outgoing = [
            Record(
                deltas, partition, None, encode(message), at_ms, followed.headers(message) if followed else ()
            )
            for partition, messages in enumerate(applied.deltas)
            for message in messages
        ]
        outgoing += [
            Record(HISTORY_CHANGES.name, self.tp.partition, None, encode_history_changes(message), at_ms)
            for message in applied.history_changes
        ]
        self.counters.events += len(decoded.batch)
        refused = decoded.refused + self._refused(decoded, applied.outcomes)
        if followed is not None:
            followed.counted(decoded.records, applied.outcomes, refused)
        return Outgoing(outgoing, refused, followed)

    def _look_for_misplaced(self, decoded: Decoded) -> None:
        """Count events whose partition is not that of their key, and warn once per topic.

        These events are counted all the same. An erasure is sent to every partition, and is no sign of
        another partitioner.
        """
        if not decoded.records:
            return
        places = partitions_for([record.key or b"" for record in decoded.records], self.context.partitions)
        elsewhere = (places != self.tp.partition) & (decoded.batch.actions != Action.FORGET)
        if found := int(np.count_nonzero(elsewhere)):
            self.counters.misplaced += found
            self.context.warn_of_partitioner(self.tp.topic)

    def _refused(self, decoded: Decoded, outcomes: npt.NDArray[np.uint8]) -> list[Refused]:
        reasons = {
            pairing.NOT_OWNED: "return of more than the customer has of the item",
            pairing.LIMITED: f"limit of {self.context.settings.most_a_day:,} a day: the customer has as many"
            " events of the day of this one (ALSOBOUGHT_MOST_A_DAY)",
            pairing.FULL: f"limit of {pairing.MOST_ITEMS:,} items: the customer has as many",
        }
        return [
            Refused(decoded.records[at], reasons[int(outcomes[at])])
            for at in np.flatnonzero(np.isin(outcomes, list(reasons))).tolist()
        ]
