"""Rows in and out of memory: reading, filling, dropping, and closing the gaps; `row_packing` stores them.

A row that is not in memory has no block and no side records; its head keeps MASS and what follows it. Freed
blocks leave gaps that only rows of the same size fill, so the resident memory of rows is given by the end of
the used words, not by their sum; `close_gaps` slides blocks and side records down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.items.row_layout import (
    CLASSES,
    DEAD,
    LINE_WORDS,
    LIVE,
    SIDE_END,
    SIDE_FREE,
    SIDE_USED,
    SIZE,
    START,
    Rows,
    entry_counts,
    entry_f,
    free_side,
    new_side,
)
from state.items.rows import move  # fmt: skip
from state.memory import blocks
from state.memory.arrays import give_back, kernel
from state.memory.blocks import allocate, release
from state.memory.entries import DELETED, HIGH, ID, INDEX, REPEATED, SIDE_BYTES


def footprint_bytes(rows: Rows) -> int:
    """Return the memory that rows have touched so far, gaps included."""
    return 8 * int(rows.free[-1]) + SIDE_BYTES * int(rows.meta[SIDE_END])


def used_bytes(rows: Rows) -> int:
    """Return the memory of the rows that are in memory."""
    return int(block_bytes(rows).sum()) + SIDE_BYTES * int(rows.meta[SIDE_USED])


def block_bytes(rows: Rows) -> npt.NDArray[np.int64]:
    """Return the bytes of each row's block, 0 for a row without one."""
    return 8 * LINE_WORDS * CLASSES[rows.heads[:, SIZE]]


def close_gaps(rows: Rows) -> None:
    """Move everything together, and return the memory behind it to the system."""
    held = np.flatnonzero(rows.heads[:, SIZE])
    starts = rows.heads[held, START]
    order = np.argsort(starts)
    held, starts = held[order], starts[order]
    words = LINE_WORDS * CLASSES[rows.heads[held, SIZE]]
    give_back(rows.arena, *blocks.close_gaps(rows.arena, rows.free, starts, words))
    rows.heads[held, START] = starts
    give_back(rows.side, *_close_side_gaps(rows, held))


@kernel
def read(
    rows: Rows, row: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
    """Return a row's entries, in the order of its lines: neighbours, after, before, F."""
    live = rows.heads[row, LIVE]
    neighbours = np.empty(live, np.uint32)
    after = np.empty(live, np.uint32)
    before = np.empty(live, np.uint32)
    f = np.empty(live, np.float64)
    n = 0
    first = rows.heads[row, START]
    for slot in range(first, first + CLASSES[rows.heads[row, SIZE]] * LINE_WORDS):
        entry = rows.arena[slot]
        if entry != 0 and (entry & ID) != DELETED:
            neighbours[n] = np.uint32((entry & ID) - np.uint64(1))
            a, b = entry_counts(rows, entry)
            after[n] = a
            before[n] = b
            f[n] = entry_f(rows, entry)
            n += 1
    return neighbours, after, before, f


@kernel
def fill(rows: Rows, row: int, once: npt.NDArray[np.uint64], repeated: npt.NDArray[np.uint64]) -> None:
    """Put a ROW's entries into an empty row: those seen once, and [n, 3]
    of neighbour, counts and bits of F.
    """
    n = len(once) + len(repeated)
    if n == 0:
        return
    size = 1
    while CLASSES[size] * LINE_WORDS - CLASSES[size] < n + 1:
        size += 1
    block = np.zeros((n + LINE_WORDS - 1) // LINE_WORDS * LINE_WORDS, np.uint64)
    block[: len(once)] = once
    side, meta = np.int64(rows.side.ctypes.data), np.int64(rows.meta.ctypes.data)
    for i in range(len(repeated)):
        index = new_side(side, meta)
        rows.side[2 * index] = repeated[i, 1]
        rows.side[2 * index + 1] = repeated[i, 2]
        block[len(once) + i] = ((REPEATED | np.uint64(index)) << HIGH) | (repeated[i, 0] + np.uint64(1))
    start = allocate(rows.arena, rows.free, size, CLASSES[size] * LINE_WORDS)
    base = np.int64(rows.arena.ctypes.data)
    offset = (np.int64(block.ctypes.data) - base) // 8
    move(base, offset, len(block) // LINE_WORDS, start, CLASSES[size])
    rows.heads[row, START] = start
    rows.heads[row, SIZE] = size
    rows.heads[row, LIVE] = n


@kernel
def drop(rows: Rows, which: npt.NDArray[np.int64]) -> None:
    """Free the blocks and side records of rows."""
    for row in which:
        start, size = rows.heads[row, START], rows.heads[row, SIZE]
        for slot in range(start, start + CLASSES[size] * LINE_WORDS):
            entry = rows.arena[slot]
            if entry != 0 and (entry & ID) != DELETED and (entry >> HIGH) & REPEATED:
                free_side(rows, np.int64((entry >> HIGH) & INDEX))
        release(rows.arena, rows.free, size, start)
        rows.heads[row, START : DEAD + 1] = 0


@kernel
def _close_side_gaps(rows: Rows, held: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Move side records down over free ones; return the words that become unused."""
    end = rows.meta[SIDE_END]
    to = np.zeros(end, np.int64)  # first whether a record is in use, then where it goes
    for row in held:
        start = rows.heads[row, START]
        for slot in range(start, start + CLASSES[rows.heads[row, SIZE]] * LINE_WORDS):
            entry = rows.arena[slot]
            if entry != 0 and (entry & ID) != DELETED and (entry >> HIGH) & REPEATED:
                to[np.int64((entry >> HIGH) & INDEX)] = 1
    n = 0
    for index in range(end):
        if to[index]:
            to[index] = n
            rows.side[2 * n] = rows.side[2 * index]
            rows.side[2 * n + 1] = rows.side[2 * index + 1]
            n += 1
    for row in held:
        start = rows.heads[row, START]
        for slot in range(start, start + CLASSES[rows.heads[row, SIZE]] * LINE_WORDS):
            entry = rows.arena[slot]
            if entry != 0 and (entry & ID) != DELETED and (entry >> HIGH) & REPEATED:
                moved = np.uint64(to[np.int64((entry >> HIGH) & INDEX)])
                rows.arena[slot] = ((REPEATED | moved) << HIGH) | (entry & ID)
    rows.meta[SIDE_END] = rows.meta[SIDE_USED] = n
    rows.meta[SIDE_FREE] = -1
    return 2 * n, 2 * end
