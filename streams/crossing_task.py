"""First events to pair changes: a partition of what is told of histories, and its crossing machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.crossing import CrossingMachine
from state.customer_saver import CustomerSaver
from state.deltas import Source
from state.first_events import decode_first
from state.pair_changes import encode_pairs
from state.saving import Saver
from state.store import RocksStore
from streams.context import Context
from streams.customer_task import counting_settings, item_partition
from streams.kinds import EVENTS_SOURCE, CrossKind
from streams.outbox import Record, published_ms
from streams.tasks import Outgoing, Task

if TYPE_CHECKING:
    from streams.transport import Chunk

log = logging.getLogger("alsobought")

GATHER_S = 0.1


class CrossingTask(Task):
    """Applies first events and sends what they change to the item partitions of its kind."""

    machine: CrossingMachine
    memory_share = 0.2

    def __init__(self, tp: TP, context: Context, kind: CrossKind) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._crossed_at = 0.0

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        partitions = self.context.partitions
        self.machine = CrossingMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partition, partitions),
            self.memory_bytes(1 / partitions),
            days=self.context.settings.watched_bought_days,
        )
        return CustomerSaver(self.machine, store, self.log_identity)

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for customers."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def holds(self) -> int:
        """Customers, in memory or not, and items."""
        return self.machine.customer_count + len(self.machine.items)

    def postpones(self, now_s: float) -> bool:
        """Gather first events for a moment: what follows from them may be a little later."""
        if now_s - self._crossed_at < GATHER_S:
            return True
        self._crossed_at = now_s
        return False

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Cross a chunk of first events."""
        untold = self.machine.untold
        outgoing: list[Record] = []
        for record in records:
            at_ms = published_ms(record)
            changes = self.machine.apply(decode_first(record.value or b""), record.offset)
            outgoing += [
                Record(self.kind.deltas.name, partition, None, encode_pairs(message), at_ms)
                for partition, messages in enumerate(changes)
                for message in messages
            ]
        self.machine.position = chunk.end
        if self.machine.untold > untold:
            log.warning(
                "%s: was not told of %d earlier events, %s leaves them out: `alsobought rebuild` counts them",
                self.name, self.machine.untold - untold, self.kind.name,
            )  # fmt: skip
        return Outgoing(outgoing)
