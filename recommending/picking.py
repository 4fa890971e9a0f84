"""Pick the candidates to show: in the ranker's order, but not all for the same reason.

Several people may share an account, and one purchase may have many neighbours. So the items of a shelf cover
the account's purchases (COVER, in Verstrepen and Goethals, Top-N Recommendation for Shared Accounts, RecSys
2015). Candidates are considered in order of their scores. A candidate is put back if all purchases that
explain it already explain enough of those taken (half of the shelf, or more where purchases are few). The
purchases that explain an item are its DAMIB: the first m of its reasons, strongest first, with the largest
sum / m^p, p = 0.75. An item without reasons (a bestseller) is never put back. In the paper the order is by
length-adjusted sums; here it stays the ranker's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommending.gathering import Scratch, expects, newest_first, pair_z, weights
from recommending.related_lists import ListArrays
from state.memory.arrays import kernel

REASONS = 3
P = 0.75
PICKED_FROM = 5  # the items are picked from so many times as many candidates


@kernel
def reasons(
    a: ListArrays, scratch: Scratch, chosen: npt.NDArray[np.int32], query: npt.NDArray[np.int32],
    q: npt.NDArray[np.float64], inverse: float,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:  # fmt: skip
    """Return the strongest reasons of each chosen item: indices into the query (-1 for none), and q (z_n +
    z_f).

    Returns
    -------
    int32[n, REASONS], float64[n, REASONS]
    """
    for c in range(len(chosen)):
        scratch.place[chosen[c]] = c
    which = np.full((len(chosen), REASONS), -1, np.int32)
    # a byte per item, because every entry of every list is looked up
    wanted = np.zeros(len(scratch.stamp), np.uint8)
    for item in chosen:
        wanted[item] = 1
    parts = np.zeros((len(chosen), REASONS))
    for h in range(len(query)):
        x = np.int64(query[h])
        if x < 0:
            continue
        e_x = expects(a, x, inverse)
        for j in range(a.length[x]):
            y = np.int64(a.item[x, j])
            if wanted[y] == 0:
                continue
            z_n, z_f = pair_z(a.z[x, j], a.recent[x, j], a.recent_mass[y], inverse, e_x)
            part = q[h] * (z_n + z_f)
            c = np.int64(scratch.place[y])
            at = REASONS
            while at > 0 and parts[c, at - 1] < part:
                at -= 1
            if at < REASONS:
                for k in range(REASONS - 1, at, -1):
                    parts[c, k], which[c, k] = parts[c, k - 1], which[c, k - 1]
                parts[c, at], which[c, at] = part, h
    return which, parts


@kernel
def explanation(parts: npt.NDArray[np.float64]) -> int:
    """Return how many of an item's reasons explain it: the m with the largest sum of the first m / m^p.

    >>> explanation(np.array([3.0, 2.9, 0.1])), explanation(np.array([3.0, 0.5, 0.1]))
    (2, 1)
    """
    best, total, length = 0.0, 0.0, 0
    for m in range(len(parts)):
        if parts[m] <= 0.0:
            break
        total += parts[m]
        value = total / (m + 1) ** P
        if value > best:
            best, length = value, m + 1
    return length


@kernel
def cover(
    which: npt.NDArray[np.int32], parts: npt.NDArray[np.float64], k: int, purchases: int
) -> npt.NDArray[np.int64]:
    """Return the indices of the k candidates to show, in the order of their scores.

    The candidates must be given in this order; `purchases` is how many there are to cover.
    """
    n = len(which)
    taken = np.zeros(n, np.bool_)
    explained = np.zeros(which.max() + 2 if n else 1, np.int64)
    count = 0
    each = max((k + 1) // 2, -(-k // max(purchases, 1)))
    while count < min(k, n):
        for c in range(n):
            if taken[c] or count == k:
                continue
            m = explanation(parts[c])
            free = m == 0
            for r in range(m):
                free |= explained[which[c, r]] < each
            if free:
                for r in range(m):
                    explained[which[c, r]] += 1
                taken[c] = True
                count += 1
        each += each  # everything is covered: start again with a larger share
    return np.flatnonzero(taken)


@kernel
def pick(
    a: ListArrays, scratch: Scratch, items: npt.NDArray[np.int32], own: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64], history: npt.NDArray[np.int32], last_ms: npt.NDArray[np.int64],
    now_ms: int, inverse: float, k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:  # fmt: skip
    """Return the candidates to show, and the reasons.

    Parameters
    ----------
    items, own, scores
        The candidates' numbers of the related lists, whether the customer has them, and their scores.
    history, last_ms
        The customer's items, and when each was bought last.
    inverse
        The factor that brings F from the landmark to now.

    Returns
    -------
    int64[m], int32[m, REASONS]
        The indices of at most k candidates, best first; the items of the history that are the strongest
        reasons for each, strongest first, -1 for none. An item that is bought again needs no other reason,
        and has none.
    """
    order = np.argsort(-scores, kind="mergesort")[: PICKED_FROM * k]
    newest = newest_first(last_ms)
    query = history[newest]
    which, parts = reasons(a, scratch, items[order], query, weights(last_ms[newest], now_ms), inverse)
    for c in range(len(order)):
        if own[order[c]]:
            parts[c] = 0.0
    taken = cover(which, parts, k, len(query))
    because = np.full((len(taken), REASONS), -1, np.int32)
    for i in range(len(taken)):
        for r in range(REASONS):
            if parts[taken[i], r] > 0.0:
                because[i, r] = query[which[taken[i], r]]
    return order[taken], because
