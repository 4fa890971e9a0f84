"""Reads in a thread what tasks report about themselves in the topic `progress`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower
from streams.kinds import is_deltas
from streams.messages.schema import REPORTED, Progress, decode_progress
from streams.topics import PAIR_DELTAS, PROGRESS, PURCHASES, topic_of

POLL_MS = 50


class ProgressFollower:
    """The newest progress of every task, and when each counted last, while the block runs.

    Attributes
    ----------
    newest : dict
        The newest progress, by task.
    counted_at : dict
        When the number of a task's events last grew, by task (time.monotonic).
    listed_at : dict
        When a task last reported that every list is exactly up to date to some offset, by task
        (time.monotonic).
    staleness_ms : float
        The longest from a count to its lists that any task reported.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._follower = Follower(bootstrap, PROGRESS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.newest: dict[str, Progress] = {}
        self.counted_at: dict[str, float] = {}
        self.listed_at: dict[str, float] = {}
        self.staleness_ms = 0.0

    def __enter__(self) -> ProgressFollower:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._follower.__exit__()

    def counted(self, begin: float) -> float:
        """Return the seconds from `begin` until the last purchase was in the rows."""
        return _last(self.counted_at) - begin

    def listed(self, begin: float) -> float:
        """Return the seconds from `begin` until every list was exactly up to date, as `drain` asked for."""
        return _last(self.listed_at) - begin

    def has_listed(self) -> bool:
        """Return whether every item task of purchases has said that all of
        its lists are exactly up to date.
        """
        newest = dict(self.newest)
        return all(p.listed > 0 for task, p in newest.items() if topic_of(task) == PAIR_DELTAS.name)

    def purchases(self, value: Callable[[Progress], int]) -> int:
        """Return the sum of a value over the partitions of purchases."""
        newest = dict(self.newest)
        return sum(value(p) for task, p in newest.items() if topic_of(task) == PURCHASES.name)

    def recommenders(self) -> set[str]:
        """Return the addresses of the queries of all recommenders."""
        newest = dict(self.newest)
        return {p.worker for task, p in newest.items() if task.startswith(REPORTED)}

    def _run(self) -> None:
        while not self._stop.is_set():
            for row in self._follower.poll(POLL_MS):
                if row.value:
                    self._note(decode_progress(row.value))

    def _note(self, progress: Progress) -> None:
        before = self.newest.get(progress.task)
        if before is None or before.events != progress.events:
            self.counted_at[progress.task] = time.monotonic()
        if before is None or before.listed != progress.listed:
            self.listed_at[progress.task] = time.monotonic()
        self.newest[progress.task] = progress
        if is_deltas(topic_of(progress.task)):
            self.staleness_ms = max(self.staleness_ms, progress.staleness_ms)


def _last(at: dict[str, float]) -> float:
    return max(moment for task, moment in at.items() if topic_of(task) == PAIR_DELTAS.name)
