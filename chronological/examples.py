"""Logs of events as columns, and examples cut from them: what customers had before a moment, and bought then.

Histories are flat: the distinct items before the cutoff, the newest 120 by their newest event, all alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

DAY_MS = 86_400_000
WINDOW_DAYS = 14
QUERY_ITEMS = 120

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Events in order of time.

    Attributes
    ----------
    customers, items : int64[n]
        Numbers from 0; items are below `item_count`.
    times_ms : int64[n]
        The event times, ascending.
    """

    customers: Ints
    items: Ints
    times_ms: Ints
    item_count: int

    @staticmethod
    def of(customers: Ints, items: Ints, times_ms: Ints, item_count: int) -> Log:
        """Return a log of events given in any order; equal events with equal times count once."""
        rows = np.lexsort((items, customers, times_ms))
        c, i, t = customers[rows], items[rows], times_ms[rows]
        again = (np.diff(c) == 0) & (np.diff(i) == 0) & (np.diff(t) == 0)
        kept = np.concatenate([np.ones(min(len(c), 1), np.bool_), ~again])
        return Log(c[kept], i[kept], t[kept], item_count)

    def before(self, cutoff_ms: int) -> Log:
        """Return the events before a moment."""
        end = int(np.searchsorted(self.times_ms, cutoff_ms))
        return Log(self.customers[:end], self.items[:end], self.times_ms[:end], self.item_count)

    def counts(self, start_ms: int, end_ms: int) -> Ints:
        """Return int64[items]: the events of each item from start to before end."""
        rows = slice(*np.searchsorted(self.times_ms, (start_ms, end_ms)))
        return np.bincount(self.items[rows], minlength=self.item_count)

    def buyers(self) -> Ints:
        """Return int64[items]: the number of customers who have each item."""
        pairs = np.unique(self.customers * self.item_count + self.items)
        return np.bincount(pairs % self.item_count, minlength=self.item_count)


class ItemLists(NamedTuple):
    """A list of items per customer: those of customer r are items[start[r] : start[r + 1]]."""

    start: Ints
    items: Ints

    def __len__(self) -> int:
        return len(self.start) - 1

    def lengths(self) -> Ints:
        """Return the length of each list, int64[rows]."""
        return np.diff(self.start)

    def take(self, rows: Ints) -> ItemLists:
        """Return some of the rows, in the order given."""
        lengths = self.lengths()[rows]
        start = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(start[-1]) + np.repeat(self.start[rows] - start[:-1], lengths)
        return ItemLists(start, self.items[at])

    def row_of_each(self) -> Ints:
        """Return int64[items in all rows]: the row of each item."""
        return np.repeat(np.arange(len(self)), self.lengths())


@dataclass(frozen=True)
class Examples:
    """What some customers had, and what the network shall predict for them.

    Attributes
    ----------
    history, targets
        A row per customer, none empty; `unwanted` has items that cannot be a target.
    prior : float32[items]
        The log of how often each item is bought, which is the bias of the output.
    customers : int64[rows]
        The customer of each row.
    """

    history: ItemLists
    targets: ItemLists
    unwanted: ItemLists
    prior: npt.NDArray[np.floating[Any]]
    customers: Ints

    def __len__(self) -> int:
        return len(self.history)

    def take(self, rows: Ints) -> Examples:
        """Return the examples of some customers."""
        return Examples(
            self.history.take(rows), self.targets.take(rows), self.unwanted.take(rows), self.prior,
            self.customers[rows],
        )  # fmt: skip

    def digest(self) -> bytes:
        """Return bytes that differ for different examples."""
        parts = (*self.history, *self.targets, *self.unwanted, self.prior, self.customers)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()


def log_count(counts: Ints) -> npt.NDArray[np.float32]:
    """Return the prior of items that are bought so often: log(count + 1/2)."""
    prior: npt.NDArray[np.float32] = np.log(counts + 0.5).astype(np.float32)
    return prior


def histories(log: Log) -> tuple[Ints, ItemLists]:
    """Return the customers of a log, ascending, and the newest items of each, newest first."""
    order = np.lexsort((-np.arange(len(log.items)), log.items, log.customers))
    customers, items = log.customers[order], log.items[order]
    newest = np.ones(len(order), np.bool_)  # of each customer and item the newest event
    newest[1:] = (np.diff(customers) != 0) | (np.diff(items) != 0)
    at = order[newest]
    at = at[np.lexsort((-at, log.customers[at]))]
    names, start, lengths = np.unique(log.customers[at], return_index=True, return_counts=True)
    rank = np.arange(len(at)) - np.repeat(start, lengths)
    at = at[rank < QUERY_ITEMS]
    lengths = np.minimum(lengths, QUERY_ITEMS)
    return names, ItemLists(np.concatenate([[0], np.cumsum(lengths)]), log.items[at])


def predicting(log: Log, cutoff_ms: int, *, again: bool, days: int = WINDOW_DAYS) -> Examples:
    """Return examples of what customers with a history before a cutoff bought in the days after it.

    Parameters
    ----------
    again
        Whether what the customer had already is a target, too.

    Returns
    -------
    Examples
        The examples; the prior is that of the days before the cutoff.
    """
    had = log.before(cutoff_ms)
    customers, history = histories(had)
    rows = slice(len(had.items), int(np.searchsorted(log.times_ms, cutoff_ms + days * DAY_MS)))
    pairs = np.unique(log.customers[rows] * log.item_count + log.items[rows])
    owned = np.unique(had.customers * log.item_count + had.items)
    if not again:
        pairs = np.setdiff1d(pairs, owned, assume_unique=True)
        unwanted = _rows(owned, customers, log.item_count)
    else:
        unwanted = ItemLists(np.zeros(len(customers) + 1, np.int64), np.zeros(0, np.int64))
    targets = _rows(pairs, customers, log.item_count)
    prior = log_count(log.counts(cutoff_ms - days * DAY_MS, cutoff_ms))
    return _with_targets(Examples(history, targets, unwanted, prior, customers))


def completing(log: Log) -> Examples:
    """Return examples of histories that are to be reproduced; the prior is of all time."""
    customers, history = histories(log)
    nothing = ItemLists(np.zeros(len(customers) + 1, np.int64), np.zeros(0, np.int64))
    return Examples(history, history, nothing, log_count(log.buyers()), customers)


def _rows(pairs: Ints, customers: Ints, item_count: int) -> ItemLists:
    """Return the items of each of some customers, from ascending customer * item_count + item."""
    of_customer = pairs // item_count
    at = np.searchsorted(customers, of_customer)
    known = (at < len(customers)) & (customers[np.minimum(at, len(customers) - 1)] == of_customer)
    lengths = np.bincount(at[known], minlength=len(customers))
    return ItemLists(np.concatenate([[0], np.cumsum(lengths)]), pairs[known] % item_count)


def _with_targets(examples: Examples) -> Examples:
    return examples.take(np.flatnonzero(examples.targets.lengths()))
