"""Marks of rows: one byte a row, with what is to be done about it, and the kernels that read and set them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.items import rows as rw
from state.items.tables import Tables
from state.memory.arrays import kernel, load_any

# Marks of a row. RANK: its list may have changed; QUIET: it may have changed slightly; SAVE: not stored
# since it changed; USED: used since the clock's hand last passed; ABSENT: not in memory; FRESH: its list may
# have changed since `ItemMachine.fresh` was last called; WHOLE: all its entries must be scanned, because
# `Touched` does not have all of those that may have entered the list.
RANK, QUIET, SAVE, USED, ABSENT, FRESH, WHOLE = (np.uint8(1 << bit) for bit in range(7))
MAY_ENTER = np.uint8(RANK | FRESH)
CHANGED_LIST = np.uint8(MAY_ENTER | WHOLE)
TOUCHED = np.uint8(SAVE | USED)
_FRESH_OF_EIGHT = np.uint64(0x0101010101010101 * int(FRESH))
_NOT_FRESH = np.uint8(0xFF ^ FRESH)


@kernel
def take_fresh(marks: npt.NDArray[np.uint8], out: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Clear the marks FRESH: write the numbers of the marked rows while there is room, mark the others WHOLE.

    Return how many rows were written, and how many were not.
    """
    at = np.int64(marks.ctypes.data)
    n = left = row = 0
    while row < len(marks):
        if row + 8 <= len(marks) and load_any(at + row) & _FRESH_OF_EIGHT == 0:
            row += 8
            continue
        if marks[row] & FRESH:
            marks[row] &= _NOT_FRESH
            if n < len(out):
                out[n] = row
                n += 1
            else:
                marks[row] |= WHOLE
                left += 1
        row += 1
    return n, left


@kernel
def mark_holders(t: Tables, rows: int, item: int) -> None:
    """Mark every row that has `item` as a neighbour for ranking, and every row that is not in memory."""
    for row in range(rows):
        if t.marks[row] & ABSENT or rw.find(t.rows, row, item) >= 0:
            t.marks[row] |= CHANGED_LIST


@kernel
def absent_rows(t: Tables, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of items that are not in memory, each as often as its item occurs."""
    found = np.empty(len(items), np.int64)
    n = 0
    for item in items:
        row = np.int64(t.row_of[item])
        if row >= 0 and t.marks[row] & ABSENT:
            found[n] = row
            n += 1
    return found[:n].copy()
