"""Which slices of the tasks' state a cycle stores, and when (fuzzy checkpoints: `state.storage.saving`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from faust.types import TP

from state.storage.saving import Pace
from streams.tasks.computing import Computing
from streams.tasks.task import Task

SAVE_EVERY_S = 0.5
SWEEP_PAUSE = 4  # the pause between two sweeps over a task's state, in times of a sweep
SAVES_AT_ONCE_S = 0.02  # a cycle may spend so long on storing state, or
SAVES_SHARE = 0.3  # this share of the time that it took before
SLICE_RECORDS = 128  # written in one go: some 10 ms


class Storing:
    """Stores slices of the open tasks' state, so that a restart repeats at most so much counting.

    Parameters
    ----------
    tasks
        The open tasks.
    computing
        The thread in which slices are stored; it also knows how long counting has taken.
    """

    def __init__(self, tasks: Mapping[TP, Task], computing: Computing) -> None:
        self._tasks, self._computing = tasks, computing
        self._paces: dict[TP, Pace] = {}
        self._saved_at: dict[TP, tuple[float, int]] = {}  # when a turn began last, and at which position
        self._owed: dict[TP, float] = {}  # shares of sweeps for which a turn had no time

    def forget_closed(self) -> None:
        """Forget the pace of tasks that are no longer open."""
        self._paces = {tp: pace for tp, pace in self._paces.items() if tp in self._tasks}
        self._owed = {tp: share for tp, share in self._owed.items() if tp in self._tasks}

    async def save(self, replay_s: float, now: float) -> None:
        """Store slices of those tasks whose turn it is, as long as there is time in this cycle.

        Parameters
        ----------
        replay_s
            CPU seconds of counting that a restart may repeat.
        now
            When the cycle began, by the monotonic clock.
        """
        limit = time.monotonic()
        limit += max(SAVES_AT_ONCE_S, SAVES_SHARE * (limit - now))
        waiting, due = iter(self._by_age()), list[tuple[TP, Task]]()
        while True:
            while len(due) < self._computing.threads and (one := next(waiting, None)) is not None:
                if await self._is_due(*one, replay_s, now):
                    due.append(one)
            if not due:
                return
            await self._store_slices(due)
            if time.monotonic() > limit:
                return
            due = [(tp, task) for tp, task in due if tp in self._owed]

    async def _is_due(self, tp: TP, task: Task, replay_s: float, now: float) -> bool:
        """Return whether a task has something to store in this cycle."""
        owes = tp in self._owed or await self._begins_turn(tp, task, replay_s, now)
        return owes and task.may_be_stored

    async def _begins_turn(self, tp: TP, task: Task, replay_s: float, now: float) -> bool:
        """Return whether a task's turn begins; what it is to store is owed then."""
        # what was just opened has nothing that its store has not
        saved_at, position = self._saved_at.get(tp, (0.0, task.saver.stored))
        if now - saved_at < SAVE_EVERY_S:
            return False
        if not task.saver.sweeping and now - saved_at < SWEEP_PAUSE * SAVE_EVERY_S:
            return False  # records that change all the time are written only now and then
        if task.position == position and task.saver.stored >= position:
            self._saved_at[tp] = now, position  # nothing new
            await self._computing.in_thread(task.saver.check)
            return False
        if not task.may_be_stored:
            return False
        self._saved_at[tp] = now, task.position
        self._owed[tp] = self._pace_of(tp, replay_s).share(self._computing.counted_s)
        return True

    async def _store_slices(self, due: Sequence[tuple[TP, Task]]) -> None:
        """Store a slice of each of these tasks, side by side: they have stores of their own."""
        stored: dict[TP, tuple[float, float]] = {}  # the share that is left, and the seconds that it took

        def store(tp: TP, task: Task) -> None:
            before = time.monotonic()
            left = task.saver.step(self._owed[tp], SLICE_RECORDS)
            stored[tp] = left, time.monotonic() - before

        await self._computing.side_by_side([partial(store, tp, task) for tp, task in due])
        for tp, task in due:
            left, took_s = stored[tp]
            task.context.measured.slices.note(took_s)
            if not task.saver.sweeping:  # that was the last slice
                task.counters.saves += 1
                task.saved_ms = time.time_ns() // 1_000_000
            if left > 0:
                self._owed[tp] = left
            else:
                del self._owed[tp]

    def _pace_of(self, tp: TP, replay_s: float) -> Pace:
        """Return the pace of storing a task's state, by the time that all counting takes."""
        if tp not in self._paces:
            self._paces[tp] = Pace(replay_s, self._computing.counted_s)
        return self._paces[tp]

    def _by_age(self) -> list[tuple[TP, Task]]:
        """Return the tasks whose turn has not ended, then the others by the time since theirs."""
        return sorted(
            self._tasks.items(),
            key=lambda one: (one[0] not in self._owed, self._saved_at.get(one[0], (0.0, -1))[0]),
        )

    async def shrink(self) -> None:
        """Bring machines that hold more than their budget back into it."""
        for task in list(self._tasks.values()):
            if task.saver.over_budget():
                await task.unacknowledged.wait()
                await self._computing.in_thread(task.saver.shrink)
