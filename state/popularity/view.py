"""The popularity of a whole catalogue, filled from what the owner of each item publishes.

A record has everything of an item at a moment: buyers, purchases of each of the newest 28 days of event time,
first day and repeats. The newest record of an item replaces the one before it. The days of an item leave the
window as records, or the caller, show that time has passed. So the arrays are, day for day, what
`state.popularity.counts` would have counted from the events themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.memory.entries import decay_weight
from state.memory.ids import Dictionary
from state.memory.item_ids import ItemIds
from state.messages.deltas import Source
from state.popularity.counts import (
    BUYERS,
    DAY_MS,
    DAYS,
    PURCHASES,
    RECENT_DAYS,
    WATERMARK_MS,
    Popularity,
    grow_popularity,
    move_on,
    new_popularity,
)


class ItemPopularity(NamedTuple):
    """What is published of one item.

    Attributes
    ----------
    as_of_ms
        The newest event time that its owner had seen.
    version
        It grows with every record of the item: an older record does not replace a newer one.
    buyers
        The customers who have it.
    newest_day, purchases
        A day of event time (days since 1970), and the purchases of that day, of the day before, and so on; at
        most 28.
    first_days
        The sum of the days, since 1970, on which its buyers first bought it.
    recent_buyers
        The sum over its buyers of exp(-age / 30 days), where age is that of this day at `as_of_ms`.
    repeats
        The buyers who bought it on several days, their days beyond the first, and the minutes from first to
        last.
    customers
        The customers with any item, as far as its owner knows.
    """

    item_id: str
    as_of_ms: int
    version: int
    buyers: int
    newest_day: int
    purchases: Sequence[int]
    first_days: int
    recent_buyers: float
    repeats: tuple[int, int, int]
    customers: int


Items = TypeVar("Items", Dictionary, ItemIds)


class PopularityView(Generic[Items]):
    """The popularity by number of a dictionary that others may share.

    >>> view = PopularityView(Dictionary())
    >>> view.put([ItemPopularity("tea", 20_000 * DAY_MS, 7, 2, 20_000, [3, 1], 39_998, 1.9, (1, 1, 1440), 5)])
    >>> int(view.popularity.recent[0]), view.purchases, view.customers
    (4, 4, 5)

    Attributes
    ----------
    items
        The ids of the items.
    changes : int
        It grows with whatever is taken in.
    lock
        Whoever changes the view or takes from it holds this lock, if threads share the view.
    """

    def __init__(self, items: Items) -> None:
        self.items: Items = items
        self.lock = threading.RLock()
        self.changes = 0
        self._sources: dict[Source, tuple[int, int]] | None = None
        self._noted: dict[int, list[tuple[Source, int, int]]] = {}
        self._popularity: Popularity = new_popularity(1024)
        self.customers = 0
        self._versions = np.full(1024, -1, np.int64)

    @property
    def popularity(self) -> Popularity:
        """The arrays, with room for every item of the dictionary, whoever added it.

        `totals` has the sum of all buyers, and the purchases that records brought so far.
        """
        self._make_room()
        return self._popularity

    @property
    def totals(self) -> npt.NDArray[np.int64]:
        """The totals of `popularity`."""
        return self._popularity.totals

    def note(self, partition: int, as_of_ms: int, sources: Iterable[tuple[Source, int, int]]) -> None:
        """Note how far a partition's machine is: its event time, and its sources' offsets and customers."""
        self.move_on(as_of_ms)
        self._noted[partition] = list(sources)
        self._sources = None
        self.changes += 1

    @property
    def sources(self) -> dict[Source, tuple[int, int]]:
        """By source of deltas, how far any machine has counted its events, and its customers then."""
        if self._sources is None:
            sources: dict[Source, tuple[int, int]] = {}
            for source, end, customers in chain.from_iterable(self._noted.values()):
                sources[source] = max((end, customers), sources.get(source, (0, 0)))
            self._sources = sources  # replaced as a whole, because another thread may read it
        return self._sources

    @property
    def watermark_ms(self) -> int:
        """The newest event time of any record or `move_on`."""
        return int(self._popularity.totals[WATERMARK_MS])

    @property
    def purchases(self) -> int:
        """The purchases by which records grew so far: a measure of how much has changed."""
        return int(self._popularity.totals[PURCHASES])

    def _make_room(self) -> None:
        if len(self.items) > len(self._versions):
            capacity = 2 * len(self.items)
            self._popularity = grow_popularity(self._popularity, capacity)
            versions = np.full(capacity, -1, np.int64)
            versions[: len(self._versions)] = self._versions
            self._versions = versions

    def move_on(self, time_ms: int) -> None:
        """Let days pass until an event time."""
        move_on(self._popularity, time_ms)

    def put(self, records: Sequence[ItemPopularity]) -> None:
        """Take in records in order; a record that is older than what is known of its item is skipped."""
        if not records:
            return
        numbers: list[int] = [self.items.number(record.item_id) for record in records]
        self.changes += 1
        self._make_room()
        heads = _heads(numbers, records)
        ends = np.cumsum([len(record.purchases) for record in records])
        recent = np.array([r.recent_buyers * decay_weight(r.as_of_ms // 60_000) for r in records])
        counts = np.array([count for record in records for count in record.purchases], np.int64)
        self.customers = int(
            _put(self._popularity, self._versions, heads, recent, ends, counts, self.customers)
        )

    def remove(self, item_id: str) -> None:
        """Remove what is known of an item, as nothing is published of it any more."""
        number = self.items.get(item_id)
        if number is not None and number < len(self._versions) and self._versions[number] >= 0:
            version = int(self._versions[number])
            self.put([ItemPopularity(item_id, 0, version, 0, 0, [], 0, 0.0, (0, 0, 0), self.customers)])
            self._versions[number] = -1

    def offer(self, item_id: str, *, available: bool) -> bool:
        """Note whether an item can be bought; return whether that is new."""
        number = self.items.get(item_id)
        if number is None and available:
            return False  # items are available by default, so an unknown item needs no number
        number = self.items.number(item_id)
        self._make_room()
        if self._popularity.available[number] == available:
            return False
        self._popularity.available[number] = available
        return True


def _heads(numbers: list[int], records: Sequence[ItemPopularity]) -> npt.NDArray[np.int64]:
    return np.array([
        (n, r.as_of_ms, r.version, r.buyers, r.newest_day, r.first_days, *r.repeats, r.customers)
        for n, r in zip(numbers, records, strict=True)
    ], np.int64)  # fmt: skip


@kernel
def _put(
    p: Popularity, versions: npt.NDArray[np.int64], heads: npt.NDArray[np.int64],
    recent_buyers: npt.NDArray[np.float64], ends: npt.NDArray[np.int64], counts: npt.NDArray[np.int64],
    customers: int,
) -> int:  # fmt: skip
    """Take in records; return the number of customers by the newest record.

    `heads` has the whole numbers of `ItemPopularity` in columns, `counts` the purchases; `recent_buyers` are
    as of the landmark.
    """
    start = 0
    for i in range(len(heads)):
        stop = ends[i]
        item, as_of_ms = heads[i, 0], heads[i, 1]
        if heads[i, 2] < versions[item]:
            start = stop
            continue
        versions[item] = heads[i, 2]
        if as_of_ms >= p.totals[WATERMARK_MS]:
            move_on(p, as_of_ms)
            customers = heads[i, 9]
        newest = p.totals[WATERMARK_MS] // DAY_MS
        before, sold, recent = 0, 0, 0
        for d in range(DAYS):
            before += int(p.days[item, d])
            p.days[item, d] = 0
        for j in range(min(stop - start, DAYS)):
            day = heads[i, 4] - j
            if newest - DAYS < day <= newest:
                p.days[item, day % DAYS] = np.uint32(counts[start + j])
                sold += counts[start + j]
                if day > newest - RECENT_DAYS:
                    recent += counts[start + j]
        p.recent[item] = recent
        p.totals[BUYERS] += heads[i, 3] - p.buyers[item]
        p.totals[PURCHASES] += abs(sold - before)
        p.buyers[item] = heads[i, 3]
        p.first_days[item], p.recent_buyers[item] = heads[i, 5], recent_buyers[i]
        p.repeats[item, 0], p.repeats[item, 1], p.repeats[item, 2] = heads[i, 6], heads[i, 7], heads[i, 8]
        start = stop
    return customers
