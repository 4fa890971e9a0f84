"""The popularity of other machines' items, as far as a machine ranks by it: expected, then as published.

A machine counts the popularity of its own items (`state.popularity.counts`). Of items that another machine
owns, which have no row here, it knows the buyers and the recent purchases: what it expects from its own
messages, until what the owner published takes its place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.popularity.counts import BUYERS, DAY_MS, RECENT_DAYS, WATERMARK_MS, Popularity, mark_inexact


@kernel
def expect_purchase(p: Popularity, item: int, time_ms: int) -> None:
    """Count a new buyer of another machine's item until that machine publishes the item's popularity
    (`adopt`).

    Without it, a new item would seem unpopular just when its first lists are made.
    """
    p.buyers[item] += 1
    p.recent[item] += time_ms // DAY_MS > p.totals[WATERMARK_MS] // DAY_MS - RECENT_DAYS
    mark_inexact(p)


@kernel
def forget_others(p: Popularity, row_of: npt.NDArray[np.int32], items: int) -> None:
    """Take back what was published or expected of those of items 0 .. items - 1 that have no row."""
    for item in range(items):
        if row_of[item] < 0:
            p.buyers[item] = 0
            p.recent[item] = 0


@kernel
def adopt(
    p: Popularity, row_of: npt.NDArray[np.int32], items: npt.NDArray[np.int64], theirs: Popularity,
    numbers: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Take over what ranking reads of items without a row from `theirs`; `numbers` are theirs, -1: none."""
    for i in range(len(items)):
        item, number = items[i], numbers[i]
        if number >= 0 and row_of[item] < 0:
            p.buyers[item] = theirs.buyers[number]
            p.recent[item] = theirs.recent[number]


@kernel
def adopt_total(
    p: Popularity, item_of: npt.NDArray[np.int32], rows: int, row_of: npt.NDArray[np.int32],
    theirs: Popularity, items: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Set the total of buyers to that of own items and of others as published; `items` are our numbers."""
    total = 0
    for row in range(rows):
        total += p.buyers[item_of[row]]
    for number in range(len(items)):
        if items[number] < 0 or row_of[items[number]] < 0:
            total += theirs.buyers[number]
    p.totals[BUYERS] = total
