"""What the ranker weighs of a candidate: its features, each a logarithm of something measured.

Of any candidate y (now is the customer's event time; windows of days end with the newest day):

    day3, day14      log(purchases of 3, 14 days + 1/2)
    buyers           log(buyers + 1)
    age              log(1 + days since its buyers first bought it, their mean)
    trend            log(purchases of 7 days + 1/2) - log(a third of those of the 21 days before + 1/2)
    recent           log(1 + z_f)
    lift             log((n + 1) / (e + 1))
    lift_after       log((after + 1) / (e / 2 + 1))
    recent_last      log(1 + z_f_last)
    cosine           log(cosine / sqrt(f + 0.3) + 0.03), f its buyers, each decayed with 30 days
    together         log(1 + z_n)
    raw, corrected   log(1 + raw), log(1 + max(0, corrected))
    category, brand  log((share of q in y's category + a P) / (P + a P)), P the category's share of all
                     buyers, a = 3 / sum q
    chronological    the lift of `recommending.chronological`; 0 without a model, and of one owned

n, e, z_f and so on are sums over the history, see `recommending.gathering`. Of one the customer has:

    owned            1
    days, often      log(1 + days it was bought on), log(1 + how often, decayed to now)
    since            log(1 + days since its newest purchase)
    gap, due         log of days since over the usual gap, and minus its absolute value
    repeat           log((customers who bought it again + 1) / (buyers + 10))
    rate             log of the modified Poisson-Gamma rate, see `recommending.repeats`
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommending import buffers
from recommending.buffers import Sums
from recommending.gathering import COSINE_SHRINK
from recommending.repeats import due_ratio, rate
from recommending.tastes import Tastes, taste
from state.memory.arrays import CACHE_LINE, address_of, kernel, prefetch
from state.popularity.counts import DAY_MS, DAYS, REPEATERS, WATERMARK_MS, Popularity, age_days, purchases_of

NEW_FEATURES = (
    "day3", "day14", "buyers", "age", "trend", "recent", "lift", "lift_after", "recent_last", "cosine",
    "together", "category", "brand", "raw", "corrected", "chronological",
)  # fmt: skip
OWN_FEATURES = ("owned", "days", "often", "since", "gap", "due", "repeat", "rate")
FEATURES = NEW_FEATURES + OWN_FEATURES
DAY14 = NEW_FEATURES.index("day14")
CHRONOLOGICAL = NEW_FEATURES.index("chronological")
AHEAD = 8  # so many candidates ahead are prefetched
LEAST_COSINE = 0.03  # added to every cosine, so that an item in no list has a finite logarithm
N_NEW, N_ALL = len(NEW_FEATURES), len(FEATURES)


@kernel
def _ask_for(p: Popularity, tastes: Tastes, number: int, item: int) -> None:
    """Prefetch what `fill` reads of a candidate."""
    days_at = address_of(p.days) + 4 * DAYS * number
    prefetch(days_at)
    prefetch(days_at + CACHE_LINE)
    prefetch(address_of(p.recent) + 8 * number)
    prefetch(address_of(p.buyers) + 8 * number)
    prefetch(address_of(p.first_days) + 8 * number)
    prefetch(address_of(p.recent_buyers) + 8 * number)
    prefetch(address_of(tastes.groups.of_item) + 8 * item)


@kernel
def fill(
    x: npt.NDArray[np.float64], p: Popularity, numbers: npt.NDArray[np.int64], sums: Sums,
    places: npt.NDArray[np.int32], tastes: Tastes, items: npt.NDArray[np.int32], inverse: float,
) -> None:  # fmt: skip
    """Fill in the features of any candidates, except the chronological one, which becomes 0.

    It takes all candidates at once, because passing so many arrays for each costs more than its logarithms.

    Parameters
    ----------
    x
        The rows to fill, one for each candidate.
    numbers, places, items
        Each candidate's number in the popularity, its place in the sums (-1: none), and its number in the
        related lists.
    inverse
        The factor that brings decayed sums from the landmark to now.
    """
    newest = np.int64(p.totals[WATERMARK_MS]) // DAY_MS
    # plain local arrays, as in `gathering.gather`
    table, recent, buyers, recent_buyers = sums.table, p.recent, p.buyers, p.recent_buyers
    for i in range(min(AHEAD, len(items))):
        _ask_for(p, tastes, numbers[i], np.int64(items[i]))
    for i in range(len(items)):
        if i + AHEAD < len(items):
            _ask_for(p, tastes, numbers[i + AHEAD], np.int64(items[i + AHEAD]))
        item, at = numbers[i], np.int64(places[i])
        day7 = purchases_of(p, item, newest, np.int64(7))
        x[i, 0] = np.log(purchases_of(p, item, newest, np.int64(3)) + 0.5)
        x[i, 1] = np.log(recent[item] + 0.5)
        x[i, 2] = np.log(max(buyers[item], 0) + 1.0)
        x[i, 3] = np.log(1.0 + age_days(p, item))
        x[i, 4] = np.log(day7 + 0.5) - np.log(purchases_of(p, item, newest - 7, np.int64(21)) / 3.0 + 0.5)
        if at >= 0:
            n, e = table[at, buffers.N], table[at, buffers.E]
            cosine = table[at, buffers.COSINE]
            x[i, 5] = np.log(1.0 + table[at, buffers.Z_F])
            x[i, 6] = np.log((n + 1.0) / (e + 1.0))
            x[i, 7] = np.log((table[at, buffers.AFTER] + 1.0) / (e / 2.0 + 1.0))
            x[i, 8] = np.log(1.0 + table[at, buffers.Z_F_LAST])
            f = max(recent_buyers[item], 0.0) * inverse
            x[i, 9] = np.log(cosine / np.sqrt(f + COSINE_SHRINK) + LEAST_COSINE)
            x[i, 10] = np.log(1.0 + table[at, buffers.Z_N])
            x[i, 13] = np.log(1.0 + table[at, buffers.RAW])
            x[i, 14] = np.log(1.0 + max(table[at, buffers.CORRECTED], 0.0))
        else:
            x[i, 5] = x[i, 6] = x[i, 7] = x[i, 8] = x[i, 10] = x[i, 13] = x[i, 14] = 0.0
            x[i, 9] = np.log(LEAST_COSINE)
        x[i, 11], x[i, 12] = taste(tastes, np.int64(items[i]))
        x[i, 15] = 0.0


@kernel
def fill_own(
    x: npt.NDArray[np.float64], p: Popularity, item: int, first_ms: int, last_ms: int, days: int,
    recent: float, now_ms: int,
) -> None:  # fmt: skip
    """Fill in the further features of an owned item."""
    since = max(now_ms - last_ms, 0) / DAY_MS
    x[0] = 1.0
    x[1] = np.log(1.0 + days)
    x[2] = np.log(1.0 + recent * np.exp(-since / 30.0))
    x[3] = np.log(1.0 + since)
    ratio = due_ratio(p, item, first_ms, last_ms, days, now_ms)
    x[4] = np.log(ratio)
    x[5] = -abs(np.log(ratio))
    x[6] = np.log((max(p.repeats[item, REPEATERS], 0) + 1.0) / (max(p.buyers[item], 0) + 10.0))
    x[7] = np.log(rate(p, item, first_ms, last_ms, days, now_ms))
