"""Popularity of the whole catalogue, as every item partition keeps it.

Buyers per item (customers who have it), their total, and purchases by day of event time: the day of the
newest event and the 27 days before it. Late events count in their day as long as it is among these. What
lists are ranked by is the sum of the newest 14.

Of the buyers of each item it keeps what their histories say of repeats (`state.histories`): how many bought
it on more than one day, on how many days beyond their first, and over how many minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.history_repeats import DAY_ADDED, REPEATER, SPAN_BITS
from state.memory import kernel
from state.relatedness import grid_position

DAY_MS = 86_400_000
DAYS = 28
RECENT_DAYS = 14
NEVER = 2**31 - 1

# `totals`
BUYERS, WATERMARK_MS, REFRESHED_AT, PURCHASES = range(4)
# columns of `repeats`
REPEATERS, REPEAT_DAYS, SPAN_MINUTES = range(3)


class Popularity(NamedTuple):
    """Per item number of the machine's dictionary."""

    totals: npt.NDArray[np.int64]
    buyers: npt.NDArray[np.int64]
    recent: npt.NDArray[np.int64]  # purchases of the last RECENT_DAYS days
    days: npt.NDArray[np.uint32]  # [items, DAYS], day d in slot d % DAYS
    first_day: npt.NDArray[np.int32]  # of any purchase, NEVER without one
    repeats: npt.NDArray[np.int64]  # [items, 3], see REPEATERS
    available: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.float32]  # on the grid of `state.relatedness`
    roots: npt.NDArray[np.float32]  # sqrt(recent + 1/2), -1 for an item that is not available


def new_popularity(capacity: int) -> Popularity:
    """No purchases of items 0 .. capacity - 1, all available."""
    return Popularity(
        np.zeros(4, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros((capacity, DAYS), np.uint32),
        np.full(capacity, NEVER, np.int32),
        np.zeros((capacity, 3), np.int64),
        np.ones(capacity, np.uint8),
        np.zeros(capacity, np.float32),
        np.full(capacity, np.sqrt(0.5), np.float32),
    )


def grow_popularity(p: Popularity, capacity: int) -> Popularity:
    """The same with room for `capacity` items."""
    grown = new_popularity(capacity)
    grown.totals[:] = p.totals
    for old, new in zip(p[1:], grown[1:], strict=True):
        new[: len(old)] = old
    return grown


@kernel
def add_purchase(p: Popularity, item: int, time_ms: int) -> None:
    """Count a purchase in its day, moving the window on if it is newer than all before."""
    p.totals[PURCHASES] += 1
    day = time_ms // DAY_MS
    newest = p.totals[WATERMARK_MS] // DAY_MS
    if time_ms > p.totals[WATERMARK_MS]:
        p.totals[WATERMARK_MS] = time_ms
        if day > newest:
            for d in range(max(newest + 1, day - DAYS + 1), day + 1):
                p.days[:, d % DAYS] = 0
            newest = day
            count_recent(p)
            p.totals[REFRESHED_AT] = -1
    if day > newest - DAYS:
        p.days[item, day % DAYS] += np.uint32(1)
        p.recent[item] += day > newest - RECENT_DAYS
    p.first_day[item] = min(p.first_day[item], day)


@kernel
def count_recent(p: Popularity) -> None:
    """Add the newest days of every item up: once for each day of event time."""
    newest = p.totals[WATERMARK_MS] // DAY_MS
    for item in range(len(p.recent)):
        p.recent[item] = purchases_of(p, item, newest, RECENT_DAYS)


@kernel
def purchases_of(p: Popularity, item: int, last: int, days: int) -> int:
    """Purchases of an item in the `days` days that end with day `last`."""
    n = 0
    for d in range(last - days + 1, last + 1):
        n += np.int64(p.days[item, d % DAYS])
    return n


@kernel
def add_repeat(p: Popularity, item: int, again: int) -> None:
    """Count what `state.history_repeats.again` says of a repeat."""
    p.repeats[item, REPEATERS] += (again & REPEATER) > 0
    p.repeats[item, REPEAT_DAYS] += (again & DAY_ADDED) > 0
    p.repeats[item, SPAN_MINUTES] += again >> SPAN_BITS


@kernel
def undo_repeats(p: Popularity, item: int, days: int, span: int) -> None:
    """Take back the repeats of a buyer who has the item no more."""
    if days > 1:
        p.repeats[item, REPEATERS] -= 1
        p.repeats[item, REPEAT_DAYS] -= days - 1
        p.repeats[item, SPAN_MINUTES] -= span


@kernel
def refresh_item(p: Popularity, item: int) -> None:
    """Bring what ranking reads of an item up to date."""
    p.positions[item] = grid_position(p.buyers[item], p.totals[BUYERS])
    p.roots[item] = np.sqrt(p.recent[item] + 0.5) if p.available[item] else -1.0


@kernel
def refresh(p: Popularity, items: int) -> None:
    """Bring what ranking reads of items 0 .. items - 1 up to date."""
    for item in range(items):
        refresh_item(p, item)
    p.totals[REFRESHED_AT] = p.totals[BUYERS]


@kernel
def take_back(p: Popularity, item: int) -> None:
    """Count a buyer less.

    The total may come back to what it was at the last refresh, with positions in between that are of another
    total: from then on what was refreshed at is kept as -2 minus it, which no total is.
    """
    p.buyers[item] -= 1
    p.totals[BUYERS] -= 1
    if p.totals[REFRESHED_AT] >= 0:
        p.totals[REFRESHED_AT] = -2 - p.totals[REFRESHED_AT]


@kernel
def is_changed(p: Popularity) -> bool:
    """Whether what ranking reads of any item is not that of now."""
    return p.totals[BUYERS] != p.totals[REFRESHED_AT]


@kernel
def is_stale(p: Popularity) -> bool:
    """Whether the total of buyers moved by more than one in 200 since the last refresh, or a day began."""
    at = p.totals[REFRESHED_AT]
    if at < -1:
        at = -2 - at
    return at < 0 or abs(p.totals[BUYERS] - at) * 200 > p.totals[BUYERS]
