"""Item-to-item by raw counts: the score of a pair is N_XY, the customers who have both.

What sells best goes with everything: the bias that the later scores set out to correct.
"""

from __future__ import annotations

import numpy as np

from evaluation.cooccurrence import CooccurrenceRows, ItemToItem
from evaluation.histories import Distinct
from evaluation.scoring import Scores


class RawCounts(ItemToItem):
    """N_XY."""

    name = "item-raw"

    def prepare(self, histories: Distinct, n_items: int) -> None:
        """Nothing is needed."""

    def pair_scores(self, rows: CooccurrenceRows) -> Scores:
        """Return the counts."""
        return rows.count.astype(np.float64)
