"""Publish what was learnt from one partition's customers to `ranker` and `quality`.

The partition's next owner continues from it. The weights in effect are the average over all partitions. None
of this is part of the exact state: what was learnt in the second before a crash is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recommending.learner import Learner
from streams.kafka.outbox import Record
from streams.messages.partitioning import partition_for
from streams.process.threads import in_thread
from streams.recommending.messages import Quality, RankerState, encode
from streams.topics import QUALITY, RANKER

if TYPE_CHECKING:
    from streams.recommending.board import Board, QualityKey
    from streams.tasks.context import Context

Here = Callable[[], dict[int, dict[str, float]]]
"""Returns the training steps of each partition of a kind in this process."""


class LearntPublisher:
    """Publishes what the learner of one customer partition learnt."""

    def __init__(self, partition: int, board: Board, context: Context, here: Here) -> None:
        self._partition, self._board, self._context, self._here = partition, board, context, here
        self._published: dict[tuple[int, str, str], int] = {}
        self._before: dict[QualityKey, Quality | None] = {}  # counted before this learner began
        self._published_steps = -1.0  # training steps when last published

    def begin(self, learner: Learner) -> None:
        """Make a new learner continue from what earlier owners of the partition published."""
        board = self._board
        self._published, self._published_steps, self._before = {}, -1.0, {}
        if (own := board.learnt.get(self._partition)) is not None:
            # what an earlier owner of the partition learnt counts as learnt here
            for name, state in own.rankers.items():
                learner.training_steps[name] = float(state["cases"])
        for name, ranker in board.rankers.items():
            # a partition that has published nothing must not reset what others in this process have learnt
            states = [own, *board.learnt.values()] if own is not None else [*board.learnt.values()]
            trained = [s.rankers[name] for s in states if name in s.rankers]
            trained = [state for state in trained if state["cases"] > 0]
            if ranker.steps == 0 and trained:
                ranker.restore(trained[0])

    async def publish(self, learner: Learner) -> None:
        """Take in what others learnt, and publish what was learnt here since the last call."""
        board, outbox = self._board, self._context.outbox
        await in_thread(self._take_in)
        records: list[Record] = []
        partitions = self._context.partitions
        training_steps = sum(learner.training_steps.values())
        if training_steps != self._published_steps:
            self._published_steps = training_steps
            rankers = {
                name: ranker.state() | {"cases": learner.training_steps[name]}
                for name, ranker in board.rankers.items()
            }
            own = RankerState(kind=board.kind.name, partition=self._partition, rankers=rankers)
            key = f"{own.kind}/{self._partition}".encode()
            records.append(Record(RANKER.name, partition_for(key, partitions), key, encode(own)))
        for (day, algorithm, variant), cases in list(learner.quality.cases.items()):
            if self._published.get((day, algorithm, variant)) != cases:
                self._published[day, algorithm, variant] = cases
                quality = self._quality(day, algorithm, variant, learner)
                key = f"{quality.kind}/{self._partition}/{quality.day}/{algorithm}/{variant}".encode()
                records.append(Record(QUALITY.name, partition_for(key, partitions), key, encode(quality)))
        outbox.send_all(records)

    def _take_in(self) -> None:
        with self._board.related.lock:
            self._board.take_in(self._here())

    def _quality(self, day: int, algorithm: str, variant: str, learner: Learner) -> Quality:
        """Return the cases (tests) and hits, including those from before this learner."""
        name = datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
        key = self._partition, name, algorithm, variant
        before = self._before.setdefault(key, self._board.quality.get(key))
        counted = day, algorithm, variant
        return Quality(
            kind=self._board.kind.name, partition=self._partition, day=name, algorithm=algorithm,
            variant=variant or None,
            cases=learner.quality.cases[counted] + (before.cases if before else 0),
            hits=learner.quality.hits[counted] + (before.hits if before else 0),
        )  # fmt: skip
