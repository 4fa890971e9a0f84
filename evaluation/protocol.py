"""The question: of k items recommended at a moment, is at least one bought within the days that follow?

Training sees what is strictly before the moment (the cutoff) on one time line for all customers, as a shop
would; a random split of events would let an algorithm learn from the future. The customers asked about have
events before the cutoff and in the `days` from it on. Cutoffs are spread evenly from the middle of the data
to its end less `days`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError

DAY_MS = 86_400_000
NOTHING = -1
"""Fills a row of recommendations where an algorithm has fewer than k."""

Ids = npt.NDArray[np.int32]
OnProgress = Callable[[float], None]
"""Called now and then with the share of a `fit` that is done: 0 to 1."""


def no_progress(_share: float) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class ItemProperties:
    """Categories and brands of items, as columns by item number, "" where unknown."""

    category: Sequence[str]
    brand: Sequence[str]


@dataclass(frozen=True)
class Events:
    """Events as columns, in order of time; returns are not among them.

    Attributes
    ----------
    customer, item : int32[n]
        Numbers from 0.
    time_ms : int64[n]
        Milliseconds since 1970, ascending.
    n_customers, n_items
        The counts of the whole data, which bound the numbers. What is not among the events given to
        `Algorithm.fit` is not known to it.
    catalogue
        The catalogue, if there is one.
    """

    customer: Ids
    item: Ids
    time_ms: npt.NDArray[np.int64]
    n_customers: int
    n_items: int
    catalogue: ItemProperties | None = None

    def __len__(self) -> int:
        return len(self.item)

    def part(self, start: int, stop: int) -> Events:
        """Return the events from `start` to before `stop`."""
        some = slice(start, stop)
        return Events(
            self.customer[some], self.item[some], self.time_ms[some],
            self.n_customers, self.n_items, self.catalogue,
        )  # fmt: skip

    def before(self, moment_ms: int) -> Events:
        """Return what happened strictly before a moment."""
        return self.part(0, int(np.searchsorted(self.time_ms, moment_ms, "left")))

    def between(self, start_ms: int, stop_ms: int) -> Events:
        """Return what happened from `start_ms` to before `stop_ms`."""
        return self.part(*np.searchsorted(self.time_ms, [start_ms, stop_ms], "left").tolist())


class Algorithm(Protocol):
    """An algorithm to evaluate.

    One object is asked about all cutoffs, in order of time: each call of `fit` has the events of the call
    before and those since, so that an algorithm may continue from its state.
    """

    name: str
    progress: OnProgress

    def fit(self, before: Events, cutoff_ms: int) -> None:
        """Learn from the events before the cutoff."""

    def recommend(self, customers: Ids, k: int, *, new_only: bool) -> Ids:
        """Recommend to customers who have events.

        Parameters
        ----------
        customers : int32[n]
            The customers.
        new_only
            Whether to leave out what a customer has.

        Returns
        -------
        int32[n, k]
            Items, best first, each at most once in a row; NOTHING fills up rows with fewer.
        """


@dataclass(frozen=True)
class Asked:
    """The customers asked about at a cutoff, and what they then took.

    Attributes
    ----------
    customers : int32[n]
        The customers.
    answers : list of int32[m]
        For each customer the distinct items that count as hits; it may be empty if only new ones count.
    """

    cutoff_ms: int
    customers: Ids
    answers: list[Ids] = field(repr=False)


def cutoffs(events: Events, count: int, days: int) -> list[int]:
    """Return the moments, evenly spaced.

    Raises
    ------
    EvaluationError
        The data is too short.
    """
    if len(events) == 0:
        raise EvaluationError("there are no events to evaluate on")
    first, last = int(events.time_ms[0]), int(events.time_ms[-1])
    end = last - days * DAY_MS
    if end < (first + last) / 2:
        length = (last - first) / DAY_MS
        raise EvaluationError(
            f"the events span {length:.1f} days: too few to learn from one half and to look {days} days ahead"
            " in the other; choose fewer --days"
        )
    return [int(moment) for moment in np.linspace((first + last) / 2, end, count)]


def asked_at(events: Events, cutoff_ms: int, days: int, *, new_only: bool, most: int, seed: int = 0) -> Asked:
    """Return whom to ask about at a cutoff: customers with events before it and in the `days` from it on.

    If they are more than `most`, it is a random choice of that many.
    """
    before = events.before(cutoff_ms)
    after = events.between(cutoff_ms, cutoff_ms + days * DAY_MS)
    known = np.zeros(events.n_customers, np.bool_)
    known[before.customer] = True
    customers = np.unique(after.customer[known[after.customer]])
    if len(customers) > most:
        customers = np.sort(np.random.default_rng(seed).choice(customers, most, replace=False))
    pairs = distinct_pairs(after, customers)
    if new_only:
        pairs = np.setdiff1d(pairs, distinct_pairs(before, customers), assume_unique=True)
    owners, items = np.divmod(pairs, max(events.n_items, 1))
    starts = np.searchsorted(owners, np.append(customers, events.n_customers))
    answers = [items[a:b].astype(np.int32) for a, b in pairwise(starts.tolist())]
    return Asked(cutoff_ms, customers.astype(np.int32), answers)


def distinct_pairs(events: Events, customers: Ids) -> npt.NDArray[np.int64]:
    """Return the sorted distinct `customer * n_items + item` of some customers."""
    wanted = np.zeros(events.n_customers, np.bool_)
    wanted[customers] = True
    which = wanted[events.customer]
    return np.unique(events.customer[which].astype(np.int64) * events.n_items + events.item[which])
