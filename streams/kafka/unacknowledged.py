"""Track what was sent and Kafka has not acknowledged yet, by the position of the log that it follows from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any


async def acknowledged(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for all, then raise the error of what failed. Unlike asyncio.gather it cancels none of them."""
    if futures:
        await asyncio.wait(futures)
    for future in futures:
        future.result()


class Unacknowledged:
    """What follows from the log up to some positions and is on its way, oldest first.

    Once a record has failed, no later one counts as acknowledged.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, list[asyncio.Future[Any]]]] = deque()
        self._acknowledged = 0

    def begin_at(self, position: int) -> None:
        """Assume that everything up to a position is in Kafka."""
        self._waiting.clear()
        self._acknowledged = position

    def add(self, position: int, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Note what follows from the log up to `position`."""
        if not futures and not self._waiting:
            self._acknowledged = position
        else:
            self._waiting.append((position, list(futures)))

    def position(self) -> int:
        """Return the position up to which everything is in Kafka; raise the error of what failed."""
        while self._waiting and all(future.done() for future in self._waiting[0][1]):
            for future in self._waiting[0][1]:
                future.result()
            self._acknowledged = self._waiting.popleft()[0]
        return self._acknowledged

    def reached(self, position: int) -> bool:
        """Return whether Kafka has everything up to a position, and all that was sent at it.

        Raise the error of what failed.
        """
        return self.position() >= position and not self._waiting

    async def wait(self) -> None:
        """Wait until Kafka has all of it; raise the error of what failed."""
        await acknowledged([future for _, futures in self._waiting for future in futures])
        self.position()
