"""What one partition's customers taught: told to topics `ranker` and `quality`, taken up by its next owner.

The weights in effect are the average over all partitions. None of it is part of the exact state: what was
learnt in the second before a crash is lost.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from state.recommending.learner import Learner
from streams.recommending.messages import Quality, RankerState, encode
from streams.topics import QUALITY, RANKER

if TYPE_CHECKING:
    from streams.context import Context
    from streams.recommending.board import Board, QualityKey


class Teller:
    """Tells what the learner of one partition of the customers learnt."""

    def __init__(self, partition: int, board: Board, context: Context) -> None:
        self._partition, self._board, self._context = partition, board, context
        self._told: dict[tuple[int, str, str], int] = {}
        self._before: dict[QualityKey, Quality | None] = {}  # counted before this learner began
        self._taught = -1.0  # lessons when last told

    def begin(self, learner: Learner) -> None:
        """Have a new learner go on from what the partition's owners before it told."""
        board = self._board
        self._told, self._taught, self._before = {}, -1.0, {}
        if (own := board.learnt.get(self._partition)) is not None:
            # learnt by the partition's owner before: as good as learnt here
            for name, state in own.rankers.items():
                learner.lessons[name] = float(state["cases"])
        for name, ranker in board.rankers.items():
            # a partition that has told nothing must not begin anew what others here have learnt
            states = [own, *board.learnt.values()] if own is not None else [*board.learnt.values()]
            taught = [s.rankers[name] for s in states if name in s.rankers]
            taught = [state for state in taught if state["cases"] > 0]
            if ranker.cases == 0 and taught:
                ranker.restore(taught[0])

    async def tell(self, learner: Learner) -> None:
        """Take in what others learnt, and tell what was learnt here since it was told last."""
        board, outbox = self._board, self._context.outbox
        units = self._context.units(board.kind)
        board.take_in({unit.partition: unit.lessons for unit in units if unit.lessons is not None})
        lessons = sum(learner.lessons.values())
        if lessons != self._taught:
            self._taught = lessons
            rankers = {
                name: ranker.state() | {"cases": learner.lessons[name]}
                for name, ranker in board.rankers.items()
            }
            own = RankerState(kind=board.kind.name, partition=self._partition, rankers=rankers)
            key = f"{own.kind}/{self._partition}".encode()
            await outbox.send(RANKER.name, None, key, encode(own))
        for (day, algorithm, variant), cases in list(learner.quality.cases.items()):
            if self._told.get((day, algorithm, variant)) != cases:
                self._told[day, algorithm, variant] = cases
                told = self._quality(day, algorithm, variant, learner)
                key = f"{told.kind}/{self._partition}/{told.day}/{algorithm}/{variant}".encode()
                await outbox.send(QUALITY.name, None, key, encode(told))

    def _quality(self, day: int, algorithm: str, variant: str, learner: Learner) -> Quality:
        """Cases and hits, with those of before this learner."""
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
