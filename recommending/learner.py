"""Each basket is a test of what was recommended before it, then a lesson.

A case is a customer who comes back: with the lists, popularity and history of before the basket the
candidates are ranked as each algorithm would have; a hit is any item of the basket among the first six. Then
the weights learn from it, and the basket is counted. Where a basket has no item that is new to the customer,
it says nothing of new ones.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending.candidates import OWN, Candidates, History
from recommending.features import N_NEW
from recommending.recommender import ALGORITHMS, Recommender
from state.popularity.counts import DAY_MS

SHOWN = 6


@dataclass
class HitCounts:
    """Cases and hits by (day of event time, algorithm, variant of an experiment or nothing)."""

    cases: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    hits: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, time_ms: int, algorithm: str, variant: str = "", *, hit: bool) -> None:
        """Count a case."""
        key = time_ms // DAY_MS, algorithm, variant
        self.cases[key] += 1
        self.hits[key] += hit


class Case(NamedTuple):
    """What was known, and would have been shown, before a basket."""

    found: Candidates
    history: npt.NDArray[np.int32]
    shown: dict[str, npt.NDArray[np.int32]]  # by algorithm


@dataclass
class Learner:
    """Tests and teaches a recommender.

    Attributes
    ----------
    quality
        Who hit so far.
    lessons
        What each ranker learnt here; others may teach it as well.
    """

    recommender: Recommender
    quality: HitCounts = field(default_factory=HitCounts)
    lessons: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def before(self, history: History) -> Case:
        """What each algorithm would show for a history that is not empty. `view.lock` must be held."""
        recommender = self.recommender
        found = recommender.candidates(history, unowned=True, own=True)
        new = found.source != OWN
        shown = {
            str(name): found.item[new][_first(recommender.scores(found, "new", name)[new])]
            for name in ALGORITHMS
        }
        shown["all"] = found.item[_first(recommender.scores(found, "all"))]
        return Case(found, history.item, shown)

    def after(self, case: Case, basket: npt.NDArray[np.int32], time_ms: int) -> dict[str, bool]:
        """Count who hit, then learn.

        Parameters
        ----------
        basket
            int32[m], numbers of the view: distinct items.
        time_ms
            Event time.

        Returns
        -------
        dict
            Whether each algorithm hit an item new to the customer, "all" any item. Without those for new
            items where nothing was new.
        """
        new_items = np.setdiff1d(basket, case.history)
        hits_of = {
            name: bool(np.isin(items, basket if name == "all" else new_items).any())
            for name, items in case.shown.items()
            if name == "all" or len(new_items)
        }
        found, rankers = case.found, self.recommender.rankers
        hits = np.isin(found.item, basket)
        new = found.source != OWN
        before = {name: ranker.cases for name, ranker in rankers.items()}
        rankers["all"].learn(found.x, hits)
        rankers["new"].learn(found.x[new, :N_NEW], hits[new])
        for name, ranker in rankers.items():
            self.lessons[name] += ranker.cases - before[name]
        for name, hit in hits_of.items():
            self.quality.add(time_ms, name, hit=hit)
        return hits_of


def _first(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")[:SHOWN]
