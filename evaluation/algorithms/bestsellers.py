"""Bestsellers: the items with the most events, the same for all customers, of all time or of two weeks."""

from __future__ import annotations

import numpy as np

from evaluation.protocol import DAY_MS, Events, Ids
from evaluation.scoring import Scores, Scoring

RECENT_DAYS = 14


class BestsellersScoring(Scoring):
    """Scores items by their events of all time."""

    name = "bestsellers"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Count the events of each item."""
        del cutoff_ms
        self._counts = np.bincount(before.item, minlength=before.n_items).astype(np.float64)

    def scores(self, customers: Ids) -> Scores:
        """Return the counts."""
        return np.tile(self._counts, (len(customers), 1))


class RecentBestsellersScoring(BestsellersScoring):
    """Scores items by their events of the two weeks before the cutoff."""

    name = "bestsellers-2w"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Count the recent events of each item."""
        super().learn(before.between(cutoff_ms - RECENT_DAYS * DAY_MS, cutoff_ms), cutoff_ms)
