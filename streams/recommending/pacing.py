"""How much of a recommender's time lessons and recommendations may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from recommending.visits import MOST_CASES

LESSONS_SHARE = 0.05  # of a core, of all partitions together
SAVED_S = 1.0  # that lessons may have saved up: live traffic takes them all
CASE_S = 0.001  # of a core, until it is measured
RECOMMENDING_SHARE = 0.9  # of a core, of all partitions together


class Lessons:
    """Grants cases: many while there is time, at least one a chunk.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._saved_s, self._case_s = SAVED_S, CASE_S
        self._at = clock()

    def granted(self) -> int:
        """Cases that the next chunk may have."""
        now = self._clock()
        self._saved_s = min(SAVED_S, self._saved_s + LESSONS_SHARE * (now - self._at))
        self._at = now
        return max(1, min(MOST_CASES, int(self._saved_s / self._case_s)))

    def took(self, seconds: float, cases: int) -> None:
        """Take the seconds of a core that some cases cost."""
        self._saved_s = max(0.0, self._saved_s - seconds)
        if cases:
            self._case_s += 0.1 * (seconds / cases - self._case_s)


class Pacing:
    """Of all the boards of a recommender."""

    def __init__(self) -> None:
        self.lessons = Lessons()
        self._turn = asyncio.Lock()

    async def recommending(self, recommend: Callable[[], Awaitable[float]]) -> None:
        """Recommend to some customers when it is this partition's turn, and rest for as long as that asks.

        `recommend` returns the seconds that it computed.
        """
        async with self._turn:
            computed_s = await recommend()
            await asyncio.sleep(computed_s * (1 / RECOMMENDING_SHARE - 1))
