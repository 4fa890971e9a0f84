"""The tables of an item machine: its arrays by row and by item, and how many buyers a row counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.items import row_layout as rl
from state.items.opportunity import Cells
from state.items.row_layout import Rows
from state.memory.arrays import kernel, longer, zeros
from state.popularity import counts as pop
from state.popularity.counts import Popularity

BLOCK_BITS = 8  # of items whose popularity is stored together

TOUCHED_ROOM = 1 << 15
"""How many entries that may enter lists a machine notes: those of some hundred events."""


class Tables(NamedTuple):
    """The tables that the kernels change."""

    rows: Rows
    popularity: Popularity
    popular_blocks: npt.NDArray[np.uint8]  # per block of items: popularity not stored since it changed
    sizes: npt.NDArray[np.uint32]  # [rows, 2, cells] of state.items.opportunity
    row_of: npt.NDArray[np.int32]  # per item: its row, -1 if another partition owns it
    item_of: npt.NDArray[np.int32]  # per row: its item
    marks: npt.NDArray[np.uint8]  # per row
    included: npt.NDArray[np.int64]  # per row: position its loaded record has
    threshold: npt.NDArray[np.float32]  # per row: score that an entry needs to enter the list
    ranked_buyers: npt.NDArray[np.int64]  # per row: buyers of its item when it was last ranked
    partly: npt.NDArray[np.uint8]  # per row: how often it was ranked since all its entries were looked at
    cell_of: npt.NDArray[np.int64]  # state.items.opportunity.Cells.of_size
    above: npt.NDArray[np.int64]
    touched: Touched


class Touched(NamedTuple):
    """Entries whose counts grew, so that they may enter their rows' lists or are in them.

    If there is no more room, rows are marked WHOLE instead.
    """

    pairs: npt.NDArray[np.uint64]  # row << 32 | neighbour
    n: npt.NDArray[np.int64]  # [1]


class Pending(NamedTuple):
    """Increments laid out one after the other, so that the memory they change can be prefetched."""

    row: npt.NDArray[np.int32]
    neighbour: npt.NDArray[np.int32]
    after: npt.NDArray[np.uint8]
    event: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]  # of the neighbour in the message


def new_tables(capacity: int, cells: Cells) -> Tables:
    """Return empty tables for so many rows and items."""
    return Tables(
        rl.new_rows(capacity), pop.new_popularity(capacity),
        np.zeros((capacity >> BLOCK_BITS) + 1, np.uint8),
        zeros((capacity, 2, len(cells.nodes)), np.uint32),
        np.full(capacity, -1, np.int32), np.full(capacity, -1, np.int32), np.zeros(capacity, np.uint8),
        np.full(capacity, -1, np.int64), np.full(capacity, -1, np.float32), np.zeros(capacity, np.int64),
        np.zeros(capacity, np.uint8), cells.of_size, cells.above,
        Touched(np.empty(TOUCHED_ROOM, np.uint64), np.zeros(1, np.int64)),
    )  # fmt: skip


def more_rows(t: Tables, capacity: int) -> Tables:
    """Return the same tables with room for so many rows."""
    return t._replace(
        rows=rl.grow_rows(t.rows, capacity),
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


@kernel
def buyers_of(t: Tables, row: int) -> int:
    """Return the number of customers whose histories a row counts."""
    n = 0
    for cell in range(t.sizes.shape[2]):
        n += np.int64(t.sizes[row, 0, cell])
    return n


@kernel
def put_size(t: Tables, row: int, size: int) -> None:
    """Count a customer with an opportunity of `size`."""
    t.sizes[row, 0, t.cell_of[size]] += np.uint32(1)
    t.sizes[row, 1, t.cell_of[size]] += np.uint32(t.above[size])


@kernel
def take_size(t: Tables, row: int, size: int) -> None:
    """Undo `put_size`."""
    t.sizes[row, 0, t.cell_of[size]] -= np.uint32(1)
    t.sizes[row, 1, t.cell_of[size]] -= np.uint32(t.above[size])
