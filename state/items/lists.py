"""The lists of rows, and what was published of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel, zeros

SAME, SLIGHTLY, CHANGED = range(3)
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Lists(NamedTuple):
    """The lists of some rows; the arrays are [rows] or [rows, k]."""

    row: npt.NDArray[np.int64]
    difference: npt.NDArray[np.uint8]  # SAME, SLIGHTLY, CHANGED against the published list
    buyers: npt.NDArray[np.int64]  # customers whose histories a row counts: who bought, or watched, its item
    length: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    score: npt.NDArray[np.float64]
    together: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    recent: npt.NDArray[np.float64]  # F, decayed to the watermark
    expected: npt.NDArray[np.float64]
    recent_mass: npt.NDArray[np.float64]
    hash: npt.NDArray[np.uint64]  # of the list's integers


class PublishedLists(NamedTuple):
    """What was last published of each row: enough to decide whether a new list differs from it."""

    length: npt.NDArray[np.int32]  # -1: nothing was published since the machine was opened
    item: npt.NDArray[np.int32]  # [rows, k]
    score: npt.NDArray[np.float32]  # [rows, k]
    counts: npt.NDArray[np.uint64]  # hash of every integer of the list


def new_lists(rows: npt.NDArray[np.int64], k: int) -> Lists:
    """Return buffers for the lists of some rows."""
    n = len(rows)
    return Lists(
        rows, np.zeros(n, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64), np.empty((n, k), np.int32),
        np.empty((n, k)), np.empty((n, k), np.int64), np.empty((n, k), np.int64),
        np.empty((n, k)), np.empty((n, k)), np.empty(n), np.empty(n, np.uint64),
    )  # fmt: skip


def new_published(capacity: int, k: int) -> PublishedLists:
    """Return published lists in which nothing is published for rows 0 .. capacity - 1."""
    return PublishedLists(
        np.full(capacity, -1, np.int32),
        zeros((capacity, k), np.int32),
        zeros((capacity, k), np.float32),
        zeros(capacity, np.uint64),
    )


def grow_published(p: PublishedLists, capacity: int) -> PublishedLists:
    """Return the same published lists with room for `capacity` rows."""
    grown = new_published(capacity, p.item.shape[1])
    for old, new in zip(p, grown, strict=True):
        new[: len(old)] = old
    return grown


@kernel
def counts_hash(buyers: int, mass: int, together: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> int:
    """Return a hash of the integers of a list."""
    h = np.uint64(buyers) * _MIX + np.uint64(mass)
    for j in range(len(together)):
        h = (h ^ (h >> np.uint64(29))) * _MIX + np.uint64(together[j])
        h = (h ^ (h >> np.uint64(29))) * _MIX + np.uint64(after[j])
    return h


@kernel
def compare(published: PublishedLists, lists: Lists, i: int, tolerance: float) -> int:
    """Return how list i differs from the published list of its row: SAME, SLIGHTLY or CHANGED."""
    row, n = lists.row[i], lists.length[i]
    if published.length[row] != n:
        return CHANGED
    was_items, was_scores = published.item[row], published.score[row]
    items, scores = lists.item[i], lists.score[i]
    difference = SAME if lists.hash[i] == published.counts[row] else SLIGHTLY
    for j in range(n):
        was = np.float64(was_scores[j])
        if was_items[j] != items[j] or abs(scores[j] - was) > tolerance * abs(was):
            return CHANGED
        if np.float32(scores[j]) != was_scores[j]:
            difference = SLIGHTLY
    return difference


@kernel
def mark_published(published: PublishedLists, lists: Lists, least: int) -> None:
    """Note the lists that differ by at least `least` as published."""
    for i in range(len(lists.row)):
        if lists.difference[i] >= least:
            row, n = lists.row[i], lists.length[i]
            published.length[row] = n
            published.counts[row] = lists.hash[i]
            to_items, to_scores = published.item[row], published.score[row]
            items, scores = lists.item[i], lists.score[i]
            for j in range(n):
                to_items[j] = items[j]
                to_scores[j] = scores[j]
