"""Repeat purchases: the days, the span and the decayed count of an item in a history."""

from __future__ import annotations

import numpy as np

from state.customers.histories import MOST_DAYS, PROFILE_BITS, Histories, columns
from state.memory.arrays import kernel

DAY_MS = 86_400_000
TAU_MS = 30.0 * DAY_MS  # of the decayed count

# the bits that `again` returns
DAY_ADDED, REPEATER, SPAN_BITS = 1, 2, 2


@kernel
def span_at(h: Histories, customer: int, rank: int) -> int:
    """Return the minutes from the first event of the item at a rank to its newest one.

    It is 0 if all its events are on one day.
    """
    _, _, firsts, lasts, days, _ = columns(h, customer)
    if np.int64(h.arena32[days + rank]) & MOST_DAYS < 2:
        return 0
    return max(np.int64(h.arena[lasts + rank]) - np.int64(h.arena[firsts + rank]), 0) // 60_000


@kernel
def days_at(h: Histories, customer: int, rank: int) -> int:
    """Return on how many days the item at a rank was bought."""
    return np.int64(h.arena32[columns(h, customer)[4] + rank]) & MOST_DAYS


@kernel
def again(h: Histories, customer: int, rank: int, time_ms: int, profile: int) -> int:
    """Note one more event of the item at a rank; return how its repeats change.

    Returns
    -------
    int
        DAY_ADDED | REPEATER (this is the customer's first repeat) | growth of the span in minutes <<
        SPAN_BITS.
    """
    _, _, _, lasts, all_days, recents = columns(h, customer)
    span = span_at(h, customer, rank)
    last = np.int64(h.arena[lasts + rank])
    days = np.int64(h.arena32[all_days + rank]) & MOST_DAYS
    code = 0
    if time_ms // DAY_MS != last // DAY_MS and days < MOST_DAYS:
        days += 1
        code = DAY_ADDED | (REPEATER if days == 2 else 0)
    recent = np.float64(h.arena_f[recents + rank])
    if time_ms >= last:
        recent = recent * np.exp((last - time_ms) / TAU_MS) + 1.0
        h.arena[lasts + rank] = np.uint64(time_ms)
    else:
        recent += np.exp((time_ms - last) / TAU_MS)
    h.arena_f[recents + rank] = np.float32(recent)
    h.arena32[all_days + rank] = np.uint32(days | (profile << PROFILE_BITS))
    return code | ((span_at(h, customer, rank) - span) << SPAN_BITS)
