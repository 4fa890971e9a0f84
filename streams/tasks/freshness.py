"""How old what is published is: from an event to its lists, as quantiles, and the oldest count in no list."""

from __future__ import annotations

import numpy as np

NONE = -1.0


class Latency:
    """Milliseconds from events to their lists, since they were last taken."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def note(self, ms: float, events: int) -> None:
        """Count events that took so long."""
        self._seen.append((ms, events))

    def take(self) -> tuple[float, float]:
        """Return the median and the 99th percentile since the last call; `NONE` without events.

        >>> latency = Latency()
        >>> for ms, events in ((10.0, 1), (30.0, 98), (500.0, 2)):
        ...     latency.note(ms, events)
        >>> latency.take(), latency.take()
        ((30.0, 500.0), (-1.0, -1.0))
        """
        seen, self._seen = self._seen, []
        if not seen:
            return NONE, NONE
        ms, events = np.array([s[0] for s in seen]), np.array([s[1] for s in seen])
        order = np.argsort(ms)
        reached = np.cumsum(events[order]) / events.sum()
        p50, p99 = (float(ms[order][np.searchsorted(reached, q)]) for q in (0.5, 0.99))
        return p50, p99


class Longest:
    """The longest time in ms since it was last taken."""

    def __init__(self) -> None:
        self._longest = 0.0

    def note(self, ms: float) -> None:
        """Take a time into account."""
        self._longest = max(self._longest, ms)

    def take(self) -> float:
        """Return the longest time since the last call; 0 without any.

        >>> longest = Longest()
        >>> longest.note(3.0); longest.note(2.0)
        >>> longest.take(), longest.take()
        (3.0, 0.0)
        """
        longest, self._longest = self._longest, 0.0
        return longest
