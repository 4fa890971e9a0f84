"""What a lesson may know: lists and popularity of just before the event, neither later nor much older.

A lesson asks what would have been shown before an event. A worker may be ahead of a recommender, by
milliseconds live, by seconds in a load; were its lists read as they come, they might have counted the very
purchases that the lesson is to foretell, and the ranker would learn to trust them far too much. So nothing is
read that is later in event time than the events that the tasks have read. Tasks that have read their logs to
the end, and for a second had nothing more to read, hold up nothing.

In a load popularity is published every few seconds, and these may be weeks of event time: what a recommender
knows then is too old to learn from.
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
    """How far in event time the tasks of a kind are. Threads may use it.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._behind: dict[int, int] = {}  # newest event times of tasks that have more to read
        self._counted: dict[
            int, tuple[float, int]
        ] = {}  # when popularity came from a partition; its event time
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
        """Note that a task is no longer here: it holds up nothing."""
        self._behind.pop(partition, None)

    def holds_up(self, records: Sequence[Any]) -> bool:
        """Whether records of lists or popularity are later than the events that tasks have read.

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
        behind = list(self._behind.values())  # at once: others may change it meanwhile
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
        """Whether popularity is of less than a day, in event time, before an event.

        >>> alignment = Alignment()
        >>> alignment.counted(0, 5 * DAY_MS)
        >>> alignment.is_fresh(5 * DAY_MS + 1_000), alignment.is_fresh(7 * DAY_MS)
        (True, False)
        """
        since = self._clock() - ACTIVE_S
        # of a partition from which nothing came for longer nothing has changed
        active = [as_of for at, as_of in list(self._counted.values()) if at > since]
        return time_ms - min(active, default=time_ms) < OLDEST_MS


def as_of_ms(records: Sequence[Any]) -> int:
    """The event time of the last record that has one: it grows along a partition. -1 without any."""
    for record in reversed(records):
        found = None if record.value is None else _AS_OF(record.value)
        if found is not None:
            return int(found[1])
    return -1
