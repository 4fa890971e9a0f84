"""EASE: the linear model of items by items that best reconstructs histories, where no item explains itself.

The method is that of Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019: with P = (A^T A +
lambda I)^-1 the weights are B_ij = -P_ij / P_jj, and 0 on the diagonal. The inverse is dense, so only the
`ITEMS` items that most customers have take part and are recommended.
"""

from __future__ import annotations

import numpy as np

from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring, dense

ITEMS = 5_000
LAMBDA = 200.0


class Ease(Scoring):
    """The linear model EASE."""

    name = "ease"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Compute the weights."""
        del before, cutoff_ms
        buyers = self.owned.sum(axis=0).A1
        self._items = np.argsort(-buyers, kind="stable")[:ITEMS]
        self._few = self.owned[:, self._items].tocsr()
        self.weights = weights(dense(self._few.T @ self._few))

    def scores(self, customers: Ids) -> Scores:
        """Return the reconstruction."""
        scores = np.zeros((len(customers), self.owned.shape[1]))
        scores[:, self._items] = self._few[customers] @ self.weights
        return scores


def weights(gram: Scores) -> Scores:
    """Return B from A^T A; `gram` is overwritten."""
    gram[np.diag_indices_from(gram)] += LAMBDA
    inverse: Scores = np.linalg.inv(gram).astype(np.float64, copy=False)
    inverse /= -np.diag(inverse)
    inverse[np.diag_indices_from(inverse)] = 0.0
    return inverse
