"""A customer's taste in categories and brands, compared with what everybody buys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

SHRINK = 3.0  # everybody's shares count as so many past purchases


class Groups(NamedTuple):
    """The category and brand of each item of the related lists (0: none), and their shares of all buyers."""

    of_item: npt.NDArray[np.int32]  # [items, 2]
    category_share: npt.NDArray[np.float64]
    brand_share: npt.NDArray[np.float64]


class Tastes(NamedTuple):
    """A customer's weight in each group, and the groups."""

    groups: Groups
    category: npt.NDArray[np.float64]
    brand: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]  # [1]


def no_groups() -> Groups:
    """Return groups in which no item has a category or brand."""
    return Groups(np.zeros((0, 2), np.int32), np.zeros(1), np.zeros(1))


def new_tastes(groups: Groups) -> Tastes:
    """Return tastes without any customer's weights."""
    return Tastes(
        groups, np.zeros(len(groups.category_share)), np.zeros(len(groups.brand_share)), np.zeros(1)
    )


@kernel
def learn(t: Tastes, history: npt.NDArray[np.int32], q: npt.NDArray[np.float64]) -> None:
    """Add up a history; `forget` undoes it."""
    t.total[0] = 0.0
    for h in range(len(history)):
        x = np.int64(history[h])
        if 0 <= x < len(t.groups.of_item):
            t.category[t.groups.of_item[x, 0]] += q[h]
            t.brand[t.groups.of_item[x, 1]] += q[h]
            t.total[0] += q[h]


@kernel
def forget(t: Tastes, history: npt.NDArray[np.int32]) -> None:
    """Undo `learn`."""
    for x in history:
        if 0 <= x < len(t.groups.of_item):
            t.category[t.groups.of_item[x, 0]] = 0.0
            t.brand[t.groups.of_item[x, 1]] = 0.0


@kernel
def taste(t: Tastes, item: int) -> tuple[float, float]:
    """Return the log of how much more than everybody the customer buys of an item's category, and of its
    brand.
    """
    if not 0 <= item < len(t.groups.of_item):
        return 0.0, 0.0
    category, brand = t.groups.of_item[item, 0], t.groups.of_item[item, 1]
    return (
        _lift(t.category[category], t.total[0], t.groups.category_share[category]) if category else 0.0,
        _lift(t.brand[brand], t.total[0], t.groups.brand_share[brand]) if brand else 0.0,
    )


@kernel
def _lift(weight: float, total: float, share: float) -> float:
    expected = SHRINK * max(share, 1e-6)
    return np.log((weight + expected) / (total * max(share, 1e-6) + expected))
