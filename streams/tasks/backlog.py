"""How long the events that Kafka still has will take, judged by how fast those before them were counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from faust.types import TP

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

ENDING_S = 5.0  # after its last events, a backlog's deltas may be counted for so long
NEVER = float("inf")


class Backlog:
    """The events left in the partitions of this worker.

    A backlog begins when a fetch leaves events in Kafka, and ends when one leaves none. Events that were
    fetched and not counted are a fraction of a second's work, and are ignored.
    """

    def __init__(self) -> None:
        self._left: dict[TP, int] = {}
        self._begun_at: float | None = None
        self._ended_at = -NEVER
        self._counted = 0

    def counted(self, chunks: Iterable[Chunk], now: float) -> None:
        """Note chunks of events that a cycle counts; `now` is of the monotonic clock."""
        for chunk in chunks:
            self._left[chunk.tp] = chunk.left
            self._counted += len(chunk.records)
        if any(self._left.values()):
            if self._begun_at is None:
                self._begun_at, self._counted = now, 0
        elif self._begun_at is not None:
            self._begun_at, self._ended_at = None, now

    def forget(self) -> None:
        """Assume that nothing is left: partitions have come and gone."""
        self._left.clear()
        self._begun_at, self._ended_at = None, -NEVER

    @property
    def is_left(self) -> bool:
        """Whether Kafka has more events."""
        return self._begun_at is not None

    def left_s(self, now: float) -> float:
        """Return the seconds that counting what is left will take; infinity if that cannot be told.

        It cannot in the first cycle of a backlog, and some seconds after its end: if a backlog is counted
        then, its events are in partitions of other workers.
        """
        if self._begun_at is None:
            return 0.0 if now - self._ended_at < ENDING_S else NEVER
        if self._counted == 0:
            return NEVER
        return sum(self._left.values()) * (now - self._begun_at) / self._counted
