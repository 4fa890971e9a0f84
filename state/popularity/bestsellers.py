"""Bestsellers and trending items, of all items and of each category.

Bestsellers are the available items with the most purchases in the newest 14 days of event time. Trending
items are those with the largest rise, where w is the purchases of the newest 7 days and b those of the 21
days before:

    rise = (w - b / 3) / sqrt(b / 3 + 1)

This is how far w is above a third of b, in about its standard deviations if purchases were a Poisson process.
Only items that rise are trending. Ties go to the smaller id, so that every partition has the same lists.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.memory.item_ids import AnyIds
from state.popularity.counts import DAY_MS, DAYS, WATERMARK_MS, Popularity

MOST = 100
WEEK = 7
EVERYTHING = 0  # the category that stands for all items


class BestsellerList(NamedTuple):
    """The name of a list: its category or EVERYTHING, and whether it has trending items or bestsellers."""

    category: int
    trending: bool


class Bestseller(NamedTuple):
    """An entry of a list.

    Attributes
    ----------
    purchases
        The purchases of the newest 14 days.
    rise
        The rise, in a list of trending items; None in a list of bestsellers.
    """

    item_id: str
    purchases: int
    rise: float | None = None


class Chosen(NamedTuple):
    """Items by group: those of group g are at ends[g - 1] .. ends[g] - 1, the best first, ties in any order.

    All items that tie with the last one are included.
    """

    items: npt.NDArray[np.int32]
    values: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]


class Bestsellers:
    """The current lists of one kind of events.

    Attributes
    ----------
    lists : dict[BestsellerList, list[Bestseller]]
        The lists that are not empty, best first.
    """

    def __init__(self, most: int = MOST) -> None:
        self.lists: dict[BestsellerList, list[Bestseller]] = {}
        self._most = most
        self._chosen: dict[BestsellerList, bytes] = {}  # what each list was made from

    def update(self, p: Popularity, items: AnyIds, categories: npt.NDArray[np.int32]) -> list[BestsellerList]:
        """Make the lists again; return which lists changed, including those that are empty now.

        Parameters
        ----------
        p, items
            The popularity and the ids of the whole catalogue.
        categories
            The category of each item number, from 1; 0 or nothing for an item without one.
        """
        n = len(items)
        groups = np.zeros(n, np.int32)
        groups[: len(categories)] = categories[:n]
        sold, rise = count(p, n)
        known, chosen = self._chosen, {}
        fresh: dict[BestsellerList, tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]] = {}
        for trending, values in ((False, sold), (True, rise)):
            best = choose(values, groups, int(groups.max(initial=0)) + 1, self._most)
            starts = np.append(0, best.ends[:-1])
            for category in np.flatnonzero(best.ends > starts).tolist():
                some = slice(starts[category], best.ends[category])
                board, numbers, value = (
                    BestsellerList(category, trending),
                    best.items[some],
                    best.values[some],
                )
                made_from = (
                    numbers.tobytes() + value.tobytes() + (sold[numbers].tobytes() if trending else b"")
                )
                chosen[board] = made_from
                if known.get(board) != made_from:
                    fresh[board] = numbers, value
        changed = [board for board in known if board not in chosen]
        for board in changed:
            del self.lists[board]
        self._chosen = chosen
        return changed + self._replace(fresh, sold, items)

    def _replace(
        self,
        fresh: dict[BestsellerList, tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]],
        sold: npt.NDArray[np.float64],
        items: AnyIds,
    ) -> list[BestsellerList]:
        """Order items by value and id, and keep the lists that differ; return which they are."""
        if not fresh:
            return []
        together = np.concatenate([numbers for numbers, _ in fresh.values()])
        distinct, place = np.unique(together, return_inverse=True)
        all_names = items.ids(distinct.tolist())
        names, purchases = [all_names[i] for i in place.tolist()], sold[together].astype(np.int64).tolist()
        changed, start = [], 0
        for board, (numbers, values) in fresh.items():
            some = slice(start, start := start + len(numbers))
            ordered = sorted(zip((-values).tolist(), names[some], purchases[some], strict=True))[: self._most]
            if board.trending:
                sellers = [Bestseller(name, n, -value) for value, name, n in ordered]
            else:
                sellers = [Bestseller(name, n) for _, name, n in ordered]
            if self.lists.get(board) != sellers:
                self.lists[board] = sellers
                changed.append(board)
        return changed


@kernel
def count(p: Popularity, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the purchases of 14 days and the rise of items 0 .. n - 1; 0 for unavailable ones."""
    sold, rise = np.zeros(n), np.zeros(n)
    recent, available, days = p.recent, p.available, p.days
    newest = p.totals[WATERMARK_MS] // DAY_MS
    week = np.empty(WEEK, np.int64)
    for d in range(WEEK):
        week[d] = (newest - d) % DAYS
    for item in range(n):
        if not available[item] or recent[item] <= 0:
            continue
        sold[item] = recent[item]
        in_week = np.int64(0)
        for slot in week:
            in_week += np.int64(days[item, slot])
        all_days = np.int64(0)
        for slot in range(DAYS):
            all_days += np.int64(days[item, slot])
        usual = (all_days - in_week) / 3.0
        rise[item] = (in_week - usual) / np.sqrt(usual + 1.0)
    return sold, rise


@kernel
def choose(
    values: npt.NDArray[np.float64], groups: npt.NDArray[np.int32], n_groups: int, most: int
) -> Chosen:  # fmt: skip
    """Return the items with the `most` largest positive values of all (group 0), and of each group from 1."""
    positive = np.flatnonzero(values > 0.0)
    starts = np.zeros(n_groups + 1, np.int64)
    for item in positive:
        if groups[item] > 0:
            starts[groups[item] + 1] += 1
    starts[1] = len(positive)  # group 0 has all
    starts = np.cumsum(starts)
    sorted_by_group = np.empty(starts[-1], np.int64)
    sorted_by_group[: len(positive)] = positive
    filled = starts[:-1].copy()
    for item in positive:
        group = groups[item]
        if group > 0:
            sorted_by_group[filled[group]] = item
            filled[group] += 1
    items, best = np.empty(len(sorted_by_group), np.int32), np.empty(len(sorted_by_group))
    ends = np.zeros(n_groups, np.int64)
    at = 0
    for group in range(n_groups):
        members = sorted_by_group[starts[group] : starts[group + 1]]
        if len(members) > most:
            of_members = values[members]
            least = np.partition(of_members, len(members) - most)[len(members) - most]
            members = members[of_members >= least]
        for i in np.argsort(-values[members], kind="mergesort"):
            items[at], best[at] = members[i], values[members[i]]
            at += 1
        ends[group] = at
    return Chosen(items[:at], best[:at], ends)
