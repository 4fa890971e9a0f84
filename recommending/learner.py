"""Each basket is first a test of what would have been recommended before it, then a training example.

An example is a customer who comes back. The candidates are ranked as each algorithm would have ranked them
with the lists, the popularity and the history from before the basket. An algorithm hits if any item of the
basket is among its first six. Then the ranker takes a training step, and the basket is counted. A basket
without an item that is new to the customer does not count as a test of new items.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending.algorithms import ALGORITHMS
from recommending.candidates import OWN, Candidates, History
from recommending.features import N_NEW
from recommending.recommender import Recommender
from state.popularity.counts import DAY_MS

SHOWN = 6


@dataclass
class HitCounts:
    """How many tests (cases) and hits there were, by day of event time, algorithm, and variant or ""."""

    cases: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    hits: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, time_ms: int, algorithm: str, variant: str = "", *, hit: bool) -> None:
        """Count a test."""
        key = time_ms // DAY_MS, algorithm, variant
        self.cases[key] += 1
        self.hits[key] += hit


class Example(NamedTuple):
    """A training example: the candidates before a basket, and what each algorithm would have shown."""

    found: Candidates
    history: npt.NDArray[np.int32]
    shown: dict[str, npt.NDArray[np.int32]]  # by algorithm


@dataclass
class Learner:
    """Tests and trains a recommender.

    Attributes
    ----------
    quality
        The tests and hits of each algorithm so far.
    training_steps
        How many training steps each ranker took here; other learners may train it as well.
    """

    recommender: Recommender
    quality: HitCounts = field(default_factory=HitCounts)
    training_steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def before(self, history: History) -> Example:
        """Return what each algorithm would show for a history that is not empty.

        `related.lock` must be held.
        """
        recommender = self.recommender
        found = recommender.candidates(history, unowned=True, own=True)
        new = found.source != OWN
        shown = {
            str(name): found.item[new][_first(recommender.scores(found, "new", name)[new])]
            for name in ALGORITHMS
        }
        shown["all"] = found.item[_first(recommender.scores(found, "all"))]
        return Example(found, history.item, shown)

    def after(self, example: Example, basket: npt.NDArray[np.int32], time_ms: int) -> dict[str, bool]:
        """Count which algorithms hit, then learn.

        Parameters
        ----------
        basket
            int32[m], the distinct items of the basket, as numbers of the related lists.
        time_ms
            The event time.

        Returns
        -------
        dict
            Whether each algorithm hit an item new to the customer, and "all" any item. If nothing in the
            basket was new, there is only "all".
        """
        new_items = np.setdiff1d(basket, example.history)
        hits_of = {
            name: bool(np.isin(items, basket if name == "all" else new_items).any())
            for name, items in example.shown.items()
            if name == "all" or len(new_items)
        }
        found, rankers = example.found, self.recommender.rankers
        hits = np.isin(found.item, basket)
        new = found.source != OWN
        before = {name: ranker.steps for name, ranker in rankers.items()}
        rankers["all"].learn(found.x, hits)
        rankers["new"].learn(found.x[new, :N_NEW], hits[new])
        for name, ranker in rankers.items():
            self.training_steps[name] += ranker.steps - before[name]
        for name, hit in hits_of.items():
            self.quality.add(time_ms, name, hit=hit)
        return hits_of


def _first(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")[:SHOWN]
