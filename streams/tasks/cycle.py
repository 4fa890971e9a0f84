"""The cycle: it passes what was fetched of all partitions through all machines, again and again.

    1. events, history changes, the catalogue   are applied; what follows from them is sent at once
    2. deltas                                   are counted in rows
    3. rows                                     are ranked; the lists that changed are sent
    4. state                                    a slice of it is stored

Computing happens in threads, apart from the event loop and mostly outside Python's lock, one partition
beside the other if there is much to do; the loop moves chunks. What comes while a cycle works is the batch of
the next cycle, so under load the batches grow by themselves, and nothing waits for anything but the cycle
before. Nothing waits for Kafka either: what was sent is acknowledged later, and only what is acknowledged is
stored.

A cycle takes no more than some 100 ms of work, so that a purchase behind a load of some seconds does not wait
for all of it twice, once as an event and once as deltas. While more waits than a cycle takes, hardly any rows
are ranked. In a backlog (`streams.tasks.refresh`), in which everything is late, a cycle takes all there is.

A single purchase that comes after a pause takes a quick cycle: it is computed in the loop, because waking
the thread would take as long. Its deltas are back from Kafka after some milliseconds and take another quick
cycle, which ranks only the rows that they change. Rows that waited before, and the state, have to wait until
nothing comes for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from faust.types import TP

from streams.process.threads import whole
from streams.tasks.computing import Applied, Computing
from streams.tasks.customers import CustomerTask
from streams.tasks.intake import USUAL, Intake, Share
from streams.tasks.sending import Sending
from streams.tasks.storing import Storing
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.tasks.context import Context
    from streams.tasks.sending import DeltaChunks, Sources

log = logging.getLogger("alsobought")

POSTPONED_S = 0.05  # between two cycles while chunks are kept
IDLE_S = 0.2  # between two cycles without anything fetched
PAUSE_S = 0.02  # events that come so long after a cycle with others, and
FEW_RECORDS = 16  # are so few, and so small, take a quick cycle, as do their deltas
FEW_BYTES = 8 << 10
QUIET_S = 0.01  # what a quick cycle leaves waits until nothing came for so long,
POSTPONE_S = 0.05  # or for so long in all


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
    share
        What a cycle takes at most, unless a backlog is counted.
    threads
        In how many threads the machines of different partitions compute at the same time.

    Attributes
    ----------
    intake : Intake
        What was fetched and waits for the next cycles.
    """

    def __init__(
        self,
        tasks: Mapping[TP, Task],
        owns: Callable[[TP], bool],
        seek: Callable[[TP, int], Any],
        share: Share = USUAL,
        threads: int = 1,
    ) -> None:
        self._tasks = tasks
        self.intake = Intake(tasks, owns, share)
        self._wake = asyncio.Event()
        self.computing = Computing(tasks, threads)
        self._storing = Storing(tasks, self.computing)
        self._sending = Sending(tasks, owns, seek)
        self._fetched_at = float("-inf")  # when the last cycle with chunks began
        self._events_at = float("-inf")  # when the last cycle with events ended
        self._after_pause = True  # whether the last events came a while after that
        self._postponed_since: float | None = None  # when the first quick cycle after a whole one began

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Take in what was fetched."""
        self.intake.put(chunks)
        self._wake.set()

    def drop(self) -> None:
        """Forget what was fetched and not applied: partitions are read again from where their state is."""
        self.intake.drop()
        self._storing.forget_closed()

    async def run(self, context: Context) -> None:
        """Run cycles until cancelled."""
        while True:
            if not self.intake.has_more:
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
            await self._sending.read_again()

    def stop(self) -> None:
        """Let the cycle under way end without waiting for the group, which may be gone."""
        self._sending.stopping = True

    def close(self) -> None:
        """End the thread."""
        self.computing.close()

    # ------------------------------------------------------------------ one cycle

    async def _cycle(self, context: Context) -> None:
        begin = time.monotonic()
        sources, deltas = self.intake.take(begin)
        context.backlogs.counted((chunk for task, chunk in sources if isinstance(task, CustomerTask)), begin)
        taken = bool(sources or deltas)
        if taken:
            self._fetched_at = begin
        events = any(isinstance(task, CustomerTask) for task, _ in sources)
        if events:
            self._after_pause = begin - self._events_at >= PAUSE_S
        if self._is_quick(sources, deltas):
            await self._take_in(context, sources, deltas)
            self._took_in(context, begin)
            self._postponed_since = self._postponed_since or begin
            if begin - self._postponed_since >= POSTPONE_S:
                await self._whole_cycle(context, (), (), busy=True)
        elif taken or begin >= self._fetched_at + QUIET_S:
            await self._whole_cycle(context, sources, deltas, busy=taken)
        if events:
            self._events_at = time.monotonic()

    def _is_quick(self, sources: Sources, deltas: DeltaChunks) -> bool:
        """Return whether there are only events or only deltas, which are few and small, and those events or
        the last ones came after a pause.

        With both, what follows from the events would wait until the deltas are counted.
        """
        chunks = [*sources, *deltas]
        if not chunks or (sources and deltas) or not self._after_pause:
            return False
        if any(task.is_due for task in self.computing.crossing_tasks()):
            return False
        if any(task.refresher.settling for task in self.computing.item_tasks()):
            return False
        few = sum(len(chunk.records) for _, chunk in chunks) <= FEW_RECORDS
        small = sum(chunk.size_bytes for _, chunk in chunks) <= FEW_BYTES
        return few and small and all(task.is_quick(chunk.records) for task, chunk in chunks)

    async def _take_in(self, context: Context, sources: Sources, deltas: DeltaChunks) -> None:
        """Compute in the loop what follows from events, or from deltas, and send it."""
        if sources:
            self._sending.applied(context, sources, self.computing.apply_all(sources))
        else:
            await self._sending.counted(context, deltas, self.computing.count_and_rank_fresh(deltas))

    async def _whole_cycle(
        self, context: Context, sources: Sources, deltas: DeltaChunks, *, busy: bool
    ) -> None:
        begin, self._postponed_since = time.monotonic(), None
        computing = self.computing
        # the thread goes on with the deltas while the loop sends what follows from the events
        applying = self._begin_applying(sources)
        more = self.intake.is_pressed(sources)
        counting = computing.begin(computing.count_and_rank, deltas, busy, more, begin)
        try:
            if applying is not None:
                self._sending.applied(context, sources, await whole(applying))
        except BaseException:
            with contextlib.suppress(Exception):
                await whole(counting)  # nobody else may use the machines before its end
            raise
        await self._sending.counted(context, deltas, await whole(counting))
        if busy or sources or deltas:
            self._took_in(context, begin)
        else:
            self.intake.look_at_outstanding(context)
        await self._storing.save(context.settings.replay_ms / 1000, begin)
        await self._storing.shrink()

    def _took_in(self, context: Context, begin: float) -> None:
        self.intake.look_at_outstanding(context)
        context.measured.cycles.note(time.monotonic() - begin)

    def _begin_applying(self, sources: Sources) -> asyncio.Future[Applied] | None:
        """Begin to apply the chunks from which something is to be sent; return None if there is nothing."""
        if not sources and not any(task.is_due for task in self.computing.crossing_tasks()):
            return None
        return self.computing.begin(self.computing.apply_all, sources)

    def _pause_s(self) -> float:
        """Return how long the next cycle may wait for something to be fetched."""
        waits = [task.refresher.ready and task.refresher.has_waiting for task in self.computing.item_tasks()]
        if any(waits) or self._postponed_since is not None:
            return max(0.0, self._fetched_at + QUIET_S - time.monotonic())
        return POSTPONED_S if self.intake.postpones else IDLE_S
