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

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending.related_lists import ListArrays
from state.memory.arrays import CACHE_LINE, address_of, kernel, prefetch
from state.relatedness import SHRINK, SHRINK_RECENT

MOST = 1 << 14  # distinct candidates of a history: 120 lists of 100
QUERY_ITEMS = 120
LAST = 5
Q_TAU_MS = 30.0 * 86_400_000
Q_OLD = 0.001
COSINE_SHRINK = 0.3


class Sums(NamedTuple):
    """The sums of up to MOST candidates, in the order in which candidates were found."""

    item: npt.NDArray[np.int32]
    n: npt.NDArray[np.float64]
    e: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]
    z_n: npt.NDArray[np.float64]
    z_f: npt.NDArray[np.float64]
    z_f_last: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    raw: npt.NDArray[np.float64]
    flawed: npt.NDArray[np.float64]
    corrected: npt.NDArray[np.float64]


class Scratch(NamedTuple):
    """Where candidates are in `Sums`, by number of the related lists; it is reused without being cleared."""

    place: npt.NDArray[np.int32]
    stamp: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]  # [1]


def new_sums() -> Sums:
    """Return buffers; the sums of a candidate lie side by side, so that adding touches two cache lines."""
    table = np.empty((MOST, len(Sums._fields) - 1))
    return Sums(np.empty(MOST, np.int32), *(table[:, n] for n in range(table.shape[1])))


def new_scratch(capacity: int) -> Scratch:
    """Return buffers for items 0 .. capacity - 1."""
    return Scratch(np.zeros(capacity, np.int32), np.zeros(capacity, np.int64), np.zeros(1, np.int64))


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
def pair_z(z: float, recent: float, mass: float, inverse: float, e_x: float) -> tuple[float, float]:
    """Return (z_n, z_f) of an entry y in the list of x, neither below 0.

    Parameters
    ----------
    z, recent, mass
        (N - E) / sqrt(E + 20), F as of the landmark, and R_y as of the landmark.
    inverse
        The factor that brings F from the landmark to now.
    e_x
        R_x as of now, over T: see `expects`.
    """
    e_f = e_x * mass
    z_f = (recent * inverse - e_f) / np.sqrt(e_f + SHRINK_RECENT)
    return max(np.float64(z), 0.0), max(z_f, 0.0)


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
    _ask_for_bytes(address_of(a.z) + 4 * first, 4 * n)
    _ask_for_bytes(address_of(a.recent) + 8 * first, 8 * n)


@kernel
def gather(
    a: ListArrays, scratch: Scratch, sums: Sums, history: npt.NDArray[np.int32], q: npt.NDArray[np.float64],
    recent_buyers: npt.NDArray[np.float64], inverse: float, customers: int,
) -> int:  # fmt: skip
    """Fill `sums` from the lists of a history, newest item first; return how many candidates there are.

    `recent_buyers` are those of the history's items as of now, f above. The independence score `flawed` needs
    `customers`; with 0 of them it stays 0, which saves its time.
    """
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    items, recent, recent_mass = a.item, a.recent, a.recent_mass
    together, afters, expected, z = a.together, a.after, a.expected, a.z
    stamp, place = scratch.stamp, scratch.place
    n_sum, e_sum, after_sum, z_n_sum, z_f_sum, z_f_last = (
        sums.n, sums.e, sums.after, sums.z_n, sums.z_f, sums.z_f_last,
    )  # fmt: skip
    cosine, raw, flawed, corrected = sums.cosine, sums.raw, sums.flawed, sums.corrected
    scratch.epoch[0] += 1
    epoch = scratch.epoch[0]
    n = 0
    for h in range(len(history)):
        if h + 1 < len(history) and history[h + 1] >= 0:
            _ask_for(a, np.int64(history[h + 1]))
        x = np.int64(history[h])
        if x < 0:
            continue
        weight = q[h]
        e_x = expects(a, x, inverse)
        of_cosine = weight * inverse / np.sqrt(recent_buyers[h] + COSINE_SHRINK)
        for j in range(a.length[x]):
            y = np.int64(items[x, j])
            if stamp[y] == epoch:
                at = np.int64(place[y])
            elif n == MOST:
                continue
            else:
                at = n
                n += 1
                stamp[y], place[y] = epoch, at
                sums.item[at] = y
                n_sum[at] = e_sum[at] = after_sum[at] = z_n_sum[at] = z_f_sum[at] = z_f_last[at] = 0.0
                cosine[at] = raw[at] = flawed[at] = corrected[at] = 0.0
            f, mass_y, count = recent[x, j], recent_mass[y], np.float64(together[x, j])
            z_n, z_f = pair_z(z[x, j], f, mass_y, inverse, e_x)
            n_sum[at] += weight * count
            e_sum[at] += weight * expected[x, j]
            after_sum[at] += weight * afters[x, j]
            z_n_sum[at] += weight * z_n
            z_f_sum[at] += weight * z_f
            cosine[at] += of_cosine * f
            raw[at] += count
            corrected[at] += np.float64(z[x, j])
            if customers > 0:
                chance = np.float64(a.buyers[x]) * np.float64(a.buyers[y]) / customers
                flawed[at] += (count - chance) / np.sqrt(chance + SHRINK)
            if h < LAST:
                z_f_last[at] = max(z_f_last[at], z_f)
    return n
