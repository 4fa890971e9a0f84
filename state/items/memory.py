"""The items of one partition in memory: their numbers, their rows of counts, and who was counted.

With a store, not all rows need be in memory: those that a message or a query touches are brought in before.
If rows exceed the budget, those not used lately are stored and dropped afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from state.items import row_memory
from state.items.lists import grow_published, new_published
from state.items.marks import ABSENT, SAVE, USED
from state.items.neighbour_popularity import NeighbourPopularity
from state.items.opportunity import Cells
from state.items.tables import more_items, more_rows, new_tables
from state.memory.budget import KEPT, records_bytes
from state.memory.eviction import second_chance
from state.memory.item_ids import ItemIds
from state.messages.deltas import Source
from state.popularity import counts as pop
from state.settings import CountingSettings


@dataclass
class SourceState:
    """The state of one source: this machine's numbers for its items, how far it is applied, and its
    customers.
    """

    items: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    end: int = 0
    customers: int = 0


class RowBacking(Protocol):
    """Where the rows are that are not in memory."""

    def bring_in(self, rows: list[int]) -> None:
        """Fill rows that are not in memory."""

    def write_out(self, rows: list[int]) -> None:
        """Store rows that changed."""


@dataclass
class ItemMemory:
    """The items of one partition, with their rows and their popularity.

    Parameters
    ----------
    settings
        The counting settings.
    partition
        The item partition that this machine owns; deltas say which items are in it.
    budget_bytes
        The memory that rows may take, None for any amount; it may be changed at any time. What one message
        touches is in memory whatever the budget.
    others
        The popularity of the items of other partitions.
    seed
        Where the table of items has its entries follows from it (`state.memory.mixing`).
    """

    settings: CountingSettings = field(default_factory=CountingSettings)
    partition: int = 0
    budget_bytes: int | None = None
    others: NeighbourPopularity = field(default_factory=NeighbourPopularity)
    seed: int = 0

    def __post_init__(self) -> None:
        self.items = ItemIds(self.seed)
        self.sources: dict[Source, SourceState] = {}
        self.position = 0  # offset after the last message applied
        self.replayed_to = 0  # lists that follow from earlier messages may have been published before a crash
        self.row_count = 0
        self.absent = 0  # rows that are not in memory
        self.evicted = 0  # how often a row was dropped from memory
        self.backing: RowBacking | None = None
        self._hand = 0  # the row at which the search for rows to drop goes on
        self.cells = Cells.of(self.settings.window)
        self.tables = new_tables(1024, self.cells)
        self.published = new_published(1024, self.settings.list_length)

    @property
    def watermark_ms(self) -> int:
        """The newest event time that the machine has counted."""
        return int(self.tables.popularity.totals[pop.WATERMARK_MS])

    @property
    def popularity(self) -> pop.Popularity:
        """The popularity, by number of `items`."""
        return self.tables.popularity

    @property
    def customers(self) -> int:
        """The number of customers with an item, over all sources."""
        newest = {name: (state.end, state.customers) for name, state in self.sources.items()}
        for name, state in self.others.sources.items():
            newest[name] = max(state, newest.get(name, state))
        return sum(customers for _, customers in newest.values())

    def counted(self) -> list[tuple[Source, int, int]]:
        """Return for each source how far its events are counted here, and how many customers it had then."""
        return [(name, state.end, state.customers) for name, state in self.sources.items()]

    @property
    def purchases(self) -> int:
        """The number of purchases of this partition's items, without those that were taken back."""
        return int(self.tables.popularity.totals[pop.PURCHASES])

    # ------------------------------------------------------------------ rows

    def add_row(self, item: int) -> int:
        """Give a row to an item of this partition; return the row's number."""
        row = self.row_count
        self.row_count += 1
        self.make_room()
        self.published.length[row] = -1 if self.position < self.replayed_to else 0
        self.tables.row_of[item] = row
        self.tables.item_of[row] = item
        return row

    def make_room(self) -> None:
        """Make room for every item and row known by now."""
        t = self.tables
        if self.row_count > len(t.marks):
            self.tables = t = more_rows(t, 2 * self.row_count)
            self.published = grow_published(self.published, 2 * self.row_count)
        if len(self.items) > len(t.row_of):
            self.tables = more_items(t, 2 * len(self.items))

    def neighbours(
        self, row: int
    ) -> tuple[
        npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float64]
    ]:
        """Return a row's neighbours in any order: item numbers, counts after and before, and F."""
        self.bring_in(np.array([row]))
        return row_memory.read(self.tables.rows, row)

    # ------------------------------------------------------------------ memory

    def bring_in(self, rows: npt.NDArray[np.int64]) -> None:
        """Bring rows into memory, where they stay until the next message or list."""
        if not self.absent or self.backing is None:
            return
        marks = self.tables.marks
        missing = np.unique(rows[(marks[rows] & ABSENT) > 0])
        self.backing.bring_in(missing.tolist())
        marks[missing] &= np.uint8(0xFF ^ ABSENT)
        self.absent -= len(missing)

    def footprint_bytes(self) -> int:
        """Return the memory that rows take, gaps between them included."""
        return row_memory.footprint_bytes(self.tables.rows)

    def over_budget(self) -> bool:
        """Return whether rows take more than the budget allows."""
        budget = self.budget_bytes
        return budget is not None and self.footprint_bytes() > records_bytes(budget)

    def shrink(self) -> None:
        """If rows exceed the budget, store and drop those not used lately."""
        rows, budget = self.tables.rows, self.budget_bytes
        if budget is None or self.backing is None or not self.over_budget():
            return
        while (excess := row_memory.used_bytes(rows) - int(KEPT * records_bytes(budget))) > 0:
            marks = self.tables.marks[: self.row_count]
            n_bytes = row_memory.block_bytes(rows)[: self.row_count]
            dropped, spared, self._hand = second_chance(self._hand, (marks & USED) > 0, n_bytes, excess)
            self.backing.write_out(dropped[(marks[dropped] & SAVE) > 0].tolist())
            row_memory.drop(rows, dropped)
            marks[spared] &= np.uint8(0xFF ^ USED)
            marks[dropped] = (marks[dropped] & np.uint8(0xFF ^ USED)) | ABSENT
            self.absent += len(dropped)
            self.evicted += len(dropped)
        row_memory.close_gaps(rows)
