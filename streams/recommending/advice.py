"""Recommend to the customers of a partition, and learn from what they then buy.

The recommender works on the histories of one partition. Before a batch is applied, each customer in it who
comes back is a test of what would be shown (`recommending.training_steps`). Messages are made from what is
known now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from recommending import training_steps
from recommending.catalogue import Filter
from recommending.experiments import parse, variant_of
from recommending.learner import Learner
from recommending.recommender import Recommender, Shelf
from state.customers.machine import CustomerMachine
from streams.messages.decoding import Decoded
from streams.recommending.board import Board
from streams.recommending.follower import BoardFollower
from streams.recommending.messages import Recommendations, Recommended
from streams.recommending.pacing import Pacing

Begin = Callable[[Learner], None]
"""Makes a new learner continue from what earlier owners of the partition published."""


class Advice:
    """Recommends to the customers of one machine; nobody may change their histories meanwhile."""

    def __init__(
        self,
        machine: CustomerMachine,
        board: Board,
        follower: BoardFollower,
        pacing: Pacing,
        variants: str | None,
        begin: Begin,
    ) -> None:
        self._machine, self._board, self._follower = machine, board, follower
        self._pacing, self._begin = pacing, begin
        self._variants = parse(variants or "")
        self._known: Learner | None = None

    def learner(self) -> Learner | None:
        """Return the learner, or None until what is published has been read.

        Must not be called with the related lists' lock held.
        """
        if self._known is None and self._follower.caught_up.is_set():
            board = self._board
            recommender = Recommender(
                board.related, self._machine, board.popularity, board.catalogue, board.rankers, board.buffers
            )
            with board.related.lock:
                recommender.use(board.model)
                recommender.synchronise()
                if self._known is None:  # another thread may have made it meanwhile
                    learner = Learner(recommender)
                    self._begin(learner)
                    self._known = learner
        return self._known

    @property
    def steps(self) -> dict[str, float] | None:
        """The training steps of each ranker from these customers; None before it can recommend."""
        return None if self._known is None else self._known.training_steps

    @property
    def model_version(self) -> int:
        """The version of the chronological model in use; -1 for none."""
        model = None if self._known is None else self._known.recommender.model
        return -1 if model is None else model.version

    def synchronise(self) -> None:
        """Take in changes of catalogue, popularity and model, if enough has changed."""
        if (learner := self.learner()) is not None:
            with self._board.related.lock:
                learner.recommender.use(self._board.model)
                learner.recommender.synchronise()

    def before(self, decoded: Decoded) -> list[training_steps.Test]:
        """Return what would be shown to those who come back, before their events are in the histories."""
        learner = self.learner()
        if learner is None or self._follower.is_late(self._board):
            return []
        granted = self._pacing.training.granted()
        with self._board.related.lock:
            learner.recommender.synchronise()
            begin = time.thread_time()  # CPU time: waiting for other threads must not reduce the training
            tests = training_steps.before(learner, self._machine, decoded.batch, granted)
            self._pacing.training.took(time.thread_time() - begin, len(tests))
        return tests

    def after(self, decoded: Decoded, tests: list[training_steps.Test], outcomes: Any) -> None:
        """Learn from the events that came into the histories."""
        learner = self._known
        if not tests or learner is None:
            return
        with self._board.related.lock:
            for tested in training_steps.after(learner, tests, decoded.batch, outcomes):
                if self._machine.customers.known(tested.customer):  # unless erased in this very chunk
                    variant = variant_of(self._variants, tested.customer_id)
                    if variant is not None and variant.algorithm in tested.hits:
                        hit = tested.hits[variant.algorithm]
                        learner.quality.add(tested.time_ms, "shown", variant.name, hit=hit)

    def message(
        self, customer_id: str, k: int, shelf: Shelf | None, wanted: Filter, profile: str | None
    ) -> Recommendations | None:
        """Return the recommendations as of now; None for a customer without a history.

        Without a `shelf`, the shelf is the published one: that of the customer's variant, or "all".
        """
        learner = self.learner()
        if learner is None:
            return None
        recommender = learner.recommender
        variant = variant_of(self._variants, customer_id)
        algorithm = "ours" if variant is None else variant.algorithm
        with self._board.related.lock:
            history = recommender.history(customer_id, profile)
            if shelf is None:
                if len(history.item) == 0:
                    return None
                shelf = "all" if algorithm == "ours" else "new"
            found = recommender.recommend(history, k, shelf, wanted, algorithm)
        return Recommendations(
            customer_id=customer_id, profile_id=profile, kind=self._board.kind.name,
            as_of=recommender.popular.watermark_ms, variant=None if variant is None else variant.name,
            items=[Recommended(r.item_id, round(r.score, 6), r.because, r.source) for r in found],
        )  # fmt: skip
