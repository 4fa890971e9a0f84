"""Make the arrays of an item machine, and make them longer as rows and items come."""

from __future__ import annotations

import numpy as np

from state.items import rows as rw
from state.items.counting import BLOCK_BITS, Pending, Tables, Touched
from state.items.opportunity import Cells
from state.memory.arrays import longer
from state.popularity import counts as pop

TOUCHED = 1 << 15
"""How many entries that may enter lists a machine notes: those of some hundred events."""


def new_tables(capacity: int, cells: Cells) -> Tables:
    """Return empty tables for so many rows and items."""
    return Tables(
        rw.new_rows(capacity), pop.new_popularity(capacity),
        np.zeros((capacity >> BLOCK_BITS) + 1, np.uint8),
        np.zeros((capacity, 2, len(cells.nodes)), np.uint32),
        np.full(capacity, -1, np.int32), np.full(capacity, -1, np.int32), np.zeros(capacity, np.uint8),
        np.full(capacity, -1, np.int64), np.full(capacity, -1, np.float32), np.zeros(capacity, np.int64),
        np.zeros(capacity, np.uint8), cells.of_size, cells.above,
        Touched(np.empty(TOUCHED, np.uint64), np.zeros(1, np.int64)),
    )  # fmt: skip


def more_rows(t: Tables, capacity: int) -> Tables:
    """Return the same tables with room for so many rows."""
    return t._replace(
        rows=rw.grow_rows(t.rows, capacity),
        sizes=longer(t.sizes, capacity),
        item_of=longer(t.item_of, capacity, -1),
        marks=longer(t.marks, capacity),
        included=longer(t.included, capacity, -1),
        threshold=longer(t.threshold, capacity, -1),
        ranked_buyers=longer(t.ranked_buyers, capacity),
        partly=longer(t.partly, capacity),
    )


def more_items(t: Tables, capacity: int) -> Tables:
    """Return the same tables with room for so many items."""
    return t._replace(
        popularity=pop.grow_popularity(t.popularity, capacity),
        popular_blocks=longer(t.popular_blocks, (capacity >> BLOCK_BITS) + 1),
        row_of=longer(t.row_of, capacity, -1),
    )


def new_pending(n: int) -> Pending:
    """Return room for so many increments of one message."""
    return Pending(
        np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.int32),
        np.empty(n, np.int32),
    )  # fmt: skip
