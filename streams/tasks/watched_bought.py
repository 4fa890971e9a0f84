"""The task of a partition of history changes: its crossing machine makes pair changes of them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.customers.saver import CustomerSaver
from state.errors import NoMessage
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED
from state.messages.pair_changes import encode_pairs
from state.messages.transfer import Step, Transfer, decode_message, encode_message
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from state.watched_bought.exchange import Exchange
from state.watched_bought.machine import CrossingMachine
from streams.kafka.outbox import Record, published_ms
from streams.kinds import EVENTS_SOURCE, CrossKind
from streams.messages.decoding import Refused
from streams.tasks.context import Context
from streams.tasks.customers import CustomerTask, counting_settings, item_partitions
from streams.tasks.outgoing import Outgoing
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

log = logging.getLogger("alsobought")

GATHER_S = 0.1


class CrossingTask(Task):
    """Applies history changes, and sends pair changes to the item partitions of its kind.

    It also starts the transfer of its partition's purchases, once somebody has watched something
    (`state.watched_bought.exchange`).

    Parameters
    ----------
    opened
        Returns the open task of a partition in this process, or None. A partition's purchases are always in
        the same process as its history changes.
    """

    machine: CrossingMachine
    memory_share = 0.2

    def __init__(
        self, tp: TP, context: Context, kind: CrossKind, opened: Callable[[TP], Task | None]
    ) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._opened = opened
        self._exchange = Exchange(lambda: random.SystemRandom().getrandbits(63))
        self._crossed_at = 0.0

    @property
    def customer_task(self) -> CustomerTask | None:
        """The open task of the partition's purchases."""
        task = self._opened(TP(self.kind.sides[BOUGHT].events.name, self.tp.partition))
        return task if isinstance(task, CustomerTask) else None

    @property
    def acknowledged(self) -> int:
        """As of any task, but until a transfer has ended no further than the message it follows from."""
        if not self.is_due:
            return super().acknowledged
        since = self.machine.unsettled_at
        return min(super().acknowledged, since if since >= 0 else max(self._exchange.log_end - 1, 0))

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        partitions = self.context.partitions
        self.machine = CrossingMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partitions, partitions),
            self.memory_bytes(1 / partitions),
            days=self.context.settings.watched_bought_days,
        )
        return CustomerSaver(self.machine, store, self.log_identity)

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

    def postpones(self, now_s: float) -> bool:
        """Gather history changes for a moment, as what follows from them may be a little later."""
        if now_s - self._crossed_at < GATHER_S:
            return True
        self._crossed_at = now_s
        return False

    def is_quick(self, records: Sequence[Any]) -> bool:
        """Return whether everything is in memory."""
        del records
        return self.context.settings.memory_mib is None

    def replays_to(self, end: int) -> None:
        """Assume that purchases may have been published up to `end`."""
        self._exchange.log_end = end

    def begin(self) -> list[Record]:
        """Ask for purchases, if watches were published here before anybody asked."""
        asking = self._ask()
        if asking:  # nothing counts as crossed until all are asked
            self.unacknowledged.begin_at(self.position - 1)
        return asking

    def _ask(self) -> list[Record]:
        """Ask every partition for its purchases, once there is something watched."""
        if not self.machine.watched or self.machine.asked:
            return []
        self.machine.asked = True
        asking = encode_message(Transfer(Step.ASK, Source(WATCHED, self.tp.partition)))
        return [
            Record(self.tp.topic, partition, None, asking) for partition in range(self.context.partitions)
        ]

    @property
    def is_due(self) -> bool:
        """Whether a transfer of the partition's purchases is due, or may be."""
        task = self.customer_task
        return task is not None and not self._exchange.is_settled(task.machine, self.machine)

    def due(self, task: CustomerTask) -> list[Record]:
        """Return the messages of the transfer that are to be sent now."""
        messages = self._exchange.due(task.machine, self.machine)
        return [
            Record(self.tp.topic, self.tp.partition, None, encode_message(message)) for message in messages
        ]

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Apply a chunk of history changes."""
        unpublished = self.machine.unpublished
        outgoing: list[Record] = []
        refused: list[Refused] = []
        for record in records:
            at_ms = published_ms(record)
            try:
                read = decode_message(record.value or b"")
            except NoMessage as error:
                refused.append(Refused(record, str(error)))
                continue
            changes = self.machine.apply(read, record.offset)
            if isinstance(read, Transfer):
                self._exchange.note_applied(read)
            outgoing += [
                Record(self.kind.deltas.name, partition, None, encode_pairs(message), at_ms)
                for partition, messages in enumerate(changes)
                for message in messages
            ]
        self.machine.position = chunk.end
        outgoing += self._ask()
        if self.machine.unpublished > unpublished:
            log.warning(
                "%s: %d earlier events were not published to it, and %s leaves them out: "
                "`alsobought rebuild` counts them",
                self.name, self.machine.unpublished - unpublished, self.kind.name,
            )  # fmt: skip
        return Outgoing(outgoing, refused)
