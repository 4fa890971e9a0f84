"""Ranking rows: the k best entries of each, and whether that list differs from the one published."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state import rows as rw
from state.counting import Tables
from state.memory import kernel
from state.popularity import WATERMARK_MS
from state.relatedness import score

SAME, SLIGHTLY, CHANGED = range(3)
_ID = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_REPEATED = np.uint64(1 << 31)
_AFTER = np.uint64(1 << 30)
_MINUTE = np.uint64((1 << 30) - 1)
_INDEX = np.uint64((1 << 31) - 1)
_MIX = np.uint64(0x9E3779B97F4A7C15)

_AGE_STEPS = 1024  # minutes; ages are split in two so that exp() is two look-ups
_COARSE = np.exp(-np.arange(16_384) * _AGE_STEPS / rw.TAU_MINUTES)
_FINE = np.exp(-np.arange(_AGE_STEPS) / rw.TAU_MINUTES)


class Lists(NamedTuple):
    """Lists of some rows: [rows] and [rows, k]."""

    row: npt.NDArray[np.int64]
    difference: npt.NDArray[np.uint8]  # SAME, SLIGHTLY, CHANGED against the published list
    length: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    score: npt.NDArray[np.float64]
    together: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    recent: npt.NDArray[np.float64]  # F, decayed to the watermark
    expected: npt.NDArray[np.float64]
    recent_mass: npt.NDArray[np.float64]


class Published(NamedTuple):
    """What was last published, per row: enough to tell whether a new list says something else."""

    length: npt.NDArray[np.int32]  # -1: nothing was published since the machine was opened
    item: npt.NDArray[np.int32]  # [rows, k]
    score: npt.NDArray[np.float32]  # [rows, k]
    counts: npt.NDArray[np.uint64]  # hash of every integer of the list


def new_lists(rows: npt.NDArray[np.int64], k: int) -> Lists:
    """Buffers for the lists of some rows."""
    n = len(rows)
    return Lists(
        rows, np.zeros(n, np.uint8), np.zeros(n, np.int64), np.empty((n, k), np.int32),
        np.empty((n, k)), np.empty((n, k), np.int64), np.empty((n, k), np.int64),
        np.empty((n, k)), np.empty((n, k)), np.empty(n),
    )  # fmt: skip


def new_published(capacity: int, k: int) -> Published:
    """Nothing published for rows 0 .. capacity - 1."""
    return Published(
        np.full(capacity, -1, np.int32),
        np.zeros((capacity, k), np.int32),
        np.zeros((capacity, k), np.float32),
        np.zeros(capacity, np.uint64),
    )


def grow_published(p: Published, capacity: int) -> Published:
    """The same with room for `capacity` rows."""
    grown = new_published(capacity, p.item.shape[1])
    for old, new in zip(p, grown, strict=True):
        new[: len(old)] = old
    return grown


@kernel
def decayed(minute: int, now: int) -> float:
    """exp(-age / tau) of a pair at `minute`; the future counts as now. Zero beyond 30 years."""
    age = max(now - minute, 0)
    coarse = age // _AGE_STEPS
    if coarse >= len(_COARSE):
        return 0.0
    return _COARSE[coarse] * _FINE[age % _AGE_STEPS]


@kernel
def _worse(score_a: float, item_a: int, score_b: float, item_b: int) -> bool:
    """Whether a comes after b in a list: lower score, or the same and first seen later."""
    return score_a < score_b or (score_a == score_b and item_a > item_b)


@kernel
def _sift_down(scores: npt.NDArray[np.float64], items: npt.NDArray[np.int32],
               places: npt.NDArray[np.int64], n: int) -> None:  # fmt: skip
    """Restore the heap (worst on top) after its top was replaced."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= n:
            return
        if child + 1 < n and _worse(scores[child + 1], items[child + 1], scores[child], items[child]):
            child += 1
        if not _worse(scores[child], items[child], scores[at], items[at]):
            return
        scores[at], scores[child] = scores[child], scores[at]
        items[at], items[child] = items[child], items[at]
        places[at], places[child] = places[child], places[at]
        at = child


@kernel
def _sift_up(scores: npt.NDArray[np.float64], items: npt.NDArray[np.int32],
             places: npt.NDArray[np.int64], at: int) -> None:  # fmt: skip
    while at > 0:
        parent = (at - 1) // 2
        if not _worse(scores[at], items[at], scores[parent], items[parent]):
            return
        scores[at], scores[parent] = scores[parent], scores[at]
        items[at], items[parent] = items[parent], items[at]
        places[at], places[parent] = places[parent], places[at]
        at = parent


@kernel
def _grid_of(t: Tables, row: int, gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64],
             out: npt.NDArray[np.float64]) -> None:  # fmt: skip
    """E_X on the grid: the row's buyers at the nodes times the matrix."""
    out[:] = 0.0
    cells = t.sizes[row]
    carried = 0.0
    for j in range(len(gaps)):
        upper = np.float64(cells[1, j]) / gaps[j]
        weight = np.float64(cells[0, j]) - upper + carried
        carried = upper
        if weight != 0.0:
            for g in range(len(out)):
                out[g] += weight * matrix[j, g]


@kernel
def rank(
    t: Tables, published: Published, lists: Lists, mode: int, customers: int, tolerance: float,
    gaps: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Fill `lists` for its rows and compare each with what is published."""
    k = lists.item.shape[1]
    minute = t.popularity.totals[WATERMARK_MS] // 60_000
    latest = np.exp((rw.LANDMARK_MINUTE - minute) / rw.TAU_MINUTES)
    expectation = np.empty(matrix.shape[1] + 1)
    ranked = t.popularity.ranked
    places = np.empty(k, np.int64)
    for i in range(len(lists.row)):
        row = lists.row[i]
        _grid_of(t, row, gaps, matrix, expectation[:-1])
        expectation[-1] = expectation[-2]
        lists.recent_mass[i] = t.rows.recent_mass[row] * latest
        f_share = lists.recent_mass[i] / max(t.rows.mass[row], 1)
        per_buyer = t.popularity.buyers[t.item_of[row]] / max(customers, 1)
        scores, items = lists.score[i], lists.item[i]
        n = 0
        first = t.rows.start[row]
        for slot in range(first, first + rw.CLASSES[t.rows.size[row]] * rw.LINE_WORDS):
            entry = t.rows.arena[slot]
            if entry == 0 or (entry & _ID) == rw.DELETED:
                continue
            item = np.int64(entry & _ID) - 1
            root_recent = ranked[item, 1]
            if root_recent < 0.0:
                continue
            payload = entry >> _HIGH
            if payload & _REPEATED:
                index = np.int64(payload & _INDEX)
                both = t.rows.side[2 * index]
                count = np.float64(np.int64(both & _ID) + np.int64(both >> _HIGH))
                f = t.rows.side_f[2 * index + 1] * latest
            else:
                count = 1.0
                f = decayed(np.int64(payload & _MINUTE), minute)
            cell = np.int64(ranked[item, 0])
            low = expectation[cell]
            e = low + (ranked[item, 0] - cell) * (expectation[cell + 1] - low)
            value, _ = score(
                mode, count, f, e, f_share, root_recent, per_buyer * t.popularity.buyers[item]
            )
            if not value > 0.0:
                continue
            if n < k:
                scores[n], items[n], places[n] = value, item, slot
                _sift_up(scores, items, places, n)
                n += 1
            elif _worse(scores[0], items[0], value, item):
                scores[0], items[0], places[0] = value, item, slot
                _sift_down(scores, items, places, n)
        t.threshold[row] = scores[0] if n == k else -1.0
        lists.length[i] = n
        for end in range(n - 1, 0, -1):  # heap sort: the worst goes last
            scores[0], scores[end] = scores[end], scores[0]
            items[0], items[end] = items[end], items[0]
            places[0], places[end] = places[end], places[0]
            _sift_down(scores, items, places, end)
        for j in range(n):
            entry = t.rows.arena[places[j]]
            after, before = rw.entry_counts(t.rows, entry)
            lists.after[i, j] = after
            lists.together[i, j] = after + before
            lists.recent[i, j] = rw.entry_f(t.rows, entry) * latest
            position = ranked[items[j], 0]
            cell = np.int64(position)
            e = expectation[cell] + (position - cell) * (expectation[cell + 1] - expectation[cell])
            _, lists.expected[i, j] = score(
                mode, after + before, lists.recent[i, j], e, f_share, 1.0,
                per_buyer * t.popularity.buyers[items[j]],
            )  # fmt: skip
        lists.difference[i] = _compare(t, published, lists, i, tolerance)


@kernel
def counts_hash(t: Tables, lists: Lists, i: int) -> int:
    """Hash of the integers of list i: buyers, mass, together and after of every entry."""
    row = lists.row[i]
    h = np.uint64(t.popularity.buyers[t.item_of[row]]) * _MIX + np.uint64(t.rows.mass[row])
    for j in range(lists.length[i]):
        h = (h ^ (h >> np.uint64(29))) * _MIX + np.uint64(lists.together[i, j])
        h = (h ^ (h >> np.uint64(29))) * _MIX + np.uint64(lists.after[i, j])
    return h


@kernel
def _compare(t: Tables, published: Published, lists: Lists, i: int, tolerance: float) -> int:
    row, n = lists.row[i], lists.length[i]
    if published.length[row] != n:
        # a list that never was needs no tombstone, unless it may have been before a restart
        return CHANGED
    difference = SAME
    for j in range(n):
        was, now = np.float64(published.score[row, j]), lists.score[i, j]
        if published.item[row, j] != lists.item[i, j] or abs(now - was) > tolerance * abs(was):
            return CHANGED
        if np.float32(now) != published.score[row, j]:
            difference = SLIGHTLY
    if counts_hash(t, lists, i) != published.counts[row]:
        difference = SLIGHTLY
    return difference


@kernel
def mark_published(t: Tables, published: Published, lists: Lists, least: int) -> None:
    """Note the lists that differ by at least `least` as published."""
    for i in range(len(lists.row)):
        if lists.difference[i] >= least:
            row, n = lists.row[i], lists.length[i]
            published.length[row] = n
            for j in range(n):
                published.item[row, j] = lists.item[i, j]
                published.score[row, j] = lists.score[i, j]
            published.counts[row] = counts_hash(t, lists, i)
