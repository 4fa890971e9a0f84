"""Keep lists and popularity in step with the events, so that no training step sees the future.

A training step asks what would have been shown before an event. A worker may be ahead of a recommender: by
milliseconds live, by seconds in a load. If its lists were taken in as they come, they might have counted the
very purchases that the training step predicts, and the ranker would learn to trust them far too much. So
lists and popularity are not taken in while they are later in event time than the events that the tasks have
read. A task that has read its log to the end, and has had nothing more to read for a second, delays nothing.

In a load popularity is published every few seconds, which may be weeks of event time: what a recommender
then knows is too old to learn from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from state.popularity.counts import DAY_MS

IDLE_S = 1.0
ACTIVE_S = 20.0  # longer than a partition that changes goes without publishing popularity
OLDEST_MS = DAY_MS  # popularity counts purchases by the day

_AS_OF = re.compile(rb'"as_of":(\d+)').search


class Alignment:
    """How far the tasks of a kind are in event time. It may be used from several threads.

    Parameters
    ----------
    clock
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._behind: dict[int, int] = {}  # newest event times of tasks that have more to read
        # per partition when popularity last came from it, and the event time of that
        self._counted: dict[int, tuple[float, int]] = {}
        self._newest_ms = -1
        self._applied_at = float("-inf")

    def has_more(self, partition: int, time_ms: int) -> None:
        """Note that a task has events to apply, and the newest event time that it has applied."""
        self._behind[partition] = time_ms

    def applied(self, partition: int, time_ms: int, left: int) -> None:
        """Note the newest event time that a task has applied, and how many records it still has to read."""
        self._newest_ms, self._applied_at = max(self._newest_ms, time_ms), self._clock()
        if left > 0:
            self._behind[partition] = time_ms
        else:
            self._behind.pop(partition, None)

    def closed(self, partition: int) -> None:
        """Note that a task is closed: it delays nothing any more."""
        self._behind.pop(partition, None)

    def holds_up(self, records: Sequence[Any]) -> bool:
        """Return whether records of lists or popularity are later than the events that tasks have read.

        >>> from types import SimpleNamespace
        >>> alignment, records = Alignment(), [SimpleNamespace(value=b'{"item_id":"tea","as_of":90000}')]
        >>> alignment.holds_up(records)
        False
        >>> alignment.applied(0, 60_000, left=5)
        >>> alignment.holds_up(records)
        True
        >>> alignment.applied(0, 90_000, left=2)
        >>> alignment.holds_up(records)
        False
        """
        behind = list(self._behind.values())  # a copy: other threads may change it meanwhile
        if behind:
            read_ms = min(behind)
        elif self._clock() - self._applied_at < IDLE_S:
            read_ms = self._newest_ms
        else:
            return False
        return as_of_ms(records) > read_ms

    def counted(self, partition: int, time_ms: int) -> None:
        """Note that popularity came from a partition, and the newest event time that it has counted."""
        self._counted[partition] = self._clock(), time_ms

    def is_fresh(self, time_ms: int) -> bool:
        """Return whether the popularity is less than a day, in event time, older than an event.

        >>> alignment = Alignment()
        >>> alignment.counted(0, 5 * DAY_MS)
        >>> alignment.is_fresh(5 * DAY_MS + 1_000), alignment.is_fresh(7 * DAY_MS)
        (True, False)
        """
        since = self._clock() - ACTIVE_S
        # a partition from which nothing has come for longer has not changed
        active = [as_of for at, as_of in list(self._counted.values()) if at > since]
        return time_ms - min(active, default=time_ms) < OLDEST_MS


def as_of_ms(records: Sequence[Any]) -> int:
    """Return the event time of the last record that has one, which is the newest; -1 if none has one."""
    for record in reversed(records):
        found = None if record.value is None else _AS_OF(record.value)
        if found is not None:
            return int(found[1])
    return -1
