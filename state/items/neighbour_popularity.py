"""The popularity of the items that other partitions own, as far as an item machine knows it.

Lists are ranked by the popularity of neighbours, whoever owns them. Each machine counts the popularity of its
own items and publishes it. What all have published is a `PopularityView`, from which the others take it over
when ranking needs it. It may be a moment old, and is exact once all have published what they counted. Until
then a machine adds what it knows of others' items from its own messages
(`state.popularity.others.expect_purchase`).
"""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt

from state.items.tables import Tables
from state.memory.item_ids import ItemIds
from state.messages.deltas import Source
from state.popularity import counts as pop
from state.popularity import others
from state.popularity.view import PopularityView


class NeighbourPopularity:
    """Takes what other machines published into the tables of one machine.

    Its methods get the machine's ids, its tables, and how many rows these have. Machines in several threads
    may share the view: each holds its lock while it takes from it.

    Parameters
    ----------
    view
        What is published of the items of all partitions. None for a machine whose messages have the buyers of
        all items, so that nothing is taken over.
    """

    def __init__(self, view: PopularityView[ItemIds] | None = None) -> None:
        self.view = view
        # the view when it was last taken over: its items, sum of buyers, and number of changes
        self._items, self._buyers, self._changes = 0, 0, -1

    def _locked(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self.view is None else self.view.lock

    @property
    def sources(self) -> dict[Source, tuple[int, int]]:
        """By source of deltas, how far any machine has counted its events, and its customers then."""
        return {} if self.view is None else self.view.sources

    def adopt(self, items: ItemIds, tables: Tables, numbers: npt.NDArray[np.int64]) -> None:
        """Take over what is published of these items, if anything; the machine may not know them yet."""
        with self._locked():
            self._adopt(items, tables, numbers)

    def _adopt(self, items: ItemIds, tables: Tables, numbers: npt.NDArray[np.int64]) -> None:
        if self.view is None or len(numbers) == 0 or len(self.view.items) == 0:
            return
        theirs = self.view.items
        their_numbers = theirs.find(items.hashes[numbers])
        found = np.flatnonzero(their_numbers >= 0)
        if len(found) == 0:
            return
        numbers, their_numbers = numbers[found], their_numbers[found]
        for place in np.flatnonzero(~items.known[numbers]).tolist():
            if name := theirs.id(int(their_numbers[place])):
                items.name(int(numbers[place]), name)
        others.adopt(tables.popularity, tables.row_of, numbers, self.view.popularity, their_numbers)
        pop.refresh_items(tables.popularity, numbers[items.known[numbers]])

    def prepare(self, items: ItemIds, tables: Tables, rows: int, *, exact: bool) -> None:
        """Update what ranking reads if it is too old, or with `exact` if it changed at all."""
        with self._locked():
            if self._is_changed(tables) if exact else self._is_stale(tables):
                self._take_in(items, tables, rows, exact=exact)
            else:
                self._take_in_news(items, tables)

    def take_in(self, items: ItemIds, tables: Tables, rows: int, *, exact: bool) -> None:
        """Update the popularity that ranking reads with what is published of others' items by now.

        What was expected of items of which nothing is published is forgotten with `exact`, and kept
        otherwise.
        """
        with self._locked():
            self._take_in(items, tables, rows, exact=exact)

    def _take_in(self, items: ItemIds, tables: Tables, rows: int, *, exact: bool) -> None:
        popularity, view = tables.popularity, self.view
        if view is not None:
            view.move_on(int(popularity.totals[pop.WATERMARK_MS]))
            pop.move_own_on(popularity, tables.item_of, view.watermark_ms)
            theirs = view.popularity
            known = items.find(view.items.hashes[: len(view.items)])
            if exact:
                others.forget_others(popularity, tables.row_of, len(items))
            self._adopt(items, tables, known[known >= 0])
            others.adopt_total(popularity, tables.item_of, rows, tables.row_of, theirs, known)
            self._items, self._buyers = len(known), int(theirs.totals[pop.BUYERS])
            self._changes = view.changes
        pop.refresh(popularity, len(items))
        popularity.roots[: len(items)][~items.known[: len(items)]] = -1.0
        if not exact and view is not None:
            pop.mark_inexact(popularity)

    def _take_in_news(self, items: ItemIds, tables: Tables) -> None:
        """Take in items that are new to the other machines too, so that lists need not wait for their ids."""
        view = self.view
        if view is not None and len(view.items) > self._items:
            fresh = items.find(view.items.hashes[self._items : len(view.items)])
            self._adopt(items, tables, fresh[fresh >= 0])
            self._items = len(view.items)

    def _is_changed(self, tables: Tables) -> bool:
        """Return whether what ranking reads of any item has changed since."""
        news = self.view is not None and self.view.changes != self._changes
        return bool(news or pop.is_changed(tables.popularity))

    def _is_stale(self, tables: Tables) -> bool:
        """Return whether what ranking reads is older than ranking allows."""
        popularity, view = tables.popularity, self.view
        if view is not None:
            if view.watermark_ms // pop.DAY_MS > int(popularity.totals[pop.WATERMARK_MS]) // pop.DAY_MS:
                return True
            moved = abs(int(view.totals[pop.BUYERS]) - self._buyers)
            if moved * 200 > popularity.totals[pop.BUYERS]:
                return True
        return bool(pop.is_stale(popularity))
