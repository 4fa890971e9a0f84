"""How much of a recommender's time training and recommending may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from recommending.visits import MOST_EXAMPLES

TRAINING_SHARE = 0.05  # of a core, of all partitions together
SAVED_S = 1.0  # unused time that training may save up: with it, live traffic trains on every visit
EXAMPLE_S = 0.001  # of a core, until it is measured
RECOMMENDING_SHARE = 0.9  # of a core, of a partition that recommends
PARTITIONS_AT_ONCE = 2  # while one waits for Kafka to acknowledge, another computes


class TrainingBudget:
    """Grants training examples: many while there is time left, and at least one per chunk.

    Parameters
    ----------
    clock
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._saved_s, self._example_s = SAVED_S, EXAMPLE_S
        self._at = clock()

    def granted(self) -> int:
        """Return how many examples the next chunk may have."""
        now = self._clock()
        self._saved_s = min(SAVED_S, self._saved_s + TRAINING_SHARE * (now - self._at))
        self._at = now
        return max(1, min(MOST_EXAMPLES, int(self._saved_s / self._example_s)))

    def took(self, seconds: float, examples: int) -> None:
        """Charge the seconds of a core that some examples cost."""
        self._saved_s = max(0.0, self._saved_s - seconds)
        if examples:
            self._example_s += 0.1 * (seconds / examples - self._example_s)


class Pacing:
    """The time budgets that all boards of a recommender share."""

    def __init__(self) -> None:
        self.training = TrainingBudget()
        self._turns = asyncio.Semaphore(PARTITIONS_AT_ONCE)

    async def recommending(self, recommend: Callable[[], Awaitable[float]]) -> None:
        """Recommend to some customers when it is this partition's turn, then pause to keep within the share.

        `recommend` returns the seconds that it computed. The lock of the related lists lets no two compute at
        the same time.
        """
        async with self._turns:
            computed_s = await recommend()
            await asyncio.sleep(computed_s * (1 / RECOMMENDING_SHARE - 1))
