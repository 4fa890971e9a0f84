"""The cycle: what was fetched of all partitions goes through all machines in one pass, again and again.

    1. events, first events, the catalogue   through their machines; what follows from them is sent at once
    2. deltas                                into rows
    3. rows                                  ranked; the lists that changed are sent
    4. state                                 a slice of it is stored

All computing happens in threads, apart from the event loop and mostly outside Python's lock; the loop
moves chunks. Where there is much to do, as in a backlog, 1 is done beside 2 and 3, and these for some
partitions beside others; where there is little, threads would only wait for one another. What comes while
a cycle works is the next cycle's batch, so load batches itself and nothing waits for anything but the cycle
before. Nothing waits for Kafka either: what was sent is acknowledged by and by, and only what is
acknowledged is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from faust.types import TP

from state.saving import Pace
from streams.crossing_task import CrossingTask
from streams.item_task import ItemTask
from streams.outbox import Record
from streams.refresh import Counts, Ranked
from streams.tasks import Outgoing, Task
from streams.threads import in_thread_of

if TYPE_CHECKING:
    from streams.context import Context
    from streams.transport import Chunk

log = logging.getLogger("alsobought")

Result = TypeVar("Result")

THREADS = min(4, os.cpu_count() or 1)
SIDE_BY_SIDE_BYTES = 4 << 10  # of deltas: from so much on it pays to count some partitions beside others
MOST_RECORDS = 20_000  # fetched and not yet taken by a cycle; more is left in Kafka
MOST_BYTES = 16 << 20
SLICE_ROWS = 512  # ranked and written in one go: some 20 ms and 4 MiB
FRESH_ROWS = 2_048  # of a cycle, over all tasks
WAITING_ROWS = 192  # of passes in a cycle that had something else to do
BEHIND_SHARE = 0.5  # of the time for counting that ranking may take beside it while a backlog is counted
POSTPONED_S = 0.05  # between two cycles while chunks are kept
IDLE_S = 0.2  # between two cycles without anything fetched
SAVE_EVERY_S = 0.5
SWEEP_PAUSE = 4  # times as long between the end of a sweep over a task's state and the next one
SAVES_AT_ONCE_S = 0.02  # that a cycle may spend on storing state, or
SAVES_SHARE = 0.2  # so much of the time that it took before
OUTSTANDING_MESSAGES = 8  # of deltas from each source partition, on their way to us: more events wait


class _Applied(NamedTuple):
    """What follows from a chunk, and the task's position then; None if something before it is missing."""

    task: Task
    chunk: Chunk
    position: int
    outgoing: Outgoing | None


class _Part(NamedTuple):
    """The item tasks that one thread works on in a cycle, and what came for them."""

    tasks: list[ItemTask]
    deltas: list[tuple[ItemTask, Chunk]]
    fresh_rows: int  # at most


class _Transferred(NamedTuple):
    """What is sent for a partition's purchases to be published (`state.exchange`); where these are then."""

    task: Task
    position: int
    records: list[Record]


@dataclass
class _Listed:
    """What one task's ranking brought out in a cycle."""

    task: ItemTask
    batches: list[Ranked] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    settled: int = -1

    @property
    def says_something(self) -> bool:
        """Whether anything is to be sent, or noted once what was sent is in Kafka."""
        return bool(self.batches) or self.counts.since > 0 or self.settled >= 0


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
        Set while more may be fetched.
    holds_events : bool
        Whether events are to be left in Kafka for now: their deltas have piled up.
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
        self._threads = ThreadPoolExecutor(THREADS + 1, "machines")
        self._turn = 0
        self._counted_s = 0.0  # of a core, that all applying of chunks took
        self._noting = threading.Lock()
        self._paces: dict[TP, Pace] = {}
        self._stopping = False
        self._again: list[Task] = []  # something before what came is missing
        self._saved_at: dict[TP, tuple[float, int]] = {}  # when a slice was stored last; of which position
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.holds_events = False

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Take in what was fetched."""
        self._inbox += chunks
        self._count_inbox()
        self._wake.set()

    def _count_inbox(self) -> None:
        """Have no more fetched while too much waits."""
        held = (*self._inbox, *self._kept)
        if (
            sum(len(chunk.records) for chunk in held) < MOST_RECORDS
            and sum(chunk.size_bytes for chunk in held) < MOST_BYTES
        ):
            self.has_room.set()
        else:
            self.has_room.clear()

    def wake(self) -> None:
        """Have a cycle soon, though nothing was fetched."""
        self._wake.set()

    def drop(self) -> None:
        """Forget what was fetched and not applied: partitions are read again from where their state is."""
        self._inbox, self._kept = [], []
        self._paces = {tp: pace for tp, pace in self._paces.items() if tp in self._tasks}
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
        """Let the cycle under way end without waiting for the group: it may be gone."""
        self._stopping = True

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)

    async def _in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        return await in_thread_of(self._threads, partial(function, *args))

    # ------------------------------------------------------------------ one cycle

    async def _cycle(self, context: Context) -> None:
        begin = time.monotonic()
        chunks, self._inbox = self._inbox, []
        sources, deltas = self._sorted_out(chunks, begin)
        self._count_inbox()
        parts = self._parts(deltas)
        if len(parts) > 1:
            applying = self._apply(context, sources)
            await _all(applying, self._count(context, parts, bool(chunks), begin))
        else:
            await self._apply(context, sources)
            await self._count(context, parts, bool(chunks), begin)
        self._look_at_outstanding(context)
        await self._save(context, begin)
        await self._shrink()

    async def _apply(self, context: Context, sources: Sequence[tuple[Task, Chunk]]) -> None:
        """Apply what follows something to be sent from, and send it."""
        if not sources and not any(task.is_due for task in self._crossing_tasks()):
            return
        before, applied, after = await self._in_thread(self._apply_all, sources)
        self._send_transfers(context, before)
        self._send(context, applied)
        self._send_transfers(context, after)
        for task in {task.tp: task for task, _ in sources}.values():
            task.took_in()

    async def _count(self, context: Context, parts: Sequence[_Part], busy: bool, begin: float) -> None:
        """Count deltas, and rank and send the lists that follow."""
        done = await _all(*(self._in_thread(self._count_and_rank, part, busy, begin) for part in parts))
        for task, chunk in (one for missed, _ in done for one in missed):
            self._miss(task, chunk)
        for task, _ in (one for part in parts for one in part.deltas):
            task.unacknowledged.add(task.position, ())
            task.took_in()
        if listed := [one for _, some in done for one in some]:
            await context.lease.wait("lists", lambda: self._stopping)
            for one in listed:
                self._send_lists(context, one)

    def _parts(self, deltas: list[tuple[ItemTask, Chunk]]) -> list[_Part]:
        """The item tasks, divided among threads if there is much to do; another one comes first each time."""
        tasks = self._item_tasks()
        self._turn += 1
        tasks = tasks[self._turn % max(1, len(tasks)) :] + tasks[: self._turn % max(1, len(tasks))]
        much = sum(chunk.size_bytes for _, chunk in deltas) >= SIDE_BY_SIDE_BYTES
        much = much or any(task.refresher.ready and task.refresher.has_waiting for task in tasks)
        n = max(1, min(THREADS, len(tasks))) if much else 1
        parts = []
        for i in range(n):
            some = tasks[i::n]
            theirs = [(task, chunk) for task, chunk in deltas if task in some]
            parts.append(_Part(some, theirs, FRESH_ROWS // n))
        return parts

    def _sorted_out(
        self, chunks: Sequence[Chunk], now: float
    ) -> tuple[list[tuple[Task, Chunk]], list[tuple[ItemTask, Chunk]]]:
        """What is for which task: of those that send on, and of item tasks. What is postponed is kept."""
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

    def _send(self, context: Context, applied: Sequence[_Applied]) -> None:
        for task, chunk, position, outgoing in applied:
            if outgoing is None:
                self._miss(task, chunk)
            else:
                task.unacknowledged.add(position, context.outbox.send_all(outgoing.records))

    def _send_transfers(self, context: Context, transferred: Sequence[_Transferred]) -> None:
        for task, position, records in transferred:
            # all of it is in Kafka before the store says that it is published
            task.unacknowledged.add(position, context.outbox.send_all(records))

    def _miss(self, task: Task, chunk: Chunk) -> None:
        log.warning("%s is at %d, got a chunk from %d: reading again", task.name, task.position, chunk.start)
        self._again.append(task)

    async def _read_again(self) -> None:
        """Seek what is to be read again, without the lock: a rebalance that wants it may be waited for."""
        again, self._again = self._again, []
        for task in again:
            if self._tasks.get(task.tp) is task:
                await self._seek(task.tp, task.position)

    def _send_lists(self, context: Context, listed: _Listed) -> None:
        refresher = listed.task.refresher
        if not context.lease.held or not self._owns(listed.task.tp):
            # another may have it by now and know more; if it stays ours, they are ranked and sent again
            refresher.unsent([ranked.rows for ranked in listed.batches], listed.counts, listed.settled)
            return
        batches = [
            (context.outbox.send_framed(refresher.tp, ranked.framed), ranked.framed.n)
            for ranked in listed.batches
        ]
        refresher.sent(batches, listed.counts, listed.settled)

    # ------------------------------------------------------------------ in the thread

    def _apply_all(
        self, chunks: Sequence[tuple[Task, Chunk]]
    ) -> tuple[list[_Transferred], list[_Applied], list[_Transferred]]:
        """What follows from the chunks; and what is to be transferred before that and after it."""
        begin = time.thread_time()
        before = self._due()
        applied = []
        for task, chunk in chunks:
            outgoing = task.take(chunk)
            applied.append(_Applied(task, chunk, task.position, outgoing))
        after = self._due()
        self._note_counted(time.thread_time() - begin)
        return before, applied, after

    def _due(self) -> list[_Transferred]:
        return [
            _Transferred(task, task.position, records)
            for crossing in self._crossing_tasks()
            if (task := crossing.customer_task) is not None and (records := crossing.due(task))
        ]

    def _note_counted(self, seconds: float) -> None:
        with self._noting:
            self._counted_s += seconds

    def _count_and_rank(
        self, part: _Part, busy: bool, begin: float
    ) -> tuple[list[tuple[ItemTask, Chunk]], list[_Listed]]:
        start = time.thread_time()
        missed = [(task, chunk) for task, chunk in part.deltas if task.take(chunk) is None]
        counted_s = time.monotonic() - begin
        self._note_counted(time.thread_time() - start)
        tasks = [task for task in part.tasks if task.refresher.ready]
        if not tasks:
            return missed, []
        listed = {task: _Listed(task) for task in tasks}
        self._rank_fresh(tasks, listed, part.fresh_rows)
        self._rank_waiting(tasks, listed, busy, counted_s)
        return missed, [one for one in listed.values() if one.says_something]

    def _rank_fresh(self, tasks: Sequence[ItemTask], listed: Mapping[ItemTask, _Listed], most: int) -> None:
        for task in tasks:
            rows = task.refresher.fresh(most)
            most -= len(rows)
            for start in range(0, len(rows), SLICE_ROWS):
                _add(listed[task], task.refresher.rank_fresh(rows[start : start + SLICE_ROWS]))
            listed[task].counts = task.refresher.listed_counts()

    def _rank_waiting(
        self, tasks: Sequence[ItemTask], listed: Mapping[ItemTask, _Listed], busy: bool, counted_s: float
    ) -> None:
        """Rank some rows of passes: in a backlog for a share of the time, else few if there is more to do."""
        begin = time.monotonic()
        behind = any(task.refresher.behind for task in tasks)
        most = SLICE_ROWS if behind or not busy else WAITING_ROWS
        limit_s = BEHIND_SHARE * counted_s if behind else 0.0
        for task in tasks:
            rows, exact = task.refresher.waiting(most)
            if len(rows):
                _add(listed[task], task.refresher.rank(rows, exact=exact))
            ended = task.refresher.passed()
            if ended is not None:
                one = listed[task]
                one.settled = max(one.settled, ended.position)
                one.counts = one.counts.with_later(ended.counts)
            if len(rows) and time.monotonic() - begin > limit_s:
                break

    # ------------------------------------------------------------------ pressure

    def _look_at_outstanding(self, context: Context) -> None:
        """Leave events in Kafka while the deltas of earlier ones pile up: they would only make lists late."""
        most = OUTSTANDING_MESSAGES * context.partitions
        self.holds_events = any(
            context.outbox.end_of(task.tp) - task.position > most for task in self._item_tasks()
        )

    def _pause_s(self) -> float:
        """How long the next cycle may wait for something to be fetched."""
        if any(task.refresher.ready and task.refresher.has_waiting for task in self._item_tasks()):
            return 0.0
        return POSTPONED_S if self._kept else IDLE_S

    def _item_tasks(self) -> list[ItemTask]:
        return [task for task in self._tasks.values() if isinstance(task, ItemTask)]

    def _crossing_tasks(self) -> list[CrossingTask]:
        return [task for task in self._tasks.values() if isinstance(task, CrossingTask)]

    # ------------------------------------------------------------------ storing

    async def _save(self, context: Context, now: float) -> None:
        """Store slices of those tasks whose turn it is, as long as there is time in this cycle."""
        begin = time.monotonic()
        limit_s = max(SAVES_AT_ONCE_S, SAVES_SHARE * (begin - now))
        for tp, task in self._by_age():
            # what was just opened has nothing that its store has not
            saved_at, position = self._saved_at.get(tp, (0.0, task.saver.stored))
            if now - saved_at < SAVE_EVERY_S:
                return
            if not task.saver.sweeping and now - saved_at < SWEEP_PAUSE * SAVE_EVERY_S:
                continue  # what changes all the time is written once in a while
            if task.position == position and task.saver.stored >= position:
                self._saved_at[tp] = now, position  # nothing new
                await self._in_thread(task.saver.check)
                continue
            if not task.may_be_stored:
                continue
            self._saved_at[tp] = now, task.position
            await self._in_thread(task.saver.step, self._pace_of(context, tp).share(self._counted_s))
            if time.monotonic() - begin > limit_s:
                return

    def _pace_of(self, context: Context, tp: TP) -> Pace:
        """How fast a task's state is stored: by the time all counting takes, as a replay does it again."""
        if tp not in self._paces:
            self._paces[tp] = Pace(context.settings.replay_ms / 1000, self._counted_s)
        return self._paces[tp]

    def _by_age(self) -> list[tuple[TP, Task]]:
        """The tasks, those first of which nothing was stored for longest."""
        return sorted(self._tasks.items(), key=lambda one: self._saved_at.get(one[0], (0.0, -1))[0])

    async def _shrink(self) -> None:
        """Bring machines that hold more than their budget back into it."""
        for task in list(self._tasks.values()):
            if task.saver.over_budget():
                await task.unacknowledged.wait()
                await self._in_thread(task.saver.shrink)


async def _all(*jobs: Awaitable[Result]) -> list[Result]:
    """What the jobs return; the first error of one of them, once all have ended: they use the machines."""
    done = await asyncio.gather(*jobs, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return done  # type: ignore[return-value]


def _add(listed: _Listed, ranked: Ranked | None) -> None:
    if ranked is not None:
        listed.batches.append(ranked)
