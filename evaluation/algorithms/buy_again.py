"""Buy it again: the items that the customer had most often, the newest first if that is equal.

Only items that repeat can be bought again, so it answers the question of all items, not that of new ones. The
rate of repeat purchases (`recommending.repeats`) is a feature of `ours`; alone it is worse than the count.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from evaluation.histories import bought
from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring, dense


class BuyAgain(Scoring):
    """Scores items by the customer's own counts."""

    name = "buy-again"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Count; the position of the newest event in the data, between 0 and 1, orders equal counts."""
        del cutoff_ms
        self._scores = bought(before)
        pairs = before.customer.astype(np.int64) * before.n_items + before.item
        _, from_end = np.unique(pairs[::-1], return_index=True)
        last = len(before) - 1 - from_end
        newest = (last + 1) / (len(before) + 1)
        place = sparse.csr_matrix(
            (newest, (before.customer[last], before.item[last])), shape=self._scores.shape
        )
        self._scores = (self._scores + place).tocsr()

    def scores(self, customers: Ids) -> Scores:
        """Return the counts of the items that the customers have."""
        return dense(self._scores[customers])
