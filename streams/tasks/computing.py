"""What a cycle computes, in a thread of its own unless it is quick: it applies events and deltas, and ranks
rows into lists.

Nothing here waits for anything but the machines: `streams.tasks.cycle` decides what is computed when, and
sends what follows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from faust.types import TP

from streams.kafka.outbox import Record
from streams.process.threads import begin_in, whole
from streams.tasks.items import ItemTask
from streams.tasks.list_writer import Ranked
from streams.tasks.outgoing import Outgoing
from streams.tasks.passes import RowNumbers, WaitingCounts
from streams.tasks.side_by_side import Job, SideBySide
from streams.tasks.task import Task
from streams.tasks.watched_bought import CrossingTask

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

Result = TypeVar("Result")

SLICE_ROWS = 512  # ranked and written in one go: some 20 ms and 4 MiB
FRESH_ROWS = 2_048  # ranked in a cycle, over all tasks
WAITING_ROWS = 192  # ranked of passes in a cycle that had something else to do,
PRESSED_ROWS = 32  # and if more waits to be counted
LEAST_ROWS = 64  # for which it pays to wake a thread: 5 ms
LEAST_BYTES = 32 << 10  # the same of chunks
BEHIND_SHARE = 0.5  # while a backlog is counted, ranking may take this share of the time for counting


class AppliedChunk(NamedTuple):
    """What follows from a chunk, and the task's position then; `outgoing` is None if something is missing
    before it.
    """

    task: Task
    chunk: Chunk
    position: int
    outgoing: Outgoing | None


class Transferred(NamedTuple):
    """The messages of a transfer of purchases (`state.watched_bought.exchange`), and the task that sends
    them.
    """

    task: Task
    position: int
    records: list[Record]


@dataclass
class Listed:
    """The result of one task's ranking in a cycle."""

    task: ItemTask
    batches: list[Ranked] = field(default_factory=list)
    counts: WaitingCounts = field(default_factory=WaitingCounts)
    settled: int = -1

    @property
    def says_something(self) -> bool:
        """Whether there is anything to send, or to note once Kafka has what was sent."""
        return bool(self.batches) or self.counts.since > 0 or self.settled >= 0


Applied = tuple[list[Transferred], list[AppliedChunk], list[Transferred]]
"""What is to be transferred before what follows from chunks, that, and what is to be transferred after it."""

Counted = tuple[list[AppliedChunk], list[Listed]]
"""What follows from chunks of deltas, and the lists to be published."""


class Computing:
    """The thread, and what it does with the open tasks of a worker.

    Attributes
    ----------
    counted_s : float
        The CPU seconds that applying chunks has taken.
    threads : int
        In how many threads it computes at the same time.
    """

    def __init__(self, tasks: Mapping[TP, Task], threads: int) -> None:
        self._tasks, self.threads = tasks, threads
        self._thread = ThreadPoolExecutor(1, "machines")
        self._beside = SideBySide(threads)
        self._turn = 0
        self.counted_s = 0.0

    def close(self) -> None:
        """End the threads."""
        self._thread.shutdown(wait=False)
        self._beside.close()

    def begin(self, function: Callable[..., Result], *args: Any) -> asyncio.Future[Result]:
        """Let the thread call a function, after those that it was given before.

        The result is to be awaited with `streams.process.threads.whole`.
        """
        return begin_in(self._thread, partial(function, *args))

    async def in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call a function in the thread."""
        return await whole(self.begin(function, *args))

    async def side_by_side(self, functions: Sequence[Callable[[], None]]) -> None:
        """Call functions that have nothing to do with one another, in the thread and in others."""
        await self.in_thread(self._beside.do, [Job(n, 1, one) for n, one in enumerate(functions)], 1)

    def item_tasks(self) -> list[ItemTask]:
        """Return the open tasks of deltas."""
        return [task for task in self._tasks.values() if isinstance(task, ItemTask)]

    def crossing_tasks(self) -> list[CrossingTask]:
        """Return the open tasks of history changes."""
        return [task for task in self._tasks.values() if isinstance(task, CrossingTask)]

    def apply_all(self, chunks: Sequence[tuple[Task, Chunk]]) -> Applied:
        """Return what follows from the chunks, and what is to be transferred before and after it."""
        return self._due(), self._take_all(chunks), self._due()

    def _due(self) -> list[Transferred]:
        return [
            Transferred(task, task.position, records)
            for crossing in self.crossing_tasks()
            if (task := crossing.customer_task) is not None and (records := crossing.due(task))
        ]

    def _take_all(self, chunks: Sequence[tuple[Task, Chunk]]) -> list[AppliedChunk]:
        applied: dict[int, AppliedChunk] = {}

        def take(place: int, task: Task, chunk: Chunk) -> None:
            outgoing = task.take(chunk)
            applied[place] = AppliedChunk(task, chunk, task.position, outgoing)

        jobs = [
            Job(chunk.tp.partition, chunk.size_bytes, partial(take, place, task, chunk))
            for place, (task, chunk) in enumerate(chunks)
        ]
        self.counted_s += self._beside.do(jobs, LEAST_BYTES)
        return [applied[place] for place in range(len(chunks))]

    def count_and_rank(
        self, deltas: Sequence[tuple[ItemTask, Chunk]], busy: bool, more: bool, begin: float
    ) -> Counted:
        """Count deltas, and rank the lists that follow.

        Parameters
        ----------
        busy
            Whether anything was fetched.
        more
            Whether more of that waits for the next cycle.
        begin
            When the cycle began, by the monotonic clock.

        Returns
        -------
        What follows from the chunks, and the lists to be published.
        """
        applied = self._take_all(deltas)
        counted_s = time.monotonic() - begin
        self._turn += 1
        listed = self._listed()
        self._rank_fresh(listed, 0 if more else FRESH_ROWS)
        self._rank_waiting(listed, PRESSED_ROWS if more else WAITING_ROWS if busy else SLICE_ROWS, counted_s)
        return applied, [one for one in listed if one.says_something]

    def count_and_rank_fresh(self, deltas: Sequence[tuple[ItemTask, Chunk]]) -> Counted:
        """Count deltas, and rank only the rows that they change; return as `count_and_rank` does."""
        applied, listed = self._take_all(deltas), self._listed()
        self._rank_fresh(listed, FRESH_ROWS)
        return applied, [one for one in listed if one.says_something]

    def _listed(self) -> list[Listed]:
        """Return the results of ranking to be filled: of those tasks that may publish lists, in turns."""
        tasks = [task for task in self.item_tasks() if task.refresher.ready]
        if tasks:
            tasks = tasks[self._turn % len(tasks) :] + tasks[: self._turn % len(tasks)]
        return [Listed(task) for task in tasks]

    def _rank_fresh(self, listed: Sequence[Listed], left: int) -> None:
        jobs = []
        for one in listed:
            refresher = one.task.refresher
            rows = refresher.fresh(left)
            left -= len(rows)
            jobs += [
                _ranking(one, refresher.rank_fresh, rows[start : start + SLICE_ROWS])
                for start in range(0, len(rows), SLICE_ROWS)
            ]
            one.counts = refresher.listed_counts()
        self._beside.do(jobs, LEAST_ROWS)

    def _rank_waiting(self, listed: Sequence[Listed], most: int, counted_s: float) -> None:
        """Rank at most so many rows of passes in each thread, but in a backlog for a share of the time."""
        begin = time.monotonic()
        behind = any(one.task.refresher.behind for one in listed)
        most, limit_s = (SLICE_ROWS, BEHIND_SHARE * counted_s) if behind else (most, 0.0)
        jobs: list[Job] = []
        at_once = self.threads if most >= LEAST_ROWS else 1
        for one in listed:
            refresher, partition = one.task.refresher, one.task.tp.partition
            if any(job.partition == partition for job in jobs):
                continue  # one thread would do both
            rows, exact = refresher.waiting(most)
            if len(rows):
                jobs.append(_ranking(one, partial(refresher.rank, exact=exact), rows))
            ended = refresher.passed()
            if ended is not None:
                one.settled = max(one.settled, ended.position)
                one.counts = one.counts.with_later(ended.counts)
            if len(jobs) == at_once:
                self._beside.do(jobs, LEAST_ROWS)
                jobs = []
                if time.monotonic() - begin > limit_s:
                    break
        self._beside.do(jobs, LEAST_ROWS)


def _ranking(listed: Listed, rank: Callable[[RowNumbers], Ranked | None], rows: RowNumbers) -> Job:
    """Return the job of ranking rows, and of adding their lists to the result of a task."""

    def do() -> None:
        ranked = rank(rows)
        if ranked is not None:
            listed.batches.append(ranked)

    return Job(listed.task.tp.partition, len(rows), do)
