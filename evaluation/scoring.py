"""What most algorithms share: they score every item, and show the k with the largest scores."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from scipy import sparse

from evaluation.histories import owned
from evaluation.protocol import NOTHING, Events, Ids, OnProgress, no_progress

CELLS = 4_000_000  # of scores at once: 32 MB
Scores = npt.NDArray[np.float64]


class Scoring(ABC):
    """An algorithm that scores all items for some customers; only positive scores recommend.

    Attributes
    ----------
    owned
        Customers x items, as of the cutoff.
    """

    name: str
    progress: OnProgress = staticmethod(no_progress)
    owned: sparse.csr_matrix

    def fit(self, before: Events, cutoff_ms: int) -> None:
        """Learn from the events before the cutoff."""
        self.owned = owned(before)
        self.learn(before, cutoff_ms)

    @abstractmethod
    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Learn from the events; `owned` is set already."""

    @property
    def width(self) -> int:
        """How many numbers `scores` computes for a customer at the same time."""
        return int(self.owned.shape[1])

    @abstractmethod
    def scores(self, customers: Ids) -> Scores:
        """Return float64[customers, items], which the caller may overwrite."""

    def recommend(self, customers: Ids, k: int, *, new_only: bool) -> Ids:
        """Return the items with the k largest positive scores, as `protocol.Algorithm` specifies."""
        at_once = max(CELLS // max(self.width, 1), 1)
        found = [np.empty((0, k), np.int32)]
        for start in range(0, len(customers), at_once):
            some = customers[start : start + at_once]
            scores = self.scores(some)
            if new_only:
                rows, items = self.owned[some].nonzero()
                scores[rows, items] = -np.inf
            found.append(best(scores, k))
        return np.concatenate(found)


def best(scores: Scores, k: int) -> Ids:
    """Return the columns of the k largest positive scores of each row, largest first.

    NOTHING fills up rows with fewer. Of equal scores the first column is first, and is chosen if not all fit.

    >>> best(np.array([[0.0, 3.0, 5.0, 3.0], [0.0, -1.0, 2.0, 0.0]]), 2).tolist()
    [[2, 1], [2, -1]]
    """
    found = np.full((len(scores), k), NOTHING, np.int32)
    for row, values in zip(found, scores, strict=True):
        candidates = np.flatnonzero(values > 0)
        positive = values[candidates]
        if len(positive) > k:
            enough = positive >= np.partition(positive, len(positive) - k)[len(positive) - k]
            candidates, positive = candidates[enough], positive[enough]
        order = candidates[np.argsort(-positive, kind="stable")[:k]]
        row[: len(order)] = order
    return found


def dense(product: sparse.csr_matrix) -> Scores:
    """Return a sparse product as scores."""
    scores: Scores = product.toarray()
    return scores
