"""How co-occurrence rows lie in memory: for each item the neighbours it was bought with.

A row is a block of 64-byte lines with 8 entries a line, in one arena of lines, and a head that says where the
block is:

    head of a row ──► block: [line of 8 entries] [line of 8 entries] ...
                                   └─ entry of a repeated pair ──► side record: after, before, F

`state.memory.entries` draws the bits of entries and side records.

`after` counts customers who bought the neighbour after the row's item, `before` those who bought it earlier.
F is the forward-decayed count: the sum of exp((minute - LANDMARK_MINUTE) / TAU_MINUTES) over the pairs, where
a pair's minute is that of its later purchase. Dividing F by the same term of a later moment gives the decayed
count of that moment (Cormode et al., Forward Decay, ICDE 2009).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel, load, reserve, store, zeros
from state.memory.blocks import new_free, size_classes
from state.memory.entries import AFTER, HIGH, ID, INDEX, MINUTE, REPEATED, decay_weight

RESERVED_BYTES = 32 << 30
RESERVED_SIDE_BYTES = 16 << 30
LINE_WORDS = 8

# `meta` words
SIDE_END, SIDE_FREE, SIDE_USED = range(3)  # records ever used, the first free one, those in use

CLASSES = size_classes(1, 1 << 22)


class Rows(NamedTuple):
    """The rows of one item machine."""

    arena: npt.NDArray[np.uint64]  # lines
    side: npt.NDArray[np.uint64]  # records of two words: after | before << 32, bits of F
    side_f: npt.NDArray[np.float64]  # the same memory as floats
    free: npt.NDArray[np.int64]  # of blocks.allocate
    meta: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]  # [rows, 8], one cache line a row
    heads_f: npt.NDArray[np.float64]  # the same memory


# words of a head
START = 0  # first word of the lines
SIZE = 1  # class of the block
LIVE = 2  # neighbours
DEAD = 3  # deleted entries still in the lines
MASS = 4  # sum of N over neighbours
RECENT_MASS = 5  # float: sum of F over neighbours
DROPPED = 6  # neighbours dropped because the row was full
LOST = 7  # float: the largest F ever dropped


def new_rows(capacity: int) -> Rows:
    """Return empty rows 0 .. capacity - 1."""
    side = reserve(RESERVED_SIDE_BYTES)
    meta = np.zeros(3, np.int64)
    meta[SIDE_FREE] = -1
    heads = zeros((capacity, 8), np.int64)
    return Rows(
        arena=reserve(RESERVED_BYTES),
        side=side,
        side_f=side.view(np.float64),
        free=new_free(CLASSES),
        meta=meta,
        heads=heads,
        heads_f=heads.view(np.float64),
    )


def grow_rows(rows: Rows, capacity: int) -> Rows:
    """Return the same rows with room for `capacity`; arenas stay where they are."""
    heads = zeros((capacity, 8), np.int64)
    heads[: len(rows.heads)] = rows.heads
    return rows._replace(heads=heads, heads_f=heads.view(np.float64))


@kernel
def new_side(side: int, meta: int) -> int:
    """Return the index of a free side record; `side` and `meta` are addresses."""
    store(meta + SIDE_USED * 8, load(meta + SIDE_USED * 8) + np.uint64(1))
    index = np.int64(load(meta + SIDE_FREE * 8))
    if index >= 0:
        store(meta + SIDE_FREE * 8, load(side + 16 * index))
        return index
    index = np.int64(load(meta + SIDE_END * 8))
    store(meta + SIDE_END * 8, np.uint64(index + 1))
    return index


@kernel
def free_side(rows: Rows, index: int) -> None:
    """Free a side record."""
    rows.meta[SIDE_USED] -= 1
    rows.side[2 * index] = np.uint64(rows.meta[SIDE_FREE])
    rows.meta[SIDE_FREE] = index


@kernel
def entry_f(rows: Rows, entry: int) -> float:
    """Return F of an entry."""
    payload = entry >> HIGH
    if payload & REPEATED:
        return rows.side_f[2 * np.int64(payload & INDEX) + 1]
    return decay_weight(np.int64(payload & MINUTE))


@kernel
def entry_counts(rows: Rows, entry: int) -> tuple[int, int]:
    """Return (after, before) of an entry."""
    payload = entry >> HIGH
    if payload & REPEATED:
        both = rows.side[2 * np.int64(payload & INDEX)]
        return np.int64(both & ID), np.int64(both >> HIGH)
    after = np.int64((payload & AFTER) >> np.uint64(30))
    return after, 1 - after
