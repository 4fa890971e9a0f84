"""Popularity: a machine counts that of its own items, and takes over that of others (`others`).

It counts buyers per item (customers who have it), their total, and purchases by day of event time: the day of
the newest event and the 27 days before it. Late events count in their day as long as it is among these. Lists
are ranked by the sum of the newest 14 days.

For each item it also keeps the sum of the days on which its buyers first bought it, the sum of
exp(-age of that day / 30 days) over its buyers, and the repeats of their histories
(`state.customers.histories`): how many bought it on more than one day, on how many days beyond their first,
and over how many minutes.

Everything here is a sum over what customers have now, so that a return or an erasure takes back exactly what
the purchases added (docs/decisions/0017-undo-of-popularity.md); of decayed buyers, which are real numbers, it
takes back all but a 10^15th part of the largest. Only the newest event time stays: it is the clock of the
events.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers.repeats import DAY_ADDED, REPEATER, SPAN_BITS
from state.memory.arrays import kernel, zeros
from state.memory.entries import decay_weight
from state.relatedness import grid_position

DAY_MS = 86_400_000
DAY_MINUTES = 24 * 60
DAYS = 28
RECENT_DAYS = 14

# `totals`
BUYERS, WATERMARK_MS, REFRESHED_AT, PURCHASES = range(4)
# columns of `repeats`
REPEATERS, REPEAT_DAYS, SPAN_MINUTES = range(3)


class Popularity(NamedTuple):
    """The arrays by item number of the machine's dictionary."""

    totals: npt.NDArray[np.int64]
    buyers: npt.NDArray[np.int64]
    recent: npt.NDArray[np.int64]  # purchases of the last RECENT_DAYS days
    days: npt.NDArray[np.uint32]  # [items, DAYS], day d in slot d % DAYS
    first_days: npt.NDArray[np.int64]  # sum over the buyers of the days, since 1970, they first bought it on
    recent_buyers: npt.NDArray[np.float64]  # decayed by the age of that day, as of the landmark of F
    repeats: npt.NDArray[np.int64]  # [items, 3], see REPEATERS
    available: npt.NDArray[np.uint8]
    changes: npt.NDArray[np.uint32]  # how often an item's popularity was changed
    positions: npt.NDArray[np.float32]  # on the grid of `state.relatedness`
    roots: npt.NDArray[np.float32]  # sqrt(recent + 1/2), -1 for an item that is not available


def new_popularity(capacity: int) -> Popularity:
    """Return popularity without purchases of items 0 .. capacity - 1, all of which are available."""
    return Popularity(
        np.zeros(4, np.int64),
        zeros(capacity, np.int64),
        zeros(capacity, np.int64),
        zeros((capacity, DAYS), np.uint32),
        zeros(capacity, np.int64),
        zeros(capacity),
        zeros((capacity, 3), np.int64),
        np.ones(capacity, np.uint8),
        zeros(capacity, np.uint32),
        zeros(capacity, np.float32),
        np.full(capacity, np.sqrt(0.5), np.float32),
    )


def grow_popularity(p: Popularity, capacity: int) -> Popularity:
    """Return the same popularity with room for `capacity` items."""
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
    move_on(p, time_ms)
    newest = p.totals[WATERMARK_MS] // DAY_MS
    if day > newest - DAYS:
        p.days[item, day % DAYS] += np.uint32(1)
        p.recent[item] += day > newest - RECENT_DAYS


@kernel
def take_purchases(p: Popularity, item: int, day: int, purchases: int) -> None:
    """Take back purchases of an item on a day (days since 1970).

    If the window has left it, only the total.
    """
    p.totals[PURCHASES] -= purchases
    newest = p.totals[WATERMARK_MS] // DAY_MS
    if day > newest - DAYS:
        p.days[item, day % DAYS] -= np.uint32(purchases)
        if day > newest - RECENT_DAYS:
            p.recent[item] -= purchases


@kernel
def add_buyer(p: Popularity, item: int, day: int) -> None:
    """Count a customer who has the item since a day (days since 1970)."""
    p.buyers[item] += 1
    p.totals[BUYERS] += 1
    p.first_days[item] += day
    p.recent_buyers[item] += decay_weight(day * DAY_MINUTES)


@kernel
def mark_inexact(p: Popularity) -> None:
    """Note that what ranking reads is not exact any more, though it may be recent enough."""
    if p.totals[REFRESHED_AT] >= 0:
        p.totals[REFRESHED_AT] = -2 - p.totals[REFRESHED_AT]


@kernel
def take_buyer(p: Popularity, item: int, day: int) -> None:
    """Take back what `add_buyer` and the purchase on that day added."""
    p.buyers[item] -= 1
    p.totals[BUYERS] -= 1
    p.first_days[item] -= day
    recent = p.recent_buyers[item] - decay_weight(day * DAY_MINUTES)
    p.recent_buyers[item] = max(recent, 0.0) if p.buyers[item] > 0 else 0.0  # without rounding errors
    mark_inexact(p)  # the total may return to its old value, which would hide the change
    take_purchases(p, item, day, np.int64(1))


@kernel
def age_days(p: Popularity, item: int) -> float:
    """Return the mean of the days since the buyers of an item first bought it; 0 without buyers."""
    if p.buyers[item] <= 0:
        return 0.0
    newest = p.totals[WATERMARK_MS] // DAY_MS
    return max(newest - p.first_days[item] / p.buyers[item], 0.0)


@kernel
def begin_day(p: Popularity, item: int, newest: int, day: int) -> None:
    """Move the window of an item on from day `newest` to a later one."""
    for d in range(max(newest + 1, day - DAYS + 1), day + 1):
        p.days[item, d % DAYS] = np.uint32(0)
    p.recent[item] = purchases_of(p, item, day, RECENT_DAYS)


@kernel
def move_on(p: Popularity, time_ms: int) -> None:
    """Move the window on to a time, if it is newer than all before."""
    if time_ms <= p.totals[WATERMARK_MS]:
        return
    newest, day = p.totals[WATERMARK_MS] // DAY_MS, time_ms // DAY_MS
    p.totals[WATERMARK_MS] = time_ms
    if day > newest:
        for item in range(len(p.recent)):
            begin_day(p, item, newest, day)
        p.totals[REFRESHED_AT] = -1


@kernel
def move_own_on(p: Popularity, own: npt.NDArray[np.int32], time_ms: int) -> None:
    """Move the window on where only the items `own`, up to the first -1, are counted; others wait for
    records.
    """
    if time_ms <= p.totals[WATERMARK_MS]:
        return
    newest, day = p.totals[WATERMARK_MS] // DAY_MS, time_ms // DAY_MS
    p.totals[WATERMARK_MS] = time_ms
    if day > newest:
        for item in own:
            if item < 0:
                break
            begin_day(p, np.int64(item), newest, day)
        p.totals[REFRESHED_AT] = -1


@kernel
def count_recent(p: Popularity) -> None:
    """Sum the newest days of every item."""
    newest = p.totals[WATERMARK_MS] // DAY_MS
    for item in range(len(p.recent)):
        p.recent[item] = purchases_of(p, item, newest, RECENT_DAYS)


@kernel
def purchases_of(p: Popularity, item: int, last: int, days: int) -> int:
    """Return the purchases of an item in the `days` days that end with day `last`."""
    n = 0
    slot = last % DAYS
    for _ in range(days):
        n += np.int64(p.days[item, slot])
        slot = slot - 1 if slot > 0 else DAYS - 1  # a modulo for each day would take most of the time
    return n


@kernel
def add_repeat(p: Popularity, item: int, again: int) -> None:
    """Count what `state.customers.repeats.again` returned for a repeat."""
    p.repeats[item, REPEATERS] += (again & REPEATER) > 0
    p.repeats[item, REPEAT_DAYS] += (again & DAY_ADDED) > 0
    p.repeats[item, SPAN_MINUTES] += again >> SPAN_BITS


@kernel
def undo_repeats(p: Popularity, item: int, days: int, span: int) -> None:
    """Take back the repeats of a buyer who no longer has the item."""
    if days > 1:
        p.repeats[item, REPEATERS] -= 1
        p.repeats[item, REPEAT_DAYS] -= days - 1
        p.repeats[item, SPAN_MINUTES] -= span


@kernel
def refresh_item(p: Popularity, item: int) -> None:
    """Update what ranking reads of an item."""
    p.positions[item] = grid_position(p.buyers[item], p.totals[BUYERS])
    p.roots[item] = np.sqrt(p.recent[item] + 0.5) if p.available[item] else -1.0


@kernel
def refresh(p: Popularity, items: int) -> None:
    """Update what ranking reads of items 0 .. items - 1."""
    for item in range(items):
        refresh_item(p, item)
    p.totals[REFRESHED_AT] = p.totals[BUYERS]


@kernel
def refresh_items(p: Popularity, items: npt.NDArray[np.int64]) -> None:
    """Update what ranking reads of some items."""
    for item in items:
        refresh_item(p, item)


@kernel
def is_changed(p: Popularity) -> bool:
    """Return whether what ranking reads of any item has changed since."""
    return p.totals[BUYERS] != p.totals[REFRESHED_AT]


@kernel
def is_stale(p: Popularity) -> bool:
    """Return whether the total of buyers moved by more than one in 200 since the last refresh, or a day
    began.
    """
    at = p.totals[REFRESHED_AT]
    if at < -1:
        at = -2 - at
    return at < 0 or abs(p.totals[BUYERS] - at) * 200 > p.totals[BUYERS]
