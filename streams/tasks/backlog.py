"""How long the events that Kafka still has will take, judged by how fast those before them were counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from faust.types import TP

from streams.kinds import CrossKind, Kind

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

ENDING_S = 5.0  # after its last events, a backlog's deltas may be counted for so long
STALE_S = 5.0  # what was left of a partition is not known any more if nothing came of it for so long
NEVER = float("inf")


class Backlog:
    """The events of one topic that are left in the partitions of this worker.

    A backlog begins when a fetch leaves events in Kafka. It ends when the newest fetch of no partition does.
    Events that were fetched and not counted are a fraction of a second's work, and are ignored.
    """

    def __init__(self) -> None:
        self._left: dict[TP, tuple[int, float]] = {}  # behind the newest chunk, and when that was counted
        self._begun_at: float | None = None
        self._ended_at = -NEVER
        self._counted = 0

    def counted(self, chunks: Iterable[Chunk], now: float) -> None:
        """Note chunks of events that a cycle counts; `now` is of the monotonic clock."""
        for chunk in chunks:
            self._left[chunk.tp] = chunk.left, now
            self._counted += len(chunk.records)
        if self._events(now):
            if self._begun_at is None:
                self._begun_at, self._counted = now, 0
        elif self._begun_at is not None:
            self._begun_at, self._ended_at = None, now

    def is_left(self, now: float) -> bool:
        """Return whether Kafka has more events."""
        return self._events(now) > 0

    def left_s(self, now: float) -> float:
        """Return the seconds that counting what is left will take; 0 for some seconds after the end of a
        backlog, while its deltas may still be counted.

        Return infinity if it cannot be told: in the first cycle of a backlog, and later than those seconds.
        If a backlog is counted then, its events are in partitions of other workers.
        """
        left = self._events(now)
        if left == 0:
            return 0.0 if now - self._ended_at < ENDING_S else NEVER
        if self._begun_at is None or self._counted == 0:
            return NEVER
        return left * (now - self._begun_at) / self._counted

    def _events(self, now: float) -> int:
        """Return how many events are left in partitions that are being read; another's leader may be away."""
        return sum(left for left, at in self._left.values() if now - at < STALE_S)


class Backlogs:
    """The backlogs of all topics of events, which have nothing to do with one another."""

    def __init__(self) -> None:
        self._by_topic: dict[str, Backlog] = {}

    def counted(self, chunks: Iterable[Chunk], now: float) -> None:
        """Note chunks of events that a cycle counts; `now` is of the monotonic clock."""
        by_topic: dict[str, list[Chunk]] = {}
        for chunk in chunks:
            by_topic.setdefault(chunk.tp.topic, []).append(chunk)
        for topic, some in by_topic.items():
            self._by_topic.setdefault(topic, Backlog()).counted(some, now)

    def forget(self) -> None:
        """Assume that nothing is left: partitions have come and gone."""
        self._by_topic.clear()

    def is_left(self, kind: Kind, now: float) -> bool:
        """Return whether Kafka has more events from which lists of a kind follow."""
        return any(backlog.is_left(now) for backlog in self._of(kind))

    def left_s(self, kind: Kind, now: float) -> float:
        """Return the seconds that counting these events will take, as `Backlog.left_s`."""
        return max((left_s for one in self._of(kind) if (left_s := one.left_s(now)) < NEVER), default=NEVER)

    def _of(self, kind: Kind) -> list[Backlog]:
        sides = kind.sides if isinstance(kind, CrossKind) else (kind,)
        topics = [side.events.name for side in sides]
        return [self._by_topic[topic] for topic in topics if topic in self._by_topic]
