"""The arrays of an item machine: made, and made longer as rows and items come."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from state import popularity as pop
from state import rows as rw
from state.counting import Pending, Tables, Touched
from state.opportunity import Cells

TOUCHED = 1 << 15
"""How many entries that may enter lists a machine notes: those of some hundred events."""


def new_tables(capacity: int, cells: Cells) -> Tables:
    """Empty tables for so many rows and items."""
    return Tables(
        rw.new_rows(capacity), pop.new_popularity(capacity),
        np.zeros((capacity, 2, len(cells.nodes)), np.uint32),
        np.full(capacity, -1, np.int32), np.full(capacity, -1, np.int32), np.zeros(capacity, np.uint8),
        np.full(capacity, -1, np.int64), np.full(capacity, -1, np.float32), np.zeros(capacity, np.int64),
        np.zeros(capacity, np.uint8), cells.of_size, cells.above,
        Touched(np.empty(TOUCHED, np.uint64), np.zeros(1, np.int64)),
    )  # fmt: skip


def _longer(old: npt.NDArray[Any], n: int, fill: int = 0) -> npt.NDArray[Any]:
    new = np.full((n, *old.shape[1:]), fill, old.dtype)
    new[: len(old)] = old
    return new


def more_rows(t: Tables, capacity: int) -> Tables:
    """The same with room for so many rows."""
    return t._replace(
        rows=rw.grow_rows(t.rows, capacity),
        sizes=_longer(t.sizes, capacity),
        item_of=_longer(t.item_of, capacity, -1),
        marks=_longer(t.marks, capacity),
        included=_longer(t.included, capacity, -1),
        threshold=_longer(t.threshold, capacity, -1),
        ranked_buyers=_longer(t.ranked_buyers, capacity),
        partly=_longer(t.partly, capacity),
    )


def more_items(t: Tables, capacity: int) -> Tables:
    """The same with room for so many items."""
    return t._replace(
        popularity=pop.grow_popularity(t.popularity, capacity), row_of=_longer(t.row_of, capacity, -1)
    )


def new_pending(n: int) -> Pending:
    """Room for so many increments of one message."""
    return Pending(np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.int32))
