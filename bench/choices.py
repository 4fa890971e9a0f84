"""Variants of ours that `bench.generality` compares, by name; only those that say so train a model.

as-is            the product as `evaluation.algorithms.ours` runs it
trained          the same with the chronological model, trained every eight weeks
full-load        2,000 events are counted at once, lists lag by 8,000, and 20 visits of a chunk train
fresh-lists      all lists are ranked after every 500 events
every-visit      each visit is a test and a training example, none is skipped
live             both
without-FEATURE  as-is, but the ranker does not see a feature
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.algorithms.ours import TRAIN_MS, Ours
from evaluation.errors import EvaluationError
from recommending.features import FEATURES
from recommending.ranker import Floats, Ranker

FEW = 500
EVERY = 1 << 30
CHOICES: dict[str, dict[str, Any]] = {
    "as-is": {},
    "trained": {"train_ms": TRAIN_MS},
    "full-load": {"chunk": 2_000, "most_examples": 20, "at_once": 0},
    "fresh-lists": {"ranked": FEW},
    "every-visit": {"most_examples": EVERY},
    "live": {"ranked": FEW, "most_examples": EVERY},
}
"""Arguments of `Ours`."""

WITHOUT = "without-"


@dataclass
class Blind(Ranker):
    """A ranker that sees 0 instead of a feature, whose weight has no effect and is never learnt."""

    column: int = 0

    def scores(self, x: Floats) -> Floats:
        """Do the same as a ranker, without the feature."""
        return super().scores(self._hidden(x))

    def learn(self, x: Floats, hits: npt.NDArray[np.bool_]) -> None:
        """Do the same as a ranker, without the feature."""
        super().learn(self._hidden(x), hits)

    def _hidden(self, x: Floats) -> Floats:
        seen = x.copy()
        seen[:, self.column : self.column + 1] = 0.0  # new items have fewer columns
        return seen


def known(name: str) -> str:
    """Check the name of a choice, and return it.

    Raises
    ------
    EvaluationError
        If there is no choice with this name.
    """
    if name in CHOICES or (name.startswith(WITHOUT) and name.removeprefix(WITHOUT) in FEATURES):
        return name
    raise EvaluationError(
        f"there is no choice {name!r}: there are {', '.join(CHOICES)}, and {WITHOUT} with one of"
        f" {', '.join(FEATURES)}"
    )


def make(name: str) -> Ours:
    """Return ours as a choice defines it."""
    if name in CHOICES:
        return Ours(**({"train_ms": None} | CHOICES[name]))
    column = FEATURES.index(known(name).removeprefix(WITHOUT))
    ours = Ours(train_ms=None)
    ours.recommender.rankers = {
        shelf: Blind(ranker.names, ranker.weights, ranker.least, ranker.any_of, column=column)
        for shelf, ranker in ours.recommender.rankers.items()
    }
    return ours
