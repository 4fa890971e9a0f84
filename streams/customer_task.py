"""Events to deltas: a partition of a kind's events and its customer machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state import pairing
from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import Source, encode
from state.first_events import encode_first
from state.saving import Saver
from state.settings import CountingSettings
from state.store import RocksStore
from streams.checks import EventTypes
from streams.context import Context
from streams.decoding import Decoded, Record, Refused, decode_events
from streams.kinds import EVENTS_SOURCE, CrossKind, EventKind, kinds_of, listed_of
from streams.messages import Progress
from streams.partitioning import partition_for
from streams.recommending.unit import Unit
from streams.settings import Settings
from streams.tasks import Task
from streams.topics import FIRST_EVENTS

if TYPE_CHECKING:
    from streams.transport import Chunk


def counting_settings(settings: Settings) -> CountingSettings:
    """The machines' settings."""
    return CountingSettings(
        settings.window, settings.row_capacity, settings.list_length, settings.score, settings.score_tolerance
    )


def item_partition(partitions: int, item_id: str) -> int:
    """The partition of an item."""
    return partition_for(item_id.encode(), partitions)


class CustomerTask(Task):
    """Applies events and sends what they change to the item partitions of their kind."""

    machine: CustomerMachine
    memory_share = 0.2

    def __init__(self, tp: TP, context: Context, kind: EventKind) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._types = EventTypes(kind, kinds_of(context.settings))
        self.unit = Unit(self, context.boards.of(kind), context)
        self.replayed_from = self.replayed_to = 0

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        partitions = self.context.partitions
        self.machine = CustomerMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partition, partitions),
            self.memory_bytes(1 / partitions),
            tells_as=self._source_of_first_events(),
        )
        return CustomerSaver(self.machine, store, self.log_identity)

    def _source_of_first_events(self) -> Source | None:
        """What the crossing machine knows it as, if there is one and this kind has a side in it."""
        for kind in listed_of(self.context.settings):
            if isinstance(kind, CrossKind) and self.kind in kind.sides:
                return Source(kind.sides.index(self.kind), self.tp.partition)
        return None

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for customers."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def holds(self) -> int:
        """Customers, in memory or not, and items."""
        return self.machine.customer_count + len(self.machine.items)

    async def turn(self) -> None:
        """Let the item tasks of its kind here go first."""
        await self.let_items_go_first(self.kind)

    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Count a chunk of events."""
        decoded = decode_events(records, chunk.end, self.machine, self._types)
        cases = self.unit.before(decoded)
        applied = self.machine.apply(decoded.batch)
        self.unit.after(decoded, applied, cases)
        at_ms = records[0].timestamp if records else None
        for partition, messages in enumerate(applied.deltas):
            for message in messages:
                await self.pending.add(
                    await self.context.outbox.send(
                        self.kind.deltas.name, partition, None, encode(message), at_ms
                    )
                )
        for told in applied.first_events:
            await self.pending.add(
                await self.context.outbox.send(
                    FIRST_EVENTS.name, self.tp.partition, None, encode_first(told), at_ms
                )
            )
        await self.refuse(decoded.refused + self._not_owned(decoded, applied.outcomes.tolist()))
        self.counters.events += len(decoded.batch)

    def replays_to(self, end: int) -> None:
        """Take it that what is before was learnt from."""
        self.replayed_from, self.replayed_to = self.position, end

    @property
    def reports(self) -> bool:
        """Not before it is known how far recommendations were."""
        return self.unit.remembers

    def loops(self) -> list[Any]:
        """The saving loop, and the one that recommends."""
        return [*super().loops(), self.unit.run()]

    def progress(self, worker: str) -> Progress:
        """How far it is, how far its recommendations are, and which model they use."""
        progress = super().progress(worker)
        progress.recommended = self.unit.recommended
        progress.model = self.unit.model_version
        return progress

    @staticmethod
    def _not_owned(decoded: Decoded, outcomes: list[int]) -> list[Refused]:
        reason = "return of more than the customer has of the item"
        return [
            Refused(record, reason)
            for record, outcome in zip(decoded.records, outcomes, strict=True)
            if outcome == pairing.NOT_OWNED
        ]
