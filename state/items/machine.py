"""The item machine: it turns deltas into related lists, one machine per partition of the items.

Its state is a function of the messages of its pair-deltas partition alone: for each item that it owns, a row
of co-occurrence counts, the buyers' opportunity sizes and the popularity. It drops what a source sends again,
and counts exactly as long as no row is full.

Lists are ranked by the popularity of the neighbours. That of items of other partitions, and the ids of items
that came without one, are published by the machines that own them (`state.items.neighbour_popularity`); they
may be a moment old, and are exact once all machines have published what they counted. In a machine that
counts pairs of history changes (`apply_pairs`), the messages have the buyers of all items.

With a store, not all rows need be in memory: those that a message or a query touches are brought in before.
If rows exceed the budget, those not used lately are stored and dropped afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from state import relatedness
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
from state.messages.checking import check_deltas, check_pairs
from state.messages.deltas import Availability, Deltas, Source
from state.messages.pair_changes import PairChanges
from state.messages.wire import require
from state.popularity import counts as pop
from state.settings import CountingSettings

WAITING = RANK | QUIET | FRESH | WHOLE  # marks that ranking clears
_NONE = np.zeros(0, np.uint64)


@dataclass
class SourceState:
    """The state of one source: this machine's numbers for its items, how far it is applied, and its
    customers.
    """

    items: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    end: int = 0
    customers: int = 0


@dataclass(frozen=True)
class Related:
    """One entry of a list; the fields are those of the published message."""

    item_id: str
    score: float
    together: int
    after: int
    recent: float
    expected: float


class RowBacking(Protocol):
    """Where the rows are that are not in memory."""

    def bring_in(self, rows: list[int]) -> None:
        """Fill rows that are not in memory."""

    def write_out(self, rows: list[int]) -> None:
        """Store rows that changed."""


@dataclass
class ItemMachine:
    """The counts and lists of one partition's items.

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
        self.gaps_seen = 0  # how many messages were dropped because one before them is missing
        self.popularity_included = -1  # last message the loaded popularity has
        self.availability_stored = True
        self.row_count = 0
        self.absent = 0  # rows that are not in memory
        self.evicted = 0  # how often a row was dropped from memory
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
        """Apply one message; return how many of its events were new.

        A message is dropped if it has been applied. It is also dropped if a message before it is missing: its
        source failed to send that one, and sends both again, because a source continues from where Kafka had
        acknowledged everything.

        Parameters
        ----------
        deltas
            The message.
        position
            The message's offset in pair-deltas if it is from there; by default the one after the last
            message.

        Raises
        ------
        NoMessage
            If the parts of the message do not fit together: nothing is changed then.
        """
        check_deltas(deltas, self.settings.window)
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
        """Return the numbers of a message's items; items of this partition get rows."""
        before = len(self.items)
        numbers = self.items.numbers(deltas.hashes)
        self.make_room(2 * deltas.near)
        own = numbers[: deltas.own]
        for number in dict.fromkeys(own[self.tables.row_of[own] < 0].tolist()):
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
        """Apply one message of a crossing machine, as `apply` does others; return how many effects were new.

        Only items that somebody watched get rows.

        Raises
        ------
        NoMessage
            If the message does not fit together, or to what is applied: nothing is changed then.
        """
        position = self.position if position is None else position
        known = self.sources.get(changes.source)
        check_pairs(changes, 0 if known is None else len(known.items), self.settings.window)
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
        """Apply a catalogue message; rows with an item that changed are marked for ranking."""
        position = self.position if position is None else position
        source = self._source(message.source, message.first, begins=False)
        changed = 0
        if source is not None and message.end > source.end:
            for name, available in zip(message.ids, message.available.tolist(), strict=True):
                number = self.items.get(name)
                if number is None and available:
                    continue  # items are available by default, so an unknown item needs no number
                number = self.items.number(name)
                self.make_room()
                if self.items.id(number) != name:
                    continue  # another id has the hash, and is not hidden for this one
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
        """Return the source of a message that covers offsets from `first` on; None if a message before is
        missing.

        A source that is new and sends its first ids (`begins`) may begin anywhere, as its log may have been
        cut off.
        """
        source = self.sources.setdefault(name, SourceState())
        if first <= source.end or (begins and source.end == 0):
            return source
        self.gaps_seen += 1
        return None

    def _learn(self, source: SourceState, changes: PairChanges) -> None:
        """Give numbers to the source's new items; raise NoMessage if those before them are missing."""
        known = len(source.items)
        require(
            changes.base <= known, "pair-deltas", f"items from {changes.base} on, of which {known} are known,"
        )
        fresh = changes.new_ids[known - changes.base :]
        if fresh:
            numbers = [self.items.number(name) for name in fresh]
            self.make_room()
            source.items = np.append(source.items, np.array(numbers, np.int32))

    def add_row(self, item: int) -> int:
        """Give a row to an item of this partition; return the row's number."""
        row = self.row_count
        self.row_count += 1
        self.make_room()
        self.published.length[row] = -1 if self.position < self.replayed_to else 0
        self.tables.row_of[item] = row
        self.tables.item_of[row] = item
        return row

    def make_room(self, increments: int = 0) -> None:
        """Make room for every item and row known by now, and for a message with so many increments."""
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

    def waiting(self) -> npt.NDArray[np.int64]:
        """Return the rows whose list may have changed since it was ranked."""
        return np.flatnonzero(self.tables.marks[: self.row_count] & RANK)

    def still_waiting(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return which of the rows have not been ranked since they were marked, as indices into `rows`."""
        return np.flatnonzero(self.tables.marks[rows] & RANK)

    def fresh(self, most: int) -> tuple[npt.NDArray[np.int64], int]:
        """Return rows whose list may have changed since the last call and was not ranked since.

        Return the first `most` of them, which `rank_fresh` must rank before anything else is counted, and how
        many more there are; `waiting` returns those.
        """
        out, touched = np.empty(min(most, self.row_count), np.int64), self.tables.touched
        n, left = counting.take_fresh(self.tables.marks[: self.row_count], out)
        self._touched = np.sort(touched.pairs[: touched.n[0] if n else 0])
        touched.n[0] = 0
        return out[:n], left

    def take_in(self, *, exact: bool = True) -> None:
        """Update the popularity that ranking reads: see `NeighbourPopularity.take_in`."""
        self.others.take_in(self.items, self.tables, self.row_count, exact=exact)

    def rank(self, rows: npt.NDArray[np.int64], *, exact: bool = False) -> Lists:
        """Rank rows, clear their marks and return their lists; `difference` says which are worth publishing.

        With `exact`, the popularity that every score depends on is updated first. Otherwise the total of
        buyers may be off by one in 200, and the popularity of others' items by as much as their machines have
        not published yet.
        """
        lists = self._rank(rows, exact=exact)
        self.shrink()
        return lists

    def rank_fresh(self, rows: npt.NDArray[np.int64]) -> Lists:
        """Rank some of the rows that `fresh` returned last, as `rank` does, from the entries that changed.

        The best entries are searched among those that were in the list and those whose counts grew since. An
        entry that became better without being bought together with the item, by its popularity, is found when
        all entries are ranked: every ninth time (`ranking.PARTLY`), and by `rank`.
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
        """Note the lists that changed as published (with `exact`: changed in anything).

        Return their indices.
        """
        least = SLIGHTLY if exact else CHANGED
        mark_published(self.published, lists, least)
        return np.flatnonzero(lists.difference >= least)

    def rows_of(self, item_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return the rows of those of the items that this partition owns."""
        numbers = [number for name in item_ids if (number := self.items.get(name)) is not None]
        rows = self.tables.row_of[numbers].astype(np.int64)
        return rows[rows >= 0]

    def mark_unknown(self, item_ids: Iterable[str]) -> None:
        """Note that it is unknown what is published of these items, so that
        their lists are published again.
        """
        self.mark_rows_unknown(self.rows_of(item_ids))

    def mark_rows_unknown(self, rows: npt.NDArray[np.int64]) -> None:
        """Note that it is unknown what is published of these rows."""
        self.published.length[rows] = -1
        self.tables.marks[rows] |= RANK

    def view(self, item: int) -> Lists:
        """Return the list of an item that this partition owns, exact as of now.

        The machine does not change.
        """
        return self.peek(np.array([self.tables.row_of[item]], np.int64))

    def peek(self, rows: npt.NDArray[np.int64]) -> Lists:
        """Return the lists of rows, exact as of now; the machine does not change."""
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
        """Return a row's neighbours in any order: item numbers, counts after and before, and F."""
        self.bring_in(np.array([row]))
        return row_memory.read(self.tables.rows, row)

    def related(self, item_id: str) -> list[Related]:
        """Return the item's list as of now, best first; empty for an item that is not in this partition."""
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
