"""Ranking rows: the k best entries of each, and whether that list differs from the one published."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state import rows as rw
from state.counting import Tables, buyers_of
from state.entries import AFTER, DELETED, HIGH, ID, INDEX, LANDMARK_MINUTE, MINUTE, REPEATED, TAU_MINUTES
from state.lists import Lists, Published, compare, counts_hash
from state.memory import float_bits, float_of_bits, kernel, load, prefetch, store
from state.popularity import WATERMARK_MS
from state.relatedness import MIX, SHRINK, SHRINK_RECENT, score

_PER_N = 0.5 / np.sqrt(SHRINK)
_PER_F = 1.0 / np.sqrt(SHRINK_RECENT)
_ONCE = _PER_N + _PER_F

_AHEAD = 24  # entries whose side records are prefetched
_NEARLY = 1.0 - 2.0**-20  # a score that may still round to another's equal

_AGE_STEPS = 1024  # minutes; ages are split in two so that exp() is two look-ups
_COARSE = np.exp(-np.arange(16_384) * _AGE_STEPS / TAU_MINUTES)
_FINE = np.exp(-np.arange(_AGE_STEPS) / TAU_MINUTES)


@kernel
def decayed(minute: int, now: int) -> float:
    """exp(-age / tau) of a pair at `minute`; the future counts as now. Zero beyond 30 years."""
    age = max(now - minute, 0)
    coarse = age // _AGE_STEPS
    if coarse >= len(_COARSE):
        return 0.0
    return _COARSE[coarse] * _FINE[age % _AGE_STEPS]


@kernel
def _sift_down(heap: int, n: int) -> None:
    """Restore a heap, smallest key on top, after its top was replaced.

    `heap` is the address of n pairs of words: key, place.
    """
    key, place = load(heap), load(heap + 8)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        least = load(heap + 16 * child)
        if child + 1 < n:
            other = load(heap + 16 * (child + 1))
            if other < least:
                child, least = child + 1, other
        if least >= key:
            break
        store(heap + 16 * at, least)
        store(heap + 16 * at + 8, load(heap + 16 * child + 8))
        at = child
    store(heap + 16 * at, key)
    store(heap + 16 * at + 8, place)


@kernel
def _push(heap: int, n: int, key: int, place: int) -> None:
    """Add a pair to a heap of n."""
    at = n
    while at > 0:
        parent = (at - 1) // 2
        above = load(heap + 16 * parent)
        if above <= key:
            break
        store(heap + 16 * at, above)
        store(heap + 16 * at + 8, load(heap + 16 * parent + 8))
        at = parent
    store(heap + 16 * at, key)
    store(heap + 16 * at + 8, place)


@kernel
def _order_key(value: float, item: int) -> int:
    """Larger for a better entry: its positive score, rounded to 24 bits, then the item first seen."""
    return (np.uint64(float_bits(np.float32(value))) << HIGH) | np.uint64(0xFFFFFFFF - item)


@kernel
def _score_of(key: int) -> float:
    """The score in a key of `_order_key`."""
    return np.float64(float_of_bits(np.uint32(key >> HIGH)))


@kernel
def _grid_of(
    cells: npt.NDArray[np.uint32], gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """E_X on the grid: a row's buyers at the nodes times the matrix; the last value stands twice."""
    points = matrix.shape[1]
    out[:] = 0.0
    carried = 0.0
    for j in range(len(gaps)):
        upper = np.float64(cells[1, j]) / gaps[j]
        weight = np.float64(cells[0, j]) - upper + carried
        carried = upper
        if weight != 0.0:
            for g in range(points):
                out[g] += weight * matrix[j, g]
    out[points] = out[points - 1]


@kernel
def rank(
    t: Tables, published: Published, lists: Lists, mode: int, customers: int, tolerance: float,
    gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Fill `lists` for its rows and compare each with what is published."""
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    arena, side, side_f = t.rows.arena, t.rows.side, t.rows.side_f
    positions, buyers = t.popularity.positions, t.popularity.buyers
    roots = t.popularity.roots  # most entries need no more: half the memory, twice the hits
    all_scores, all_items, together, afters = lists.score, lists.item, lists.together, lists.after
    recents, expecteds = lists.recent, lists.expected
    k = all_items.shape[1]
    minute = t.popularity.totals[WATERMARK_MS] // 60_000
    latest = np.exp((LANDMARK_MINUTE - minute) / TAU_MINUTES)
    expectation = np.empty(matrix.shape[1] + 1)
    pairs = np.empty(2 * k, np.uint64)
    heap = np.int64(pairs.ctypes.data)
    side_at = np.int64(side.ctypes.data)
    bounded = mode == MIX  # a score is at most what it would be with nothing expected
    for i in range(len(lists.row)):
        row = lists.row[i]
        _grid_of(t.sizes[row], gaps, matrix, expectation)
        lists.recent_mass[i] = t.rows.heads_f[row, rw.RECENT_MASS] * latest
        f_share = lists.recent_mass[i] / max(t.rows.heads[row, rw.MASS], 1)
        own_buyers = buyers_of(t, row)
        lists.buyers[i] = own_buyers
        per_buyer = own_buyers / max(customers, 1)
        scores, items = all_scores[i], all_items[i]
        n = 0
        least = 0.0  # the worst score in a full heap
        first = t.rows.heads[row, rw.START]
        end = first + rw.CLASSES[t.rows.heads[row, rw.SIZE]] * rw.LINE_WORDS
        for slot in range(first, end):
            if slot + _AHEAD < end:
                coming = arena[slot + _AHEAD] >> HIGH
                if coming & REPEATED:
                    prefetch(side_at + 16 * np.int64(coming & INDEX))
            entry = arena[slot]
            if entry == 0 or (entry & ID) == DELETED:
                continue
            item = np.int64(entry & ID) - 1
            root_recent = roots[item]
            if root_recent < 0.0:
                continue
            payload = entry >> HIGH
            if payload & REPEATED:
                index = np.int64(payload & INDEX)
                both = side[2 * index]
                count = np.float64(np.int64((both & ID) + (both >> HIGH)))
                f = side_f[2 * index + 1] * latest
            else:
                if bounded and _ONCE * root_recent < least:
                    continue
                count = 1.0
                f = decayed(np.int64(payload & MINUTE), minute)
            if bounded and (count * _PER_N + f * _PER_F) * root_recent < least:
                continue
            cell = np.int64(positions[item])
            low = expectation[cell]
            e = low + (positions[item] - cell) * (expectation[cell + 1] - low)
            value, _ = score(mode, count, f, e, f_share, root_recent, per_buyer * buyers[item])
            if not value > least * _NEARLY:
                continue
            key = _order_key(value, item)
            if n < k:
                _push(heap, n, key, np.uint64(slot))
                n += 1
            elif key > pairs[0]:
                pairs[0], pairs[1] = key, np.uint64(slot)
                _sift_down(heap, n)
            if n == k:
                least = _score_of(pairs[0])
        t.threshold[row] = least
        t.ranked_buyers[row] = own_buyers
        lists.length[i] = n
        for j in range(n - 1, -1, -1):  # the worst comes out first
            items[j] = np.int32(0xFFFFFFFF - np.int64(pairs[0] & ID))
            scores[j] = _score_of(pairs[0])
            place = np.int64(pairs[1])
            pairs[0], pairs[1] = pairs[2 * j], pairs[2 * j + 1]
            _sift_down(heap, j)
            payload = arena[place] >> HIGH
            if payload & REPEATED:
                index = np.int64(payload & INDEX)
                both = side[2 * index]
                after, before = np.int64(both & ID), np.int64(both >> HIGH)
                f = side_f[2 * index + 1] * latest
            else:
                after = np.int64((payload & AFTER) >> np.uint64(30))
                before = 1 - after
                f = decayed(np.int64(payload & MINUTE), minute)
            position = positions[items[j]]
            cell = np.int64(position)
            e = expectation[cell] + (position - cell) * (expectation[cell + 1] - expectation[cell])
            afters[i, j] = after
            together[i, j] = after + before
            recents[i, j] = f
            _, expecteds[i, j] = score(mode, after + before, f, e, f_share, 1.0, per_buyer * buyers[items[j]])
        lists.hash[i] = counts_hash(own_buyers, t.rows.heads[row, rw.MASS], together[i, :n], afters[i, :n])
        lists.difference[i] = compare(published, lists, i, tolerance)
