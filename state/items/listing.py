"""Rank rows into related lists, and read the lists.

Lists are ranked by the popularity of the neighbours. That of items of other partitions, and the ids of items
that came without one, are published by the machines that own them (`state.items.neighbour_popularity`); they
may be a moment old, and are exact once all machines have published what they counted. In a machine that
counts pairs of history changes (`ItemMachine.apply_pairs`), the messages have the buyers of all items.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from state import relatedness
from state.items import ranking
from state.items.heap import heap_room
from state.items.lists import CHANGED, SLIGHTLY, Lists, mark_published, new_lists
from state.items.marks import FRESH, QUIET, RANK, WHOLE, take_fresh
from state.items.memory import ItemMemory

WAITING = RANK | QUIET | FRESH | WHOLE  # marks that ranking clears
_NONE = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Related:
    """One entry of a list; the fields are those of the published message."""

    item_id: str
    score: float
    together: int
    after: int
    recent: float
    expected: float


@dataclass
class ItemLists(ItemMemory):
    """The related lists of one partition's items. See `ItemMemory` for the parameters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gaps = np.append(np.diff(self.cells.nodes), 1).astype(np.float64)
        self.matrix = relatedness.expectation_matrix(self.cells.nodes)
        self.mode = relatedness.MODES[self.settings.score]
        self._touched = _NONE  # sorted, of the rows that `fresh` returned last

    # ------------------------------------------------------------------ which rows to rank

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
        n, left = take_fresh(self.tables.marks[: self.row_count], out)
        self._touched = np.sort(touched.pairs[: touched.n[0] if n else 0])
        touched.n[0] = 0
        return out[:n], left

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

    # ------------------------------------------------------------------ ranking

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
            self.gaps, self.matrix, touched is None, grown, heap_room(k, len(grown)),
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

    # ------------------------------------------------------------------ reading

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
