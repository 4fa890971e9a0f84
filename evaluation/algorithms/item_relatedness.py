"""Item-to-item by relatedness: how far N_XY is above its expectation, in standard deviations.

    z = (N_XY - E_XY) / sqrt(E_XY + 20)

The independence score (`flawed`) assumes that all customers buy alike: E_XY = N_X N_Y / customers. Amazon's
history calls it flawed because it ignores that heavy buyers buy everything, so that what they buy seems
related. The corrected expectation counts for each buyer c of X the m_c chances that the history gives to meet
Y (Smith and Linden, Two Decades of Recommender Systems at Amazon.com, IEEE Internet Computing 21(3), 2017):

    E_XY = sum over the buyers c of X of 1 - (1 - P_Y)^m_c

where P_Y is the share of Y among all (customer, item) pairs. The sum for each X is computed on the grid of
s = -log(1 - P) of `state.relatedness`, and interpolated.
"""

from __future__ import annotations

import numpy as np

from evaluation.cooccurrence import WINDOW, CooccurrenceRows, ItemToItem, opportunities
from evaluation.histories import Distinct
from evaluation.scoring import Scores
from state.relatedness import SHRINK, expectation_matrix, grid_position


class Flawed(ItemToItem):
    """The independence score, which assumes that all customers buy alike."""

    name = "item-flawed"

    def prepare(self, histories: Distinct, n_items: int) -> None:
        """Count buyers and customers."""
        self._buyers = np.bincount(histories.item, minlength=n_items)
        self._customers = int((np.diff(histories.starts) > 0).sum())

    def expected(self, rows: CooccurrenceRows) -> Scores:
        """Return E of the entries, float64[n]."""
        chance: Scores = self._buyers[rows.x] / max(self._customers, 1) * self._buyers[rows.y]
        return chance

    def pair_scores(self, rows: CooccurrenceRows) -> Scores:
        """Return z of the entries."""
        expected = self.expected(rows)
        z: Scores = (rows.count - expected) / np.sqrt(expected + SHRINK)
        return z


class Corrected(Flawed):
    """The score with the corrected expectation."""

    name = "item-corrected"

    def prepare(self, histories: Distinct, n_items: int) -> None:
        """Count the buyers of each item by how many items theirs is near to."""
        sizes = 2 * WINDOW + 1
        at = histories.item.astype(np.int64) * sizes + opportunities(histories)
        self._by_size = np.bincount(at, minlength=n_items * sizes).reshape(n_items, sizes).astype(np.float32)
        self._chances = expectation_matrix(np.arange(sizes))  # [sizes, grid]
        buyers = np.bincount(histories.item, minlength=n_items).tolist()
        total = len(histories.item)
        self._position = np.array([grid_position(n, total) for n in buyers])

    def expected(self, rows: CooccurrenceRows) -> Scores:
        """Return E of the entries, linear between the points of the grid: float64[n]."""
        on_grid = self._by_size[rows.first : rows.last] @ self._chances
        cell = self._position[rows.y].astype(np.int64)
        share = self._position[rows.y] - cell
        row = rows.x - rows.first
        e: Scores = (1 - share) * on_grid[row, cell] + share * on_grid[row, cell + 1]
        return e
