"""The item machine: from deltas to related-item lists, one per partition of the items.

Its state is a function of the messages of its pair-deltas partition alone: a row of co-occurrence counts, the
buyers' opportunity sizes and the popularity of each item it owns. It drops what a source sends again, and
counts exactly as long as no row is full. How popular neighbours are that other partitions own, which lists
are ranked by, and the ids of those that came without one, it has from their machines
(`state.items.neighbour_popularity`): as of a moment ago, and exactly once all have published what they
counted. What counts pairs of history changes (`apply_pairs`) gets the buyers of all items in its messages.

With a store behind it not all rows need be in memory: those a message or a query touches are brought in
before, and beyond the budget rows not used lately are stored and dropped after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from state import relatedness
from state.errors import BadDelta
from state.items import counting, ranking, row_memory
from state.items.counting import ABSENT, FRESH, QUIET, RANK, SAVE, USED, WHOLE
from state.items.lists import (
    CHANGED,
    SLIGHTLY,
    Lists,
    grow_published,
    mark_published,
    new_lists,
    new_published,
)
from state.items.neighbour_popularity import NeighbourPopularity
from state.items.opportunity import Cells
from state.items.pair_counting import count_pairs
from state.items.tables import more_items, more_rows, new_pending, new_tables
from state.memory.budget import KEPT, records_bytes
from state.memory.eviction import second_chance
from state.memory.item_ids import ItemIds
from state.messages.deltas import Availability, Deltas, Source
from state.messages.pair_changes import PairChanges
from state.popularity import counts as pop
from state.settings import CountingSettings

WAITING = RANK | QUIET | FRESH | WHOLE  # marks that ranking clears
_NONE = np.zeros(0, np.uint64)


@dataclass
class SourceState:
    """What is known of one source: its numbers for items, how far it is applied, its customers."""

    items: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    end: int = 0
    customers: int = 0


@dataclass(frozen=True)
class Related:
    """One entry of a list; fields as in the published message."""

    item_id: str
    score: float
    together: int
    after: int
    recent: float
    expected: float


class RowBacking(Protocol):
    """Where rows are that are not in memory."""

    def bring_in(self, rows: list[int]) -> None:
        """Fill rows that are not in memory."""

    def write_out(self, rows: list[int]) -> None:
        """Store rows that changed."""


@dataclass
class ItemMachine:
    """Counts and lists of one partition's items.

    Parameters
    ----------
    settings
        Counting settings.
    partition
        The item partition this machine owns; deltas say which items are in it.
    budget_bytes
        Memory that rows may take, None for any; may be changed at any time. What one message touches is in
        memory whatever the budget.
    others
        How popular the items of other partitions are.
    """

    settings: CountingSettings = field(default_factory=CountingSettings)
    partition: int = 0
    budget_bytes: int | None = None
    others: NeighbourPopularity = field(default_factory=NeighbourPopularity)

    def __post_init__(self) -> None:
        self.items = ItemIds()
        self.sources: dict[Source, SourceState] = {}
        self.position = 0  # offset after the last message applied
        self.replayed_to = 0  # what messages before it led to may have been published before a crash
        self.gaps_seen = 0  # messages dropped because one before them is missing
        self.popularity_included = -1  # last message the loaded popularity has
        self.availability_stored = True
        self.row_count = 0
        self.absent = 0  # rows that are not in memory
        self.backing: RowBacking | None = None
        self._hand = 0
        self.cells = Cells.of(self.settings.window)
        self.gaps = np.append(np.diff(self.cells.nodes), 1).astype(np.float64)
        self.matrix = relatedness.expectation_matrix(self.cells.nodes)
        self.mode = relatedness.MODES[self.settings.score]
        self.tables = new_tables(1024, self.cells)
        self.published = new_published(1024, self.settings.list_length)
        self._pending = new_pending(1 << 16)
        self._touched = _NONE  # sorted, of the rows that `fresh` returned last

    # ------------------------------------------------------------------ counting

    def apply(self, deltas: Deltas, position: int | None = None) -> int:
        """Apply one message; returns how many events of it were new.

        A message is dropped if it has been applied, and also if one before it is missing: its source failed
        to send that one, and sends both again (a source goes on from where all it had sent was in Kafka).

        Parameters
        ----------
        deltas
            The message.
        position
            Its offset in pair-deltas, where it comes from there; one after the last, else.

        Raises
        ------
        BadDelta
            If a message that follows what is applied does not fit it.
        """
        position = self.position if position is None else position
        source = self.sources.setdefault(deltas.source, SourceState())
        applied = 0
        if deltas.previous > source.end:
            self.gaps_seen += 1
        else:
            numbers = self._number(deltas)
            if deltas.end > source.end:
                if self.absent:
                    self.bring_in(counting.absent_rows(self.tables, numbers[: deltas.own]))
                applied = counting.count(
                    self.tables, position, self.popularity_included, source.end - deltas.first,
                    self.settings.window, self.settings.row_capacity, self.mode == relatedness.MIX,
                    self.settings.score_tolerance, numbers, deltas.own, deltas.words,
                    deltas.events, deltas.near, deltas.gone, deltas.histories, deltas.taken, self._pending,
                )  # fmt: skip
                source.end, source.customers = deltas.end, deltas.customers
        self.position = position + 1
        self.shrink()
        return int(applied)

    def _number(self, deltas: Deltas) -> npt.NDArray[np.int64]:
        """The numbers of a message's items, with rows for those that are this partition's."""
        before = len(self.items)
        numbers = self.items.numbers(deltas.hashes)
        self.make_room(2 * deltas.near)
        own = numbers[: deltas.own]
        for number in own[self.tables.row_of[own] < 0].tolist():
            self.add_row(number)
        if len(self.items) > before:
            self.tables.popularity.roots[before : len(self.items)] = -1.0  # in no list without an id
            self.others.adopt(self.items, self.tables, np.arange(before, len(self.items)))
        if deltas.new_ids:
            new = numbers[deltas.new_items]
            for number, name in zip(new.tolist(), deltas.new_ids, strict=True):
                self.items.name(number, name)
            pop.refresh_items(self.tables.popularity, new)
        return numbers

    def apply_pairs(self, changes: PairChanges, position: int | None = None) -> int:
        """Apply one message of a crossing machine as `apply` does others; returns how many effects were new.

        Only items that somebody watched get rows.
        """
        position = self.position if position is None else position
        source = self._source(changes.source, changes.first, begins=changes.base == 0)
        applied = 0
        if source is not None:
            self._learn(source, changes)
            if changes.end > source.end:
                self._count_pairs(source, changes, position)
                applied = changes.end - max(changes.first, source.end)
                source.end, source.customers = changes.end, changes.customers
        self.position = position + 1
        self.shrink()
        return applied

    def _count_pairs(self, source: SourceState, changes: PairChanges, position: int) -> None:
        own = source.items.astype(np.uint32)
        buyers, sizes, pairs = changes.buyers, changes.sizes, changes.pairs
        buyers, sizes = buyers._replace(items=own[buyers.items]), sizes._replace(items=own[sizes.items])
        pairs = pairs._replace(items=own[pairs.items], bought=own[pairs.bought])
        for item in np.unique(sizes.items).tolist():
            if self.tables.row_of[item] < 0:
                self.add_row(item)
        self.make_room(len(pairs.items))
        if self.absent:
            self.bring_in(counting.absent_rows(self.tables, sizes.items.astype(np.int64)))
            self.bring_in(counting.absent_rows(self.tables, pairs.items.astype(np.int64)))
        count_pairs(
            self.tables, position, self.popularity_included, source.end - changes.first,
            self.settings.row_capacity, self.mode == relatedness.MIX, self.settings.score_tolerance,
            buyers, sizes, pairs, self._pending,
        )  # fmt: skip

    def apply_availability(self, message: Availability, position: int | None = None) -> int:
        """Apply a catalogue message; rows that hold an item that changed are ranked anew."""
        position = self.position if position is None else position
        source = self._source(message.source, message.first, begins=False)
        changed = 0
        if source is not None and message.end > source.end:
            for name, available in zip(message.ids, message.available.tolist(), strict=True):
                number = self.items.get(name)
                if number is None and available:
                    continue  # the default; no need to know an item nobody has bought
                number = self.items.number(name)
                self.make_room()
                popularity = self.tables.popularity
                if popularity.available[number] != available:
                    popularity.available[number] = available
                    self.availability_stored = False
                    pop.refresh_item(popularity, number)
                    counting.mark_holders(self.tables, self.row_count, number)
                    changed += 1
            source.end = message.end
        self.position = position + 1
        return changed

    def _source(self, name: Source, first: int, *, begins: bool) -> SourceState | None:
        """The source of a message that covers offsets from `first` on; None if one before it is missing.

        A source that is new and sends its first ids (`begins`) may begin anywhere: its log was cut off there.
        """
        source = self.sources.setdefault(name, SourceState())
        if first <= source.end or (begins and source.end == 0):
            return source
        self.gaps_seen += 1
        return None

    def _learn(self, source: SourceState, changes: PairChanges) -> None:
        """Give the source's new items numbers here."""
        known = len(source.items)
        if changes.base > known:
            raise BadDelta(
                f"source {tuple(changes.source)} numbers items from {changes.base}, {known} are known"
            )
        fresh = changes.new_ids[known - changes.base :]
        if fresh:
            numbers = [self.items.number(name) for name in fresh]
            self.make_room()
            source.items = np.append(source.items, np.array(numbers, np.int32))

    def add_row(self, item: int) -> int:
        """Give an item of this partition a row; returns its number."""
        row = self.row_count
        self.row_count += 1
        self.make_room()
        self.published.length[row] = -1 if self.position < self.replayed_to else 0
        self.tables.row_of[item] = row
        self.tables.item_of[row] = item
        return row

    def make_room(self, increments: int = 0) -> None:
        """Room for every item and row known by now, and for a message of so many increments."""
        t = self.tables
        if self.row_count > len(t.marks):
            self.tables = t = more_rows(t, 2 * self.row_count)
            self.published = grow_published(self.published, 2 * self.row_count)
        if len(self.items) > len(t.row_of):
            self.tables = more_items(t, 2 * len(self.items))
        if increments > len(self._pending.row):
            self._pending = new_pending(2 * increments)

    # ------------------------------------------------------------------ lists

    @property
    def watermark_ms(self) -> int:
        """The newest event time seen."""
        return int(self.tables.popularity.totals[pop.WATERMARK_MS])

    @property
    def popularity(self) -> pop.Popularity:
        """Popularity by number of `items`."""
        return self.tables.popularity

    @property
    def customers(self) -> int:
        """Customers with an item, over all sources."""
        newest = {name: (state.end, state.customers) for name, state in self.sources.items()}
        for name, state in self.others.sources.items():
            newest[name] = max(state, newest.get(name, state))
        return sum(customers for _, customers in newest.values())

    def counted(self) -> list[tuple[Source, int, int]]:
        """Of each source how far its events are counted here, and how many customers it had then."""
        return [(name, state.end, state.customers) for name, state in self.sources.items()]

    @property
    def purchases(self) -> int:
        """Purchases of this partition's items, by anyone, of what customers have."""
        return int(self.tables.popularity.totals[pop.PURCHASES])

    def waiting(self) -> npt.NDArray[np.int64]:
        """Rows whose list may have changed since it was ranked."""
        return np.flatnonzero(self.tables.marks[: self.row_count] & RANK)

    def still_waiting(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Which of the rows, by their place in `rows`, have not been ranked since they were marked."""
        return np.flatnonzero(self.tables.marks[rows] & RANK)

    def fresh(self, most: int) -> tuple[npt.NDArray[np.int64], int]:
        """Rows whose list may have changed since this was last called, without those ranked since.

        Returns the first `most` of them, to be ranked by `rank_fresh` before anything else is counted, and
        how many more there are; `waiting` has those.
        """
        out, touched = np.empty(min(most, self.row_count), np.int64), self.tables.touched
        n, left = counting.take_fresh(self.tables.marks[: self.row_count], out)
        self._touched = np.sort(touched.pairs[: touched.n[0] if n else 0])
        touched.n[0] = 0
        return out[:n], left

    def take_in(self, *, exact: bool = True) -> None:
        """Bring what ranking reads of popularity up to date: see `NeighbourPopularity.take_in`."""
        self.others.take_in(self.items, self.tables, self.row_count, exact=exact)

    def rank(self, rows: npt.NDArray[np.int64], *, exact: bool = False) -> Lists:
        """Rank rows and clear their marks; `difference` says what is worth publishing.

        With `exact` the popularity every score depends on is brought fully up to date first; without,
        it may lag by one buyer in 200, and others' by as much as their machines publish it late.
        """
        lists = self._rank(rows, exact=exact)
        self.shrink()
        return lists

    def rank_fresh(self, rows: npt.NDArray[np.int64]) -> Lists:
        """Rank some of the rows that `fresh` returned last, as `rank` does, from what changed in them.

        The best are looked for among the entries that were in the list and those that grew since. What has
        come to be better than these without being bought together with the item, as its own popularity
        changed, is found when all are looked at: every ninth time (`ranking.PARTLY`), and by `rank`.
        """
        lists = self._rank(rows, exact=False, touched=self._touched)
        self.shrink()
        return lists

    def _rank(
        self, rows: npt.NDArray[np.int64], *, exact: bool, touched: npt.NDArray[np.uint64] | None = None
    ) -> Lists:
        self.bring_in(rows)
        self.others.prepare(self.items, self.tables, self.row_count, exact=exact)
        k, grown = self.settings.list_length, _NONE if touched is None else touched
        lists = new_lists(rows, k)
        ranking.rank(
            self.tables, self.published, lists, self.mode, self.customers, self.settings.score_tolerance,
            self.gaps, self.matrix, touched is None, grown, ranking.heap_room(k, len(grown)),
        )  # fmt: skip
        self.tables.marks[rows] &= np.uint8(0xFF ^ WAITING)
        return lists

    def mark_published(self, lists: Lists, *, exact: bool = False) -> npt.NDArray[np.int64]:
        """Note as published the lists that changed (with `exact`: in anything); returns their indices."""
        least = SLIGHTLY if exact else CHANGED
        mark_published(self.published, lists, least)
        return np.flatnonzero(lists.difference >= least)

    def rows_of(self, item_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """The rows of those of these items that this partition owns."""
        numbers = [number for name in item_ids if (number := self.items.get(name)) is not None]
        rows = self.tables.row_of[numbers].astype(np.int64)
        return rows[rows >= 0]

    def mark_unknown(self, item_ids: Iterable[str]) -> None:
        """Note that what is published of these items is not known, so that their lists are published anew."""
        self.mark_rows_unknown(self.rows_of(item_ids))

    def mark_rows_unknown(self, rows: npt.NDArray[np.int64]) -> None:
        """The same, of rows."""
        self.published.length[rows] = -1
        self.tables.marks[rows] |= RANK

    def view(self, item: int) -> Lists:
        """The list of an item this partition owns, exact as of now; changes nothing."""
        return self.peek(np.array([self.tables.row_of[item]], np.int64))

    def peek(self, rows: npt.NDArray[np.int64]) -> Lists:
        """The lists of rows, exact as of now; changes nothing."""
        tables = self.tables
        waiting, threshold = tables.marks[rows] & WAITING, tables.threshold[rows]
        ranked_buyers, partly = tables.ranked_buyers[rows], tables.partly[rows]
        lists = self._rank(rows, exact=True)
        tables.marks[rows] |= waiting
        tables.threshold[rows], tables.ranked_buyers[rows], tables.partly[rows] = (
            threshold,
            ranked_buyers,
            partly,
        )
        self.shrink()
        return lists

    def neighbours(
        self, row: int
    ) -> tuple[
        npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float64]
    ]:
        """A row's neighbours, in no order: item numbers, counts after and before, F."""
        self.bring_in(np.array([row]))
        return row_memory.read(self.tables.rows, row)

    def related(self, item_id: str) -> list[Related]:
        """The item's list as of now, best first; empty for an item that is not in this partition."""
        number = self.items.get(item_id)
        if number is None or self.tables.row_of[number] < 0:
            return []
        lists = self.view(number)
        n = int(lists.length[0])
        columns = (lists.score, lists.together, lists.after, lists.recent, lists.expected)
        return [
            Related(item_id, *values)
            for item_id, *values in zip(
                self.items.ids(lists.item[0, :n].tolist()), *(c[0, :n].tolist() for c in columns), strict=True
            )
        ]

    # ------------------------------------------------------------------ memory

    def bring_in(self, rows: npt.NDArray[np.int64]) -> None:
        """Have rows in memory, until the next message or list."""
        if not self.absent or self.backing is None:
            return
        marks = self.tables.marks
        missing = np.unique(rows[(marks[rows] & ABSENT) > 0])
        self.backing.bring_in(missing.tolist())
        marks[missing] &= np.uint8(0xFF ^ ABSENT)
        self.absent -= len(missing)

    def over_budget(self) -> bool:
        """Whether rows take more than the budget allows."""
        budget = self.budget_bytes
        return budget is not None and row_memory.footprint_bytes(self.tables.rows) > records_bytes(budget)

    def shrink(self) -> None:
        """Beyond the budget, store and drop rows not used lately."""
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
        row_memory.close_gaps(rows)
