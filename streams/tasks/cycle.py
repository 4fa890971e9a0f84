"""The cycle: it passes what was fetched of all partitions through all machines, again and again.

    1. events, history changes, the catalogue   are applied; what follows from them is sent at once
    2. deltas                                   are counted in rows
    3. rows                                     are ranked; the lists that changed are sent
    4. state                                    a slice of it is stored

All computing happens in one thread, apart from the event loop and mostly outside Python's lock; the loop
moves chunks. What comes while a cycle works is the batch of the next cycle, so under load the batches grow by
themselves, and nothing waits for anything but the cycle before. Nothing waits for Kafka either: what was sent
is acknowledged later, and only what is acknowledged is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from faust.types import TP

from streams.process.threads import whole
from streams.tasks.computing import Applied, AppliedChunk, Computing, Counted, Listed, Transferred
from streams.tasks.items import ItemTask
from streams.tasks.storing import Storing
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.tasks.context import Context

log = logging.getLogger("alsobought")

Result = TypeVar("Result")

MOST_RECORDS = 20_000  # fetched and not yet taken by a cycle; more is left in Kafka
MOST_BYTES = 16 << 20
POSTPONED_S = 0.05  # between two cycles while chunks are kept
IDLE_S = 0.2  # between two cycles without anything fetched
OUTSTANDING_MESSAGES = 8  # deltas on their way from each source partition; with more, events wait


class Cycle:
    """Runs the open tasks of a worker.

    Parameters
    ----------
    tasks
        The open tasks.
    owns
        Whether a partition is this worker's by the newest assignment.
    seek
        Reads a partition again from an offset.

    Attributes
    ----------
    has_room : asyncio.Event
        It is set while more may be fetched.
    holds_events : bool
        Whether events shall stay in Kafka for now, because their deltas have piled up.
    """

    def __init__(
        self,
        tasks: Mapping[TP, Task],
        owns: Callable[[TP], bool],
        seek: Callable[[TP, int], Any],
    ) -> None:
        self._tasks, self._owns, self._seek = tasks, owns, seek
        self._inbox: list[Chunk] = []
        self._kept: list[Chunk] = []  # of tasks that postpone them
        self._wake = asyncio.Event()
        self.computing = Computing(tasks)
        self._storing = Storing(tasks, self.computing)
        self._stopping = False
        self._again: list[Task] = []  # tasks of which something is missing and must be read again
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.holds_events = False

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Take in what was fetched."""
        self._inbox += chunks
        self._count_inbox()
        self._wake.set()

    def _count_inbox(self) -> None:
        """Stop fetching while too much waits."""
        held = (*self._inbox, *self._kept)
        if (
            sum(len(chunk.records) for chunk in held) < MOST_RECORDS
            and sum(chunk.size_bytes for chunk in held) < MOST_BYTES
        ):
            self.has_room.set()
        else:
            self.has_room.clear()

    def wake(self) -> None:
        """Run a cycle soon, though nothing was fetched."""
        self._wake.set()

    def fetched_bytes(self) -> int:
        """Return the size of what was fetched and is not applied yet."""
        return sum(chunk.size_bytes for chunk in (*self._inbox, *self._kept))

    def drop(self) -> None:
        """Forget what was fetched and not applied: partitions are read again from where their state is."""
        self._inbox, self._kept = [], []
        self._storing.forget_closed()
        self._count_inbox()

    async def run(self, context: Context) -> None:
        """Run cycles until cancelled."""
        while True:
            if not self._inbox:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._wake.wait()
            self._wake.clear()
            if not self._tasks:
                await asyncio.sleep(IDLE_S)
                continue
            await context.outbox.room()
            await context.lease.wait("the worker")
            async with context.lock:
                await self._cycle(context)
            await self._read_again()

    def stop(self) -> None:
        """Let the cycle under way end without waiting for the group, which may be gone."""
        self._stopping = True

    def close(self) -> None:
        """End the thread."""
        self.computing.close()

    # ------------------------------------------------------------------ one cycle

    async def _cycle(self, context: Context) -> None:
        begin = time.monotonic()
        chunks, self._inbox = self._inbox, []
        sources, deltas = self._sorted_out(chunks, begin)
        self._count_inbox()
        computing = self.computing
        # the thread goes on with the deltas while the loop sends what follows from the events
        applying = self._begin_applying(sources)
        counting = computing.begin(computing.count_and_rank, deltas, bool(chunks), begin)
        try:
            if applying is not None:
                await self._apply(context, sources, applying)
        except BaseException:
            with contextlib.suppress(Exception):
                await whole(counting)  # nobody else may use the machines before its end
            raise
        await self._count(context, deltas, counting)
        self._look_at_outstanding(context)
        if chunks:
            context.measured.cycles.note(time.monotonic() - begin)
        await self._storing.save(context.settings.replay_ms / 1000, begin)
        await self._storing.shrink()

    def _begin_applying(self, sources: Sequence[tuple[Task, Chunk]]) -> asyncio.Future[Applied] | None:
        """Begin to apply the chunks from which something is to be sent; return None if there is nothing."""
        if not sources and not any(task.is_due for task in self.computing.crossing_tasks()):
            return None
        return self.computing.begin(self.computing.apply_all, sources)

    async def _apply(
        self, context: Context, sources: Sequence[tuple[Task, Chunk]], applying: asyncio.Future[Applied]
    ) -> None:
        """Send what follows from the chunks that are applied."""
        before, applied, after = await whole(applying)
        self._send_transfers(context, before)
        self._send(context, applied)
        self._send_transfers(context, after)
        for task in {task.tp: task for task, _ in sources}.values():
            task.took_in()

    async def _count(
        self, context: Context, deltas: Sequence[tuple[ItemTask, Chunk]], counting: asyncio.Future[Counted]
    ) -> None:
        """Send the lists that follow from deltas that are counted."""
        applied, listed = await whole(counting)
        self._send(context, applied)
        for task in {task.tp: task for task, _ in deltas}.values():
            task.took_in()
        if listed:
            await context.lease.wait("lists", lambda: self._stopping)
            for one in listed:
                self._send_lists(context, one)

    def _sorted_out(
        self, chunks: Sequence[Chunk], now: float
    ) -> tuple[list[tuple[Task, Chunk]], list[tuple[ItemTask, Chunk]]]:
        """Return the chunks by task: those of tasks that send on, and those of item tasks.

        Chunks of tasks that postpone them are kept.
        """
        sources: list[tuple[Task, Chunk]] = []
        deltas: list[tuple[ItemTask, Chunk]] = []
        waits: dict[TP, bool] = {}
        kept: list[Chunk] = []
        for chunk in (*self._kept, *chunks):
            task = self._tasks.get(chunk.tp)
            if task is None or not self._owns(chunk.tp):
                continue  # of a partition lost in a rebalance: its new owner reads it
            if isinstance(task, ItemTask):
                deltas.append((task, chunk))
                continue
            if chunk.tp not in waits:
                waits[chunk.tp] = task.postpones(now)
            if waits[chunk.tp]:
                kept.append(chunk)
            else:
                sources.append((task, chunk))
        self._kept = kept
        return sources, deltas

    def _send(self, context: Context, applied: Sequence[AppliedChunk]) -> None:
        for task, chunk, position, outgoing in applied:
            if outgoing is None:
                self._miss(task, chunk)
            else:
                sent = context.outbox.send_all(outgoing.records)
                task.unacknowledged.add(position, sent)
                if outgoing.followed is not None:
                    outgoing.followed.end_with(sent)

    def _send_transfers(self, context: Context, transferred: Sequence[Transferred]) -> None:
        for task, position, records in transferred:
            # all of it is in Kafka before the store says that it is published
            task.unacknowledged.add(position, context.outbox.send_all(records))

    def _miss(self, task: Task, chunk: Chunk) -> None:
        log.warning("%s is at %d, got a chunk from %d: reading again", task.name, task.position, chunk.start)
        self._again.append(task)

    async def _read_again(self) -> None:
        """Seek what is to be read again, without the lock, because a rebalance that wants it may be waited
        for.
        """
        again, self._again = self._again, []
        for task in again:
            if self._tasks.get(task.tp) is task:
                await self._seek(task.tp, task.position)

    def _send_lists(self, context: Context, listed: Listed) -> None:
        refresher = listed.task.refresher
        if not context.lease.held or not self._owns(listed.task.tp):
            # another worker may own it by now and know more; if it stays ours, they are ranked and sent again
            refresher.unsent([ranked.rows for ranked in listed.batches], listed.counts, listed.settled)
            return
        batches = [
            (context.outbox.send_framed(refresher.tp, ranked.framed), ranked.framed.n)
            for ranked in listed.batches
        ]
        refresher.sent(batches, listed.counts, listed.settled)

    # ------------------------------------------------------------------ pressure

    def _look_at_outstanding(self, context: Context) -> None:
        """Leave events in Kafka while the deltas of earlier ones pile up, as
        they would only make lists late.
        """
        most = OUTSTANDING_MESSAGES * context.partitions
        self.holds_events = any(
            context.outbox.end_of(task.tp) - task.position > most for task in self.computing.item_tasks()
        )

    def _pause_s(self) -> float:
        """Return how long the next cycle may wait for something to be fetched."""
        if any(task.refresher.ready and task.refresher.has_waiting for task in self.computing.item_tasks()):
            return 0.0
        return POSTPONED_S if self._kept else IDLE_S
