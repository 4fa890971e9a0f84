"""Opportunity sizes: how many items a customer's history lets an item pair with, kept exactly.

The item at rank r of a history of n items pairs with min(r, w) items before it and min(n - 1 - r, w) after
it. Their number is its opportunity m, 0 <= m <= 2w. An item's expected co-purchases are a sum of a concave
function of m over its buyers (see `state.relatedness`), so it suffices to keep how many buyers have which m.
Sizes are gathered in cells between nodes 0, 1, 2, ... 8, then x1.25 up to 2w. A cell holds two integers, the
buyers in it and the sum of their distances from its lower node, which is what is needed to split each buyer
linearly between the cell's two nodes. As they are integers, adding and taking back are exact inverses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

GROWTH = 1.25


def nodes(window: int) -> npt.NDArray[np.int64]:
    """Return the node sizes, ascending from 0 to 2 * window.

    >>> nodes(5).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    """
    sizes = [0]
    while sizes[-1] < 2 * window:
        sizes.append(max(sizes[-1] + 1, math.floor(sizes[-1] * GROWTH)))
    return np.array([size for size in sizes if size < 2 * window] + [2 * window], dtype=np.int64)


@dataclass(frozen=True)
class Cells:
    """The cells of one window.

    Attributes
    ----------
    nodes : int64[n + 1]
        The node sizes.
    of_size : int64[2 * window + 2]
        The cell of each size; the largest size has a cell of its own, the last.
    above : int64[2 * window + 2]
        The distance of each size from its cell's lower node.
    """

    nodes: npt.NDArray[np.int64]
    of_size: npt.NDArray[np.int64]
    above: npt.NDArray[np.int64]

    @staticmethod
    def of(window: int) -> Cells:
        """Return the cells for histories paired within `window`."""
        node = nodes(window)
        sizes = np.arange(2 * window + 1)
        cell = np.searchsorted(node, sizes, side="right") - 1
        return Cells(node, cell, sizes - node[cell])

    def at_nodes(self, cells: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
        """Return the buyers per node, each split linearly, from uint32[2, n_nodes] (or [..., 2, n_nodes])."""
        gaps = np.append(np.diff(self.nodes), 1).astype(np.float64)
        upper = cells[..., 1, :] / gaps
        buyers = cells[..., 0, :] - upper
        buyers[..., 1:] += upper[..., :-1]
        return np.asarray(buyers)


@kernel
def opportunity(rank: int, length: int, window: int) -> int:
    """Return how many items the item at `rank` of a history of `length` items pairs with."""
    return min(rank, window) + min(length - 1 - rank, window)
