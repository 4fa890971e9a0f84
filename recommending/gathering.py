"""Gather candidates from the lists of a customer's items, and sum up what supports each of them.

A past item x has the weight q_x = exp(-age / 30 days) + 0.001, where age is that of its newest purchase; only
the newest 120 count. The sums are over the lists that hold a candidate y. N, E and F are their counts (see
`state.relatedness`), R is a row's sum of F, and T the sum of all R:

    n, e        sum q N, sum q E
    after       sum q (customers who bought y after x)
    z_n         sum q max(0, (N - E) / sqrt(E + 20))
    z_f         sum q max(0, (F - R_x R_y / T) / sqrt(R_x R_y / T + 5))
    z_f_last    the largest such z_f, unweighted, over the last five items
    cosine      sum q F / sqrt(f_x + 0.3), f_x the decayed buyers of x (`state.popularity.counts`): divided by
                sqrt(f_y + 0.3) it is the cosine of decayed counts
    raw, flawed, corrected     sums of the historical scores over the history, unweighted

`flawed` is the independence score, which compares N with buyers of x times buyers of y over all customers.
Amazon's history calls it flawed because it ignores that heavy buyers buy everything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommending.buffers import (
    AFTER,
    CANDIDATES,
    CORRECTED,
    COSINE,
    FLAWED,
    LISTS,
    MOST,
    QUERY_ITEMS,
    RAW,
    Z_F,
    Z_F_LAST,
    Z_N,
    E,
    N,
    Scratch,
    Sums,
    begin,
)
from recommending.related_lists import ListArrays
from state.memory.arrays import CACHE_LINE, address_of, kernel, prefetch
from state.relatedness import SHRINK, SHRINK_RECENT

LAST = 5
Q_TAU_MS = 30.0 * 86_400_000
Q_OLD = 0.001
COSINE_SHRINK = 0.3


@kernel
def newest_first(last_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the indices of the newest items of a history."""
    order = np.argsort(-last_ms, kind="mergesort")
    return order[:QUERY_ITEMS]


@kernel
def weights(last_ms: npt.NDArray[np.int64], now_ms: int) -> npt.NDArray[np.float64]:
    """Return the weight q of past items by the times of their newest purchases."""
    q = np.empty(len(last_ms))
    for i in range(len(last_ms)):
        q[i] = np.exp(-max(now_ms - last_ms[i], 0) / Q_TAU_MS) + Q_OLD
    return q


@kernel
def pair_z(z: float, recent: float, mass: float, e_x: float) -> tuple[float, float]:
    """Return (z_n, z_f) of an entry y in the list of x, neither below 0.

    Parameters
    ----------
    z, recent, mass
        (N - E) / sqrt(E + 20), F as of now, and R_y as of the landmark.
    e_x
        R_x as of now, over T: see `expects`.
    """
    e_f = e_x * mass
    z_f = (recent - e_f) / np.sqrt(e_f + SHRINK_RECENT)
    return max(z, 0.0), max(z_f, 0.0)


@kernel
def expects(a: ListArrays, x: int, inverse: float) -> float:
    """Return `e_x` of `pair_z`."""
    return a.recent_mass[x] * inverse / max(a.total[0], 1e-300)


@kernel
def _ask_for_bytes(at: int, size: int) -> None:
    for byte in range(0, size, CACHE_LINE):
        prefetch(at + byte)


@kernel
def _ask_for(a: ListArrays, x: int) -> None:
    """Prefetch the list of x: lists are far apart in memory, and each list of a history is read once."""
    first, n = x * np.int64(a.item.shape[1]), np.int64(a.length[x])
    _ask_for_bytes(address_of(a.item) + 4 * first, 4 * n)
    _ask_for_bytes(address_of(a.together) + 4 * first, 4 * n)
    _ask_for_bytes(address_of(a.after) + 4 * first, 4 * n)
    _ask_for_bytes(address_of(a.expected) + 4 * first, 4 * n)
    _ask_for_bytes(address_of(a.recent) + 4 * first, 4 * n)


@kernel
def _ask_for_items(a: ListArrays, words: npt.NDArray[np.int64], x: int) -> None:
    """Prefetch what is read of each item in the list of x, which has been prefetched itself."""
    items = a.item
    words_at, mass_at = address_of(words), address_of(a.recent_mass)
    for j in range(a.length[x]):
        prefetch(words_at + 8 * np.int64(items[x, j]))
        prefetch(mass_at + 8 * np.int64(items[x, j]))


@kernel
def gather(
    a: ListArrays, scratch: Scratch, sums: Sums, history: npt.NDArray[np.int32], q: npt.NDArray[np.float64],
    recent_buyers: npt.NDArray[np.float64], inverse: float, customers: int,
) -> int:  # fmt: skip
    """Fill `sums` from the lists of a history, newest item first; return how many candidates there are.

    The history must not have more than QUERY_ITEMS items. `recent_buyers` are those of its items as of now, f
    above. The independence score `flawed` needs `customers`; with 0 of them it stays 0, which saves its time.
    """
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    items, recent, recent_mass, buyers = a.item, a.recent, a.recent_mass, a.buyers
    together, afters, expected, words = a.together, a.after, a.expected, scratch.word
    candidate, table, entry_place, entry_part = sums.item, sums.table, sums.place, sums.part
    epoch = begin(scratch)
    n = m = 0
    for h in range(min(2, len(history))):
        if history[h] >= 0:
            _ask_for(a, np.int64(history[h]))
    for h in range(len(history)):
        if h + 2 < len(history) and history[h + 2] >= 0:
            _ask_for(a, np.int64(history[h + 2]))
        if h + 1 < len(history) and history[h + 1] >= 0:
            _ask_for_items(a, words, np.int64(history[h + 1]))
        x = np.int64(history[h])
        sums.query[h] = x
        if x < 0:
            sums.end[h] = m
            continue
        weight = q[h]
        e_x = expects(a, x, inverse)
        of_cosine, to_now = weight / np.sqrt(recent_buyers[h] + COSINE_SHRINK), a.to_landmark[x] * inverse
        for j in range(a.length[x]):
            y = np.int64(items[x, j])
            at = words[y] - epoch
            if at < 0:
                if n == MOST:
                    continue
                at = n
                n += 1
                words[y] = epoch + at
                candidate[at] = y
                table[at, :] = 0.0
            f, count, e = recent[x, j] * to_now, np.float64(together[x, j]), np.float64(expected[x, j])
            z = (count - e) / np.sqrt(e + SHRINK)
            z_n, z_f = pair_z(z, f, recent_mass[y], e_x)
            table[at, N] += weight * count
            table[at, E] += weight * e
            table[at, AFTER] += weight * afters[x, j]
            table[at, Z_N] += weight * z_n
            table[at, Z_F] += weight * z_f
            table[at, COSINE] += of_cosine * f
            table[at, RAW] += count
            table[at, CORRECTED] += z
            if customers > 0:
                chance = np.float64(buyers[x]) * np.float64(buyers[y]) / customers
                table[at, FLAWED] += (count - chance) / np.sqrt(chance + SHRINK)
            if h < LAST:
                table[at, Z_F_LAST] = max(table[at, Z_F_LAST], z_f)
            entry_place[m], entry_part[m] = at, weight * (z_n + z_f)
            m += 1
        sums.end[h] = m
    sums.counts[CANDIDATES], sums.counts[LISTS] = n, len(history)
    return n
