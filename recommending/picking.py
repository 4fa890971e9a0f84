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

from recommending.buffers import CANDIDATES, LISTS, Sums
from state.memory.arrays import kernel

REASONS = 3
P = 0.75
PICKED_FROM = 5  # the items are picked from so many times as many candidates


@kernel
def reasons(
    sums: Sums, places: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Return the strongest reasons of some candidates: indices into `sums.query`, and q (z_n + z_f).

    Parameters
    ----------
    sums
        As `recommending.gathering.gather` filled them.
    places
        The candidates' places in them; -1 for one that is in no list and has no reason.

    Returns
    -------
    int32[n, REASONS], float64[n, REASONS]
        Strongest first; -1 and 0 where there are no more.
    """
    which = np.full((len(places), REASONS), -1, np.int32)
    parts = np.zeros((len(places), REASONS))
    chosen = np.full(sums.counts[CANDIDATES], -1, np.int32)
    for c in range(len(places)):
        if places[c] >= 0:
            chosen[places[c]] = c
    place_of, part_of, end = sums.place, sums.part, sums.end  # plain local arrays, as in `gather`
    first = 0
    for h in range(sums.counts[LISTS]):
        for m in range(first, end[h]):
            c = np.int64(chosen[place_of[m]])
            if c < 0:
                continue
            part = part_of[m]
            at = REASONS
            while at > 0 and parts[c, at - 1] < part:
                at -= 1
            if at < REASONS:
                for k in range(REASONS - 1, at, -1):
                    parts[c, k], which[c, k] = parts[c, k - 1], which[c, k - 1]
                parts[c, at], which[c, at] = part, h
        first = end[h]
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
    lengths = np.empty(n, np.int64)
    for c in range(n):
        lengths[c] = explanation(parts[c])
    while count < min(k, n):
        for c in range(n):
            if taken[c] or count == k:
                continue
            free = lengths[c] == 0
            for r in range(lengths[c]):
                free |= explained[which[c, r]] < each
            if free:
                for r in range(lengths[c]):
                    explained[which[c, r]] += 1
                taken[c] = True
                count += 1
        each += each  # everything is covered: start again with a larger share
    return np.flatnonzero(taken)


@kernel
def pick(
    sums: Sums, places: npt.NDArray[np.int32], own: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64],
    k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:  # fmt: skip
    """Return the candidates to show, and the reasons.

    Parameters
    ----------
    sums
        As `recommending.gathering.gather` filled them for the customer's history.
    places, own, scores
        The candidates' places in the sums, whether the customer has them, and their scores.

    Returns
    -------
    int64[m], int32[m, REASONS]
        The indices of at most k candidates, best first; the items of the history that are the strongest
        reasons for each, strongest first, -1 for none. An item that is bought again needs no other reason,
        and has none.
    """
    order = np.argsort(-scores, kind="mergesort")[: PICKED_FROM * k]
    which, parts = reasons(sums, np.where(own[order], np.int32(-1), places[order]))
    taken = cover(which, parts, k, sums.counts[LISTS])
    because = np.full((len(taken), REASONS), -1, np.int32)
    for i in range(len(taken)):
        for r in range(REASONS):
            if parts[taken[i], r] > 0.0:
                because[i, r] = sums.query[which[taken[i], r]]
    return order[taken], because
