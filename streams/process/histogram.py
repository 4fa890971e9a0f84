"""A histogram that takes many equal observations at once, which Prometheus' own client cannot."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How many observations were at most so large, in seconds.

    >>> histogram = Histogram((0.1, 1.0))
    >>> histogram.note(0.1, 3); histogram.note(0.5); histogram.note(20.0)
    >>> histogram.buckets(), round(histogram.sum_s, 1)
    ([('0.1', 3), ('1.0', 4), ('+Inf', 5)], 20.8)

    Attributes
    ----------
    sum_s : float
        The sum of all observations.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self.sum_s = 0.0

    def note(self, seconds: float, times: int = 1) -> None:
        """Take in an observation that was made so many times."""
        self._counts[bisect_left(self._bounds_s, seconds)] += times
        self.sum_s += seconds * times

    def buckets(self) -> list[tuple[str, int]]:
        """Return by upper bound, as a text, the observations up to it."""
        total, found = 0, []
        for bound, count in zip([*map(str, self._bounds_s), "+Inf"], self._counts, strict=True):
            total += count
            found.append((bound, total))
        return found
