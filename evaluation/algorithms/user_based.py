"""User-based collaborative filtering: it recommends what the most similar customers have.

It is GroupLens's method (Resnick and others, CSCW 1994) with the cosine of the two customers' sets of items
as similarity, which suits events without ratings. The score of an item is the sum of the similarities of
those among the `NEAREST` customers who have it. Comparing with only a sample of the customers made it
feasible at scale, at the price of quality (Linden, Smith and York, IEEE Internet Computing 7(1), 2003).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring, dense

NEAREST = 50
SAMPLED_SHARE = 0.1
SEED = 0


class UserBased(Scoring):
    """The exact method: it compares with all customers."""

    name = "user-cf"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Scale every customer's row to length 1."""
        del cutoff_ms
        length = np.sqrt(self.owned.sum(axis=1).A1)
        self._unit = sparse.diags_array(1 / np.maximum(length, 1.0)) @ self.owned
        self._others = self.candidates(np.unique(before.customer))

    def candidates(self, customers: Ids) -> Ids:
        """Return the customers who may be among the nearest."""
        return customers

    @property
    def width(self) -> int:
        """The similarities, three times over, and the items."""
        return max(3 * len(self._others), super().width)

    def scores(self, customers: Ids) -> Scores:
        """Return sums of similarity over the nearest customers who have the item."""
        alike = dense(self._unit[customers] @ self._unit[self._others].T)
        alike[customers[:, None] == self._others] = 0.0  # oneself is not another
        if len(self._others) > NEAREST:
            least = np.partition(alike, -NEAREST, axis=1)[:, -NEAREST]
            alike[alike < least[:, None] * (1 - 1e-9)] = 0.0  # who is as near as the last counts, too
        return dense(sparse.csr_matrix(alike) @ self.owned[self._others])


class SampledUserBased(UserBased):
    """The sampled method: it compares with a random tenth of the customers."""

    name = "user-cf-sampled"

    def candidates(self, customers: Ids) -> Ids:
        """Return a random sample of the customers."""
        n = max(round(SAMPLED_SHARE * len(customers)), 1)
        return np.sort(np.random.default_rng(SEED).choice(customers, n, replace=False))
