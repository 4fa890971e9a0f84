"""Deltas to lists: a partition of a kind's deltas and its item machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from faust.types import TP

from state.deltas import Type, decode, decode_availability, message_type
from state.item_saver import ItemSaver
from state.items import ItemMachine
from state.ranking import Lists
from state.recommending.list_view import Translation
from state.saving import Saver
from state.store import RocksStore
from streams.customer_task import counting_settings
from streams.decoding import Record
from streams.kinds import EventKind
from streams.messages import Progress
from streams.recommending.sellers import SellersPublisher
from streams.refresh import Refresher
from streams.tasks import Context, Task
from streams.threads import in_thread

if TYPE_CHECKING:
    from streams.transport import Chunk


WARMED_AT_ONCE = 256


class ItemTask(Task):
    """Applies the deltas of a kind and keeps the lists of its items published."""

    machine: ItemMachine
    memory_share = 0.8

    def __init__(self, tp: TP, context: Context, kind: EventKind) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self.refresher: Refresher

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        memory_bytes = self.memory_bytes(1 / self.context.partitions)
        self.machine = ItemMachine(counting_settings(self.context.settings), self.tp.partition, memory_bytes)
        self.refresher = Refresher(self, self.context)
        board = self.context.boards.of(self.kind)
        self.sellers = SellersPublisher(self, board, self.context)
        self._in_view = Translation(self.machine.items, board.view.items, adding=True)
        self.warm = False
        return ItemSaver(self.machine, store, self.log_identity)

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for items."""
        self.machine.budget_bytes = self.memory_bytes(part)

    async def shrink(self) -> None:
        """Bring the machine back into its budget: what it stores needs no acknowledgement."""
        if self.machine.over_budget():
            await in_thread(self.machine.shrink)

    def holds(self) -> int:
        """Rows, in memory or not, and items."""
        return self.machine.row_count + len(self.machine.items)

    def replays_to(self, end: int) -> None:
        """Take it that lists of rows which the replay makes anew may have been published."""
        self.machine.replayed_to = end

    def loops(self) -> list[Any]:
        """The saving loop, and the one that refreshes lists."""
        return [*super().loops(), self.refresher.run(), self.sellers.run(), self._warm_up()]

    async def _warm_up(self) -> None:
        """Put all lists on the board, as they are after the state was opened; then do nothing."""
        rows = np.arange(self.machine.row_count)
        for start in range(0, len(rows), WARMED_AT_ONCE):
            async with self.lock:
                await in_thread(self._peek, rows[start : start + WARMED_AT_ONCE])
        self.warm = True
        await asyncio.Event().wait()

    def _peek(self, rows: npt.NDArray[np.int64]) -> None:
        self.show(self.machine.peek(rows), np.arange(len(rows)))

    def show(self, lists: Lists, which: npt.NDArray[np.int64]) -> None:
        """Put lists that were just ranked on the board: those at the indices `which`."""
        self.context.boards.of(self.kind).view.put_lists(self.machine, lists, which, self._in_view)

    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Apply a chunk of deltas, in a thread: counting needs neither Python's lock nor the loop."""
        await in_thread(self._count, records)
        self.machine.position = chunk.end
        self.refresher.wake()

    def _count(self, records: list[Record]) -> None:
        machine = self.machine
        for record in records:
            raw = record.value or b""
            kind = message_type(raw)
            if kind == Type.COUNTS:
                deltas = decode(raw)
                events = machine.apply(deltas, record.offset)
                self.counters.events += events
                self.counters.pair_updates += 2 * len(deltas.near_items)
                self.refresher.counted(events, _published_ms(record))
            elif kind == Type.CATALOGUE:
                machine.apply_availability(decode_availability(raw), record.offset)
                self.refresher.counted(0, None)
            else:
                self.refresher.settle(record.offset + 1)

    def progress(self, worker: str) -> Progress:
        """How far it is, and how fresh its lists are."""
        progress = super().progress(worker)
        progress.listed = self.refresher.listed
        progress.staleness_ms, self.refresher.staleness_ms = self.refresher.staleness_ms, 0.0
        progress.latency_p50_ms, progress.latency_p99_ms = self.refresher.latency()
        return progress

    def events_budget(self) -> float:
        """Messages of deltas a restart may replay, from the events that they carried so far."""
        messages = max(1, self.position)
        per_message = max(1.0, self.machine.purchases / messages)
        return max(16.0, self.context.settings.replay_events / per_message)


def _published_ms(record: Any) -> float | None:
    """When the oldest purchase of a message was published, ms since 1970."""
    for name, value in record.headers:
        if name == "at":
            return float(int.from_bytes(value, "big"))
    return None
