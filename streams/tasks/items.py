"""The task of a partition of a kind's deltas: its item machine turns deltas into lists."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from faust.types import TP

from state.errors import NoMessage
from state.items.machine import ItemMachine
from state.items.neighbour_popularity import NeighbourPopularity
from state.items.saver import ItemSaver
from state.messages.delta_types import Type, decode_settle, message_type
from state.messages.deltas import decode, decode_availability
from state.messages.pair_changes import decode_pairs
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.kafka.outbox import published_ms
from streams.kinds import EventKind, Kind
from streams.messages.decoding import Refused
from streams.messages.schema import Progress
from streams.process.seed import TABLE_SEED
from streams.tasks.context import Context
from streams.tasks.customers import counting_settings
from streams.tasks.following import follow_lists
from streams.tasks.outgoing import Outgoing
from streams.tasks.popularity_publisher import PopularityPublisher
from streams.tasks.refresh import Refresher
from streams.tasks.task import Reached, Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

log = logging.getLogger("alsobought")

AGAIN_S = 1.0
REPLAY_LOOK_S = 0.05


class ItemTask(Task):
    """Applies the deltas of a kind, and keeps the lists of its items published."""

    machine: ItemMachine
    memory_share = 0.8

    def __init__(self, tp: TP, context: Context, kind: Kind) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self.refresher: Refresher
        self.popularity: PopularityPublisher | None = None
        self._asked: tuple[int, int] | None = None  # position and number of a settling that is to begin
        self._asks = asyncio.Event()
        self._warned_of_clashes = False

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        memory_bytes = self.memory_bytes(1 / self.context.partitions)
        view = self.context.others.view(self.kind) if isinstance(self.kind, EventKind) else None
        others = NeighbourPopularity(view)
        self.machine = ItemMachine(
            counting_settings(self.context.settings), self.tp.partition, memory_bytes, others, TABLE_SEED
        )
        self.refresher = Refresher(self, self.context)
        if isinstance(self.kind, EventKind):
            self.popularity = PopularityPublisher(self, self.kind.popularity)
        return ItemSaver(self.machine, store, self.log_identity)

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for items."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def memory_parts(self) -> dict[str, int]:
        """Return the bytes that rows take."""
        return {"rows": self.machine.footprint_bytes()}

    def evicted(self) -> int:
        """Return how often a row was dropped from memory."""
        return self.machine.evicted

    def holds(self) -> int:
        """Return the number of rows, in memory or not, and items."""
        return self.machine.row_count + len(self.machine.items)

    def replays_to(self, end: int) -> None:
        """Assume that lists of rows which the replay changes may have been published."""
        self.machine.replayed_to = end

    def loops(self) -> list[Any]:
        """Return the loops that look for lists of others, publish
        popularity, and begin and end a settling.
        """
        publishing = [] if self.popularity is None else [self.popularity.run()]
        refreshing = self.refresher.foreign.look(), self.refresher.finish_settling()
        return [*super().loops(), *refreshing, *publishing, self._begin_settling()]

    def took_in(self) -> None:
        """Note, in the event loop, that chunks were applied."""
        if self._asked is not None:
            self._asks.set()

    async def _begin_settling(self) -> None:
        """Settle lists, for ever, once every partition has published its popularity."""
        while True:
            await self._asks.wait()
            self._asks.clear()
            asked, self._asked = self._asked, None
            if asked is None:
                continue
            position, number = asked
            try:
                shared = await self._share(number)
            except KafkaError as error:
                log.info("%s: settling: %s; again", self.name, error)
                self._asked = self._asked or asked
                self._asks.set()
                await asyncio.sleep(AGAIN_S)
                continue
            if shared:
                self.refresher.settle(position)

    async def _share(self, number: int) -> bool:
        """Publish what is counted here, and wait for all others; return False if a newer settling is asked
        for.
        """
        if self.popularity is None or not isinstance(self.kind, EventKind):
            return True
        while self.machine.position < self.machine.replayed_to:  # newer popularity may have been published
            await asyncio.sleep(REPLAY_LOOK_S)
        await self.popularity.publish(number)
        context = self.context
        return await context.others.reached(self.kind, context.partitions, number, self._asks)

    async def settled(self) -> None:
        """Publish the popularity that is not published yet, now that all lists are exact and published."""
        if self.popularity is not None:
            await self.popularity.publish()

    def is_quick(self, records: Sequence[Any]) -> bool:
        """Return whether everything is in memory, and the records concern only the rows that they name."""
        if self.context.settings.memory_mib is not None:
            return False
        try:
            return all(message_type(one.value or b"") in {Type.COUNTS, Type.PAIRS} for one in records)
        except NoMessage:
            return False

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Apply a chunk of deltas."""
        outgoing = Outgoing()  # it sends nothing that another task's state follows from
        for record in records:
            try:
                self._apply_one(record)
            except NoMessage as error:
                outgoing.refused.append(Refused(record, str(error)))
        self.machine.position = chunk.end
        self._warn_of_clashes()
        return outgoing

    def _apply_one(self, record: Any) -> None:
        """Apply a record; raise NoMessage, with nothing changed, if no worker sent it."""
        machine, raw = self.machine, record.value or b""
        kind = message_type(raw)
        if kind == Type.COUNTS:
            deltas = decode(raw)
            events = machine.apply(deltas, record.offset)
            self.counters.events += events
            self.counters.pair_updates += 2 * deltas.near
            self.refresher.counted(events, published_ms(record))
            if events and self.context.traces is not None:
                self.refresher.follow(follow_lists(self.context.traces, self.tp, record))
        elif kind == Type.PAIRS:
            changes = decode_pairs(raw)
            effects = machine.apply_pairs(changes, record.offset)
            self.counters.events += effects
            self.counters.pair_updates += len(changes.pairs.items)
            if len(changes.sizes.items):  # otherwise nobody watched our items, and no list changes
                self.refresher.counted(effects, published_ms(record))
        elif kind == Type.CATALOGUE:
            machine.apply_availability(decode_availability(raw), record.offset)
            self.refresher.counted(0, None)
        else:
            self._asked = record.offset + 1, decode_settle(raw)
            self.refresher.expect_settling()

    def _warn_of_clashes(self) -> None:
        """Warn, once, of ids that cannot be kept apart."""
        items = self.machine.items
        if items.clashes and not self._warned_of_clashes:
            self._warned_of_clashes = True
            log.warning(
                "%s: the items %r and %r have the same hash, and are counted as the first of them. No two ids"
                " have this by chance: look for who publishes the second", self.name, *items.clash,
            )  # fmt: skip

    @property
    def reached(self) -> Reached:
        """The position up to which every list is exactly up to date, and where it caught up."""
        return (self.refresher.listed, self.caught_up)

    def progress(self, worker: str) -> Progress:
        """Return how far it is, and how fresh its lists are."""
        progress = super().progress(worker)
        progress.listed = self.refresher.listed
        progress.staleness_ms = self.refresher.staleness.take()
        progress.latency_p50_ms, progress.latency_p99_ms = self.refresher.latency.take()
        return progress
