"""Whether an item task counts a backlog, in which everything that it counts is late."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streams.tasks.backlog import NEVER
from streams.tasks.passes import is_due

if TYPE_CHECKING:
    from streams.tasks.context import Context
    from streams.tasks.items import ItemTask

COUNTING_S = 0.5  # if nothing was counted for so long, there is no backlog,
LARGE_CYCLE_S = 5.0  # but while Kafka has more to be counted, the cycles of a backlog may take so long


class Lateness:
    """How late the events are that one item task counts."""

    def __init__(self, task: ItemTask, context: Context) -> None:
        self._task, self._context = task, context
        self._lag_ms = 0.0  # age of the newest events counted
        self._counted_at = self._behind_since = float("-inf")

    def counted(self, published_ms: float | None) -> None:
        """Note that a message was applied, and when the newest of its events was published, if it has any."""
        behind, now = self.behind, time.monotonic()
        if published_ms is not None:
            self._lag_ms = time.time() * 1000 - published_ms
        self._counted_at = now
        if not behind:
            self._behind_since = now

    @property
    def behind(self) -> bool:
        """Whether a backlog is counted: its events are old, or so many that they will be."""
        now = time.monotonic()
        pause_s = now - self._counted_at
        if pause_s >= LARGE_CYCLE_S or (pause_s >= COUNTING_S and not self._more_comes(now)):
            return False
        late_s = 2 * self._context.settings.staleness_ms / 1000
        left_s = self._context.backlogs.left_s
        return self._lag_ms > 1000 * late_s or late_s < left_s(self._task.kind, now) < NEVER

    def pass_is_due(self, waiting_since: float) -> bool:
        """Return whether a pass begins in a backlog, given since when a count waits for its list."""
        now, context = time.monotonic(), self._context
        left_s = context.backlogs.left_s(self._task.kind, now)
        catch_up_s = context.settings.catch_up_ms / 1000
        return is_due(now - waiting_since, now - self._behind_since, left_s, catch_up_s)

    def _more_comes(self, now: float) -> bool:
        """Return whether Kafka is known to have more events of our kind, or more deltas of our partition."""
        task, context = self._task, self._context
        sent = context.outbox.end_of(task.tp)
        return task.has_more or sent > task.position or context.backlogs.is_left(task.kind, now)
