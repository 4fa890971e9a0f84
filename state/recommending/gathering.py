"""Candidates from the lists of a customer's items, and what speaks for each: sums over the history.

A past item x counts with weight q_x = exp(-age / 30 days) + 0.001, age being that of its newest purchase; of
the newest 120. Over the lists that hold a candidate y, with N, E, F their counts (see `state.relatedness`)
and R a row's sum of F, T the sum of all R:

    n, e        sum q N, sum q E
    after       sum q (customers who bought y after x)
    z_n         sum q max(0, (N - E) / sqrt(E + 20))
    z_f         sum q max(0, (F - R_x R_y / T) / sqrt(R_x R_y / T + 5))
    z_f_last    the largest such z_f, unweighted, over the last five items
    cosine      sum q F / sqrt(max(R_x, F) max(R_y, F)): F is part of both R, but R may be from an older list
    raw, flawed, corrected     sums over the history, unweighted, of the historical scores
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory import kernel
from state.recommending.list_view import ListArrays
from state.relatedness import SHRINK, SHRINK_RECENT

MOST = 1 << 14  # distinct candidates of a history: 120 lists of 100
QUERY_ITEMS = 120
LAST = 5
Q_TAU_MS = 30.0 * 86_400_000
Q_OLD = 0.001


class Sums(NamedTuple):
    """[MOST] each, in the order candidates were come upon."""

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
    """Where candidates are in `Sums`, by number of the view; reused without being cleared."""

    place: npt.NDArray[np.int32]
    stamp: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]  # [1]


def new_sums() -> Sums:
    """Buffers; the sums of a candidate lie side by side: adding to them touches two lines of memory."""
    table = np.empty((MOST, len(Sums._fields) - 1))
    return Sums(np.empty(MOST, np.int32), *(table[:, n] for n in range(table.shape[1])))


def new_scratch(capacity: int) -> Scratch:
    """Buffers for items 0 .. capacity - 1."""
    return Scratch(np.zeros(capacity, np.int32), np.zeros(capacity, np.int64), np.zeros(1, np.int64))


@kernel
def weights(last_ms: npt.NDArray[np.int64], now_ms: int) -> npt.NDArray[np.float64]:
    """q of past items by the times of their newest purchases."""
    q = np.empty(len(last_ms))
    for i in range(len(last_ms)):
        q[i] = np.exp(-max(now_ms - last_ms[i], 0) / Q_TAU_MS) + Q_OLD
    return q


@kernel
def place_of(scratch: Scratch, sums: Sums, item: int, n: int) -> int:
    """Where a candidate's sums are; begins them at place n if it is new, -1 if there is no room."""
    if scratch.stamp[item] == scratch.epoch[0]:
        return np.int64(scratch.place[item])
    if n == MOST:
        return -1
    scratch.stamp[item] = scratch.epoch[0]
    scratch.place[item] = n
    sums.item[n] = item
    sums.n[n] = sums.e[n] = sums.after[n] = sums.z_n[n] = sums.z_f[n] = sums.z_f_last[n] = 0.0
    sums.cosine[n] = sums.raw[n] = sums.flawed[n] = sums.corrected[n] = 0.0
    return n


@kernel
def pair_z(a: ListArrays, x: int, j: int, inverse: float, e_x: float) -> tuple[float, float]:
    """(z_n, z_f) of entry j in the list of x, neither below 0.

    F times `inverse` is as of now; `e_x` is R_x as of now, over T.
    """
    e_f = e_x * a.recent_mass[a.item[x, j]]
    z_f = (a.recent[x, j] * inverse - e_f) / np.sqrt(e_f + SHRINK_RECENT)
    return max(np.float64(a.z[x, j]), 0.0), max(z_f, 0.0)


@kernel
def expects(a: ListArrays, x: int, inverse: float) -> float:
    """`e_x` of `pair_z`."""
    return a.recent_mass[x] * inverse / max(a.total[0], 1e-300)


@kernel
def gather(
    a: ListArrays, scratch: Scratch, sums: Sums, history: npt.NDArray[np.int32], q: npt.NDArray[np.float64],
    inverse: float, customers: int,
) -> int:  # fmt: skip
    """Fill `sums` from the lists of a history, newest item first; returns how many candidates there are.

    `flawed` needs `customers`, and is left at 0 with 0 of them: only who asks for it pays for it.
    """
    scratch.epoch[0] += 1
    n = 0
    for h in range(len(history)):
        x = np.int64(history[h])
        if x < 0:
            continue
        weight = q[h]
        mass_x, root_x, e_x = a.recent_mass[x], a.root[x], expects(a, x, inverse)
        for j in range(a.length[x]):
            y = np.int64(a.item[x, j])
            at = place_of(scratch, sums, y, n)
            if at < 0:
                continue
            n += at == n
            z_n, z_f = pair_z(a, x, j, inverse, e_x)
            count = np.float64(a.together[x, j])
            sums.n[at] += weight * count
            sums.e[at] += weight * a.expected[x, j]
            sums.after[at] += weight * a.after[x, j]
            sums.z_n[at] += weight * z_n
            sums.z_f[at] += weight * z_f
            f, mass_y = a.recent[x, j], a.recent_mass[y]
            if f <= mass_x and f <= mass_y:
                sums.cosine[at] += weight * f * root_x * a.root[y]
            else:
                sums.cosine[at] += weight * f / np.sqrt(max(max(mass_x, f) * max(mass_y, f), 1e-300))
            sums.raw[at] += count
            sums.corrected[at] += np.float64(a.z[x, j])
            if customers > 0:
                chance = np.float64(a.buyers[x]) * np.float64(a.buyers[y]) / customers
                sums.flawed[at] += (count - chance) / np.sqrt(chance + SHRINK)
            if h < LAST:
                sums.z_f_last[at] = max(sums.z_f_last[at], z_f)
    return n
