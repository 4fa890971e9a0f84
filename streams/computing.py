"""What a cycle computes, in threads of its own: events and deltas through their machines, rows into lists.

Nothing here waits for anything but the machines: `streams.cycle` decides what is computed when, and sends
what follows. Item tasks are divided among threads only if there is much to do; a task's machine is in one
thread at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from faust.types import TP

from streams.crossing_task import CrossingTask
from streams.item_task import ItemTask
from streams.outbox import Record
from streams.passes import Counts
from streams.refresh import Ranked
from streams.tasks import Outgoing, Task
from streams.threads import in_thread_of

if TYPE_CHECKING:
    from streams.transport import Chunk

Result = TypeVar("Result")

THREADS = min(4, os.cpu_count() or 1)
SIDE_BY_SIDE_BYTES = 64 << 10  # of deltas: a backlog; below it Kafka needs the other core
SLICE_ROWS = 512  # ranked and written in one go: some 20 ms and 4 MiB
FRESH_ROWS = 2_048  # of a cycle, over all tasks
WAITING_ROWS = 192  # of passes in a cycle that had something else to do
BEHIND_SHARE = 0.5  # of the time for counting that ranking may take beside it while a backlog is counted


class Applied(NamedTuple):
    """What follows from a chunk, and the task's position then; None if something before it is missing."""

    task: Task
    chunk: Chunk
    position: int
    outgoing: Outgoing | None


class Part(NamedTuple):
    """The item tasks that one thread works on in a cycle, and what came for them."""

    tasks: list[ItemTask]
    deltas: list[tuple[ItemTask, Chunk]]
    fresh_rows: int  # at most


class Transferred(NamedTuple):
    """What is sent for a partition's purchases to be published (`state.exchange`); where these are then."""

    task: Task
    position: int
    records: list[Record]


@dataclass
class Listed:
    """What one task's ranking brought out in a cycle."""

    task: ItemTask
    batches: list[Ranked] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    settled: int = -1

    @property
    def says_something(self) -> bool:
        """Whether anything is to be sent, or noted once what was sent is in Kafka."""
        return bool(self.batches) or self.counts.since > 0 or self.settled >= 0


class Computing:
    """The threads, and what they do with the open tasks of a worker.

    Attributes
    ----------
    counted_s : float
        CPU seconds that applying chunks has taken.
    """

    def __init__(self, tasks: Mapping[TP, Task]) -> None:
        self._tasks = tasks
        self._threads = ThreadPoolExecutor(THREADS + 1, "machines")
        self._turn = 0
        self._noting = threading.Lock()
        self.counted_s = 0.0

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)

    async def in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call a function in one of the threads."""
        return await in_thread_of(self._threads, partial(function, *args))

    def item_tasks(self) -> list[ItemTask]:
        """The open tasks of deltas."""
        return [task for task in self._tasks.values() if isinstance(task, ItemTask)]

    def crossing_tasks(self) -> list[CrossingTask]:
        """The open tasks of first events."""
        return [task for task in self._tasks.values() if isinstance(task, CrossingTask)]

    def parts(self, deltas: list[tuple[ItemTask, Chunk]]) -> list[Part]:
        """The item tasks, divided among threads if there is much to do; another one comes first each time."""
        tasks = self.item_tasks()
        self._turn += 1
        tasks = tasks[self._turn % max(1, len(tasks)) :] + tasks[: self._turn % max(1, len(tasks))]
        much = sum(chunk.size_bytes for _, chunk in deltas) >= SIDE_BY_SIDE_BYTES
        much = much or any(task.refresher.settling for task in tasks)
        n = max(1, min(THREADS, len(tasks))) if much else 1
        parts = []
        for i in range(n):
            some = tasks[i::n]
            theirs = [(task, chunk) for task, chunk in deltas if task in some]
            parts.append(Part(some, theirs, FRESH_ROWS // n))
        return parts

    def apply_all(
        self, chunks: Sequence[tuple[Task, Chunk]]
    ) -> tuple[list[Transferred], list[Applied], list[Transferred]]:
        """What follows from the chunks; and what is to be transferred before that and after it."""
        begin = time.thread_time()
        before = self._due()
        applied = self._take_all(chunks)
        after = self._due()
        self._note_counted(time.thread_time() - begin)
        return before, applied, after

    def _due(self) -> list[Transferred]:
        return [
            Transferred(task, task.position, records)
            for crossing in self.crossing_tasks()
            if (task := crossing.customer_task) is not None and (records := crossing.due(task))
        ]

    def _take_all(self, chunks: Sequence[tuple[Task, Chunk]]) -> list[Applied]:
        applied = []
        for task, chunk in chunks:
            outgoing = task.take(chunk)
            applied.append(Applied(task, chunk, task.position, outgoing))
        return applied

    def _note_counted(self, seconds: float) -> None:
        with self._noting:
            self.counted_s += seconds

    def count_and_rank(self, part: Part, busy: bool, begin: float) -> tuple[list[Applied], list[Listed]]:
        """Count what came for some item tasks, and rank their lists.

        Parameters
        ----------
        busy
            Whether anything was fetched.
        begin
            When the cycle began, by the monotonic clock.

        Returns
        -------
        What the chunks came to, and the lists that say something new.
        """
        start = time.thread_time()
        applied = self._take_all(part.deltas)
        counted_s = time.monotonic() - begin
        self._note_counted(time.thread_time() - start)
        tasks = [task for task in part.tasks if task.refresher.ready]
        if not tasks:
            return applied, []
        listed = {task: Listed(task) for task in tasks}
        self._rank_fresh(tasks, listed, part.fresh_rows)
        self._rank_waiting(tasks, listed, busy, counted_s)
        return applied, [one for one in listed.values() if one.says_something]

    def _rank_fresh(self, tasks: Sequence[ItemTask], listed: Mapping[ItemTask, Listed], most: int) -> None:
        for task in tasks:
            rows = task.refresher.fresh(most)
            most -= len(rows)
            for start in range(0, len(rows), SLICE_ROWS):
                _add(listed[task], task.refresher.rank_fresh(rows[start : start + SLICE_ROWS]))
            listed[task].counts = task.refresher.listed_counts()

    def _rank_waiting(
        self, tasks: Sequence[ItemTask], listed: Mapping[ItemTask, Listed], busy: bool, counted_s: float
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


def _add(listed: Listed, ranked: Ranked | None) -> None:
    if ranked is not None:
        listed.batches.append(ranked)
