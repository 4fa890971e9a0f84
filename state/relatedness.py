"""Relatedness: how much more often two items are bought together than expected by chance.

The expected co-purchases, if buying were independent, discount heavy buyers (Smith and Linden, Two Decades of
Recommender Systems at Amazon.com, IEEE Internet Computing 21(3), 2017):

    E_XY = sum over the buyers c of X of 1 - (1 - P_Y)^m_c

Here P_Y is the share of Y among all events by which a customer came to have a new item, and m_c is the
opportunity of X in c's history. With buyers S_j at opportunity nodes m_j (`state.items.opportunity`) and
s_Y = -log1p(-P_Y) this is E_X(s) = sum_j S_j (1 - exp(-s m_j)). Per row it is computed on a fixed grid of s,
as one matrix times S; each Y interpolates linearly at its position on the grid.

Scores of an entry seen N times (F decayed) in a row of N_X buyers:

    corrected    (N - E) / sqrt(E + 20)
    mix          (max(corrected, 0) / 2 + max((F - E_F) / sqrt(E_F + 5), 0)) sqrt(recent Y + 1/2)
                 with E_F = E (row's sum of F) / (row's sum of N); recent Y: purchases of two weeks
    raw          N
    flawed       the independence score, (N - E') / sqrt(E' + 20) with E' = N_X N_Y / customers
    difference   N - E
    g            signed likelihood ratio 2 (N log(N / E) - (N - E)), negative where N < E (Dunning 1993)

Amazon's history of its recommender calls the independence score flawed, because it ignores that heavy buyers
buy everything: their purchases make unrelated items look related. Entries whose score is not positive are not
related, and are in no list.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.settings import SCORE_NAMES

SHRINK = 20.0
SHRINK_RECENT = 5.0
MIX, CORRECTED, RAW, FLAWED, DIFFERENCE, G = range(6)
MODES = dict(zip(SCORE_NAMES, (MIX, CORRECTED, RAW, FLAWED, DIFFERENCE, G), strict=True))

LARGEST_SHARE = 0.99  # the largest P_Y: with 1, as in a shop with one item, the logarithm would be infinite
GRID_FIRST = 2e-6
GRID_POINTS = 208
GRID_RATIO = (5.0 / GRID_FIRST) ** (1.0 / (GRID_POINTS - 2))
_LOG_RATIO = float(np.log(GRID_RATIO))


def grid() -> npt.NDArray[np.float64]:
    """Return the values of s at which the expectation is tabulated, ascending from 0.

    -log1p(-LARGEST_SHARE) is among them.
    """
    return np.concatenate([[0.0], GRID_FIRST * GRID_RATIO ** np.arange(GRID_POINTS - 1)])


def expectation_matrix(nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return 1 - exp(-s m), float64[nodes, grid points]; buyers at nodes times this is E on the grid."""
    return -np.expm1(-np.outer(nodes.astype(np.float64), grid()))


def expected(share: float, nodes: npt.NDArray[np.int64], buyers: npt.NDArray[np.float64]) -> float:
    """Return E without the grid: `share` is P_Y, `buyers` float64[nodes] the buyers at the nodes."""
    s = -np.log1p(-min(share, LARGEST_SHARE))
    return float(buyers @ -np.expm1(-s * nodes))


@kernel
def grid_position(buyers: int, total: int) -> float:
    """Return where on the grid an item with `buyers` of `total` new-item events lies: cell + fraction."""
    if total == 0 or buyers <= 0:
        return 0.0
    s = -np.log1p(-min(buyers / total, LARGEST_SHARE))
    if s < GRID_FIRST:
        return s / GRID_FIRST
    cell = np.floor(np.log(s / GRID_FIRST) / _LOG_RATIO)
    low = GRID_FIRST * np.exp(cell * _LOG_RATIO)
    return 1.0 + cell + min(max((s - low) / (low * (GRID_RATIO - 1.0)), 0.0), 1.0)


@kernel
def score(
    mode: int, n: float, f: float, e: float, f_share: float, root_recent: float, chance: float
) -> tuple[float, float]:
    """Return (score, expectation it compares with) of an entry; see the module.

    `f_share` is the row's sum of F over its sum of N, `chance` the expectation of the independence score.
    """
    if mode == MIX:
        z = (n - e) / np.sqrt(e + SHRINK)
        e_f = e * f_share
        z_f = (f - e_f) / np.sqrt(e_f + SHRINK_RECENT)
        return (max(z, 0.0) * 0.5 + max(z_f, 0.0)) * root_recent, e
    if mode == CORRECTED:
        return (n - e) / np.sqrt(e + SHRINK), e
    if mode == RAW:
        return n, e
    if mode == FLAWED:
        return (n - chance) / np.sqrt(chance + SHRINK), chance
    if mode == DIFFERENCE:
        return n - e, e
    if e <= 0.0:
        return 0.0, e
    g = 2.0 * (n * np.log(n / e) - (n - e))
    return (g if n > e else -g), e
