"""Popularity of the whole catalogue, as every item partition keeps it.

Buyers per item (customers who have it), their total, and purchases of two weeks of event time: the day of
the newest event and the 13 days before it. Late events count in their day as long as it is in the window.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory import kernel
from state.relatedness import grid_position

DAY_MS = 86_400_000
DAYS = 14

# `totals`
BUYERS, WATERMARK_MS, REFRESHED_AT, PURCHASES = range(4)


class Popularity(NamedTuple):
    """Per item number of the machine's dictionary."""

    totals: npt.NDArray[np.int64]
    buyers: npt.NDArray[np.int64]
    recent: npt.NDArray[np.int64]  # purchases of the last DAYS days
    days: npt.NDArray[np.uint32]  # [DAYS, items], day d in slot d % DAYS
    available: npt.NDArray[np.uint8]
    ranked: npt.NDArray[np.float32]  # [items, 2]: position on the grid, sqrt(recent + 1/2) or -1


def new_popularity(capacity: int) -> Popularity:
    """No purchases of items 0 .. capacity - 1, all available."""
    ranked = np.zeros((capacity, 2), np.float32)
    ranked[:, 1] = np.sqrt(0.5)
    return Popularity(
        np.zeros(4, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros((DAYS, capacity), np.uint32),
        np.ones(capacity, np.uint8),
        ranked,
    )


def grow_popularity(p: Popularity, capacity: int) -> Popularity:
    """The same with room for `capacity` items."""
    grown = new_popularity(capacity)
    n = len(p.buyers)
    grown.totals[:] = p.totals
    grown.buyers[:n] = p.buyers
    grown.recent[:n] = p.recent
    grown.days[:, :n] = p.days
    grown.available[:n] = p.available
    grown.ranked[:n] = p.ranked
    return grown


@kernel
def add_purchase(p: Popularity, item: int, time_ms: int) -> None:
    """Count a purchase in its day, moving the window on if it is newer than all before."""
    p.totals[PURCHASES] += 1
    newest = p.totals[WATERMARK_MS] // DAY_MS
    day = time_ms // DAY_MS
    if time_ms > p.totals[WATERMARK_MS]:
        p.totals[WATERMARK_MS] = time_ms
        for d in range(max(newest + 1, day - DAYS + 1), day + 1):
            p.recent[:] -= p.days[d % DAYS].astype(np.int64)
            p.days[d % DAYS] = 0
        newest = day
    if day > newest - DAYS:
        p.days[day % DAYS, item] += np.uint32(1)
        p.recent[item] += 1


@kernel
def refresh_item(p: Popularity, item: int) -> None:
    """Bring what ranking reads of an item up to date."""
    p.ranked[item, 0] = grid_position(p.buyers[item], p.totals[BUYERS])
    p.ranked[item, 1] = np.sqrt(p.recent[item] + 0.5) if p.available[item] else -1.0


@kernel
def refresh(p: Popularity, items: int) -> None:
    """Bring what ranking reads of items 0 .. items - 1 up to date."""
    for item in range(items):
        refresh_item(p, item)
    p.totals[REFRESHED_AT] = p.totals[BUYERS]


@kernel
def is_stale(p: Popularity) -> bool:
    """Whether the total of buyers moved by more than one in 2,000 since the last refresh."""
    return abs(p.totals[BUYERS] - p.totals[REFRESHED_AT]) * 2000 > p.totals[BUYERS]
