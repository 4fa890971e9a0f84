"""Rank rows: find the k best entries of each, and whether that list differs from the published one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.items import row_layout as rl
from state.items import rows as rw
from state.items.heap import order_key, push, score_of, sift_down, take_worst
from state.items.lists import Lists, PublishedLists, compare, counts_hash
from state.items.marks import WHOLE
from state.items.tables import Tables, buyers_of
from state.memory.arrays import address_of, kernel, load, prefetch, store
from state.memory.entries import AFTER, DELETED, HIGH, ID, INDEX, MINUTE, REPEATED, TAU_MINUTES, decay_weight
from state.popularity.counts import WATERMARK_MS
from state.relatedness import MIX, SHRINK, SHRINK_RECENT, score

_PER_N = 0.5 / np.sqrt(SHRINK)
_PER_F = 1.0 / np.sqrt(SHRINK_RECENT)
_ONCE = _PER_N + _PER_F

PARTLY = 8  # a row is ranked so often from what changed before all its entries are scanned again

_AHEAD = 24  # entries whose side records are prefetched
_NEARLY = 1.0 - 2.0**-20  # a score that may still round to another's equal

_AGE_STEPS = 1024  # minutes; ages are split in two so that exp() is two look-ups
_COARSE = np.exp(-np.arange(16_384) * _AGE_STEPS / TAU_MINUTES)
_FINE = np.exp(-np.arange(_AGE_STEPS) / TAU_MINUTES)


@kernel
def decayed(minute: int, now: int) -> float:
    """Return exp(-age / tau) of a pair at `minute`; the future counts as now. It is zero beyond 30 years."""
    age = max(now - minute, 0)
    coarse = age // _AGE_STEPS
    if coarse >= len(_COARSE):
        return 0.0
    return _COARSE[coarse] * _FINE[age % _AGE_STEPS]


@kernel
def _grid_of(
    cells: npt.NDArray[np.uint32], gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Write E_X on the grid: a row's buyers at the nodes times the matrix; the last value is repeated."""
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


class _Now(NamedTuple):
    """What the scores of a row's entries depend on, apart from the entries."""

    minute: int
    latest: float  # what F is divided by
    f_share: float
    per_buyer: float
    mode: int


@kernel
def _first_at_least(touched: npt.NDArray[np.uint64], word: int) -> int:
    """Return the index of the first word of a sorted array that is at least `word`."""
    low, high = 0, len(touched)
    while low < high:
        middle = (low + high) // 2
        if touched[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _counts(t: Tables, payload: int, now: _Now) -> tuple[int, int, float]:
    """Return (after, before, F as of now) of an entry."""
    if payload & REPEATED:
        index = np.int64(payload & INDEX)
        both = t.rows.side[2 * index]
        return np.int64(both & ID), np.int64(both >> HIGH), t.rows.side_f[2 * index + 1] * now.latest
    after = np.int64((payload & AFTER) >> np.uint64(30))
    return after, 1 - after, decayed(np.int64(payload & MINUTE), now.minute)


@kernel
def _scan_some(
    t: Tables, row: int, items: npt.NDArray[np.int32], touched: npt.NDArray[np.uint64],
    expectation: npt.NDArray[np.float64], now: _Now, heap: int,
) -> int:  # fmt: skip
    """Put the entries of a list and those that grew since into a heap, which has room for all.

    Return how many are in it, or -1 if an entry of the list is gone or scores nothing, so that all entries of
    the row must be scanned.
    """
    roots, positions, buyers = t.popularity.roots, t.popularity.positions, t.popularity.buyers
    heads, arena = np.int64(t.rows.heads.ctypes.data), np.int64(t.rows.arena.ctypes.data)
    listed = len(items)
    for item in items:
        rw.hint(heads, arena, row, np.int64(item))
    start = _first_at_least(touched, np.uint64(row) << HIGH)
    end = _first_at_least(touched, np.uint64(row + 1) << HIGH)
    n = np.int64(0)
    before = np.int64(-1)
    for i in range(listed + end - start):
        if i < listed:
            item = np.int64(items[i])
        else:
            item = np.int64(touched[start + i - listed] & ID)
            if item == before:
                continue
            before = item
            known = False
            for other in items:
                known |= other == item
            if known:
                continue
        slot = rw.find(t.rows, row, item)
        value = 0.0
        if slot >= 0 and roots[item] >= 0.0:
            after, earlier, f = _counts(t, t.rows.arena[slot] >> HIGH, now)
            cell = np.int64(positions[item])
            e = expectation[cell] + (positions[item] - cell) * (expectation[cell + 1] - expectation[cell])
            count = np.float64(after + earlier)
            value, _ = score(now.mode, count, f, e, now.f_share, roots[item], now.per_buyer * buyers[item])
        if value > 0.0:
            push(heap, n, order_key(value, item), np.uint64(slot))
            n += 1
        elif i < listed:
            return -1
    return n


@kernel
def _scan_all(t: Tables, row: int, expectation: npt.NDArray[np.float64], now: _Now, k: int, heap: int) -> int:
    """Put the k best of all entries of a row into a heap; return how many there are."""
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    arena, side, side_f = t.rows.arena, t.rows.side, t.rows.side_f
    positions, buyers = t.popularity.positions, t.popularity.buyers
    roots = t.popularity.roots  # most entries need only these, which take half the memory
    side_at = np.int64(side.ctypes.data)
    bounded = now.mode == MIX  # then a score is at most what it is with an expectation of 0
    n = np.int64(0)
    least = 0.0  # the worst score in a full heap
    first = t.rows.heads[row, rl.START]
    end = first + rl.CLASSES[t.rows.heads[row, rl.SIZE]] * rl.LINE_WORDS
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
            f = side_f[2 * index + 1] * now.latest
        else:
            if bounded and _ONCE * root_recent < least:
                continue
            count = 1.0
            f = decayed(np.int64(payload & MINUTE), now.minute)
        if bounded and (count * _PER_N + f * _PER_F) * root_recent < least:
            continue
        cell = np.int64(positions[item])
        low = expectation[cell]
        e = low + (positions[item] - cell) * (expectation[cell + 1] - low)
        value, _ = score(now.mode, count, f, e, now.f_share, root_recent, now.per_buyer * buyers[item])
        if not value > least * _NEARLY:
            continue
        key = order_key(value, item)
        if n < k:
            push(heap, n, key, np.uint64(slot))
            n += 1
        elif key > load(heap):
            store(heap, key)
            store(heap + 8, np.uint64(slot))
            sift_down(heap, n)
        if n == k:
            least = score_of(load(heap))
    return n


@kernel
def rank(
    t: Tables, published: PublishedLists, lists: Lists, mode: int, customers: int, tolerance: float,
    gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64], whole: bool,
    touched: npt.NDArray[np.uint64], room: npt.NDArray[np.uint64],
) -> None:  # fmt: skip
    """Fill `lists` for its rows, and compare each with the published list.

    Parameters
    ----------
    whole
        Whether to scan all entries of every row. Otherwise, where it is enough and at most PARTLY times, only
        those of the published list and those in `touched` (sorted; `state.items.tables.Touched`) are
        scanned.
    room
        Room for the best entries of a row, from `heap_room`. The caller keeps it, because numba frees an
        array after its last use even if its address is still used.
    """
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    arena, positions, buyers = t.rows.arena, t.popularity.positions, t.popularity.buyers
    all_scores, all_items, together, afters = lists.score, lists.item, lists.together, lists.after
    recents, expecteds = lists.recent, lists.expected
    k = all_items.shape[1]
    minute = t.popularity.totals[WATERMARK_MS] // 60_000
    latest = 1.0 / decay_weight(minute)
    expectation = np.empty(matrix.shape[1] + 1)
    heap = address_of(room)
    for i in range(len(lists.row)):
        row = lists.row[i]
        _grid_of(t.sizes[row], gaps, matrix, expectation)
        lists.recent_mass[i] = t.rows.heads_f[row, rl.RECENT_MASS] * latest
        f_share = lists.recent_mass[i] / max(t.rows.heads[row, rl.MASS], 1)
        own_buyers = buyers_of(t, row)
        lists.buyers[i] = own_buyers
        now = _Now(minute, latest, f_share, own_buyers / max(customers, 1), mode)
        n = -1
        if not (whole or t.marks[row] & WHOLE) and published.length[row] >= 0 and t.partly[row] < PARTLY:
            known = published.item[row, : published.length[row]]
            n = _scan_some(t, row, known, touched, expectation, now, heap)
        if n < 0:
            n = _scan_all(t, row, expectation, now, k, heap)
            t.partly[row] = 0
        else:
            t.partly[row] += np.uint8(1)
        while n > k:
            take_worst(heap, n)
            n -= 1
        t.threshold[row] = score_of(load(heap)) if n == k else 0.0
        t.ranked_buyers[row] = own_buyers
        scores, items = all_scores[i], all_items[i]
        lists.length[i] = n
        for j in range(n - 1, -1, -1):  # the worst comes out first
            key, place = take_worst(heap, j + 1)
            item = 0xFFFFFFFF - np.int64(key & ID)
            items[j] = np.int32(item)
            scores[j] = score_of(key)
            after, before, f = _counts(t, arena[np.int64(place)] >> HIGH, now)
            cell = np.int64(positions[item])
            e = expectation[cell] + (positions[item] - cell) * (expectation[cell + 1] - expectation[cell])
            afters[i, j] = after
            together[i, j] = after + before
            recents[i, j] = f
            chance = now.per_buyer * buyers[item]
            _, expecteds[i, j] = score(
                mode, np.float64(after + before), f, e, f_share, np.float32(1.0), chance
            )
        lists.hash[i] = counts_hash(own_buyers, t.rows.heads[row, rl.MASS], together[i, :n], afters[i, :n])
        lists.difference[i] = compare(published, lists, i, tolerance)
