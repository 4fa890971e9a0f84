"""Item-to-item by raw counts: the score of a pair is N_XY, the number of customers who have both.

Bestsellers thus go with everything, which the later scores set out to correct.
"""

from __future__ import annotations

import numpy as np

from evaluation.cooccurrence import CooccurrenceRows, ItemToItem
from evaluation.histories import Distinct
from evaluation.scoring import Scores


class RawCounts(ItemToItem):
    """Scores pairs by N_XY."""

    name = "item-raw"

    def prepare(self, histories: Distinct, n_items: int) -> None:
        """Do nothing, as only the counts are needed."""

    def pair_scores(self, rows: CooccurrenceRows) -> Scores:
        """Return the counts."""
        return rows.count.astype(np.float64)
