"""Co-occurrence: how many customers have two items near one another in their histories.

A history has a customer's distinct items in the order of their first events. N_XY counts the customers in
whose history X and Y are at most `window` apart. An item-to-item algorithm computes its score from N_XY; an
item's row keeps the `NEIGHBOURS` best positive scores (fewer in a catalogue of over 150,000 items), which
bounds memory. A customer is recommended the items with the largest sum of scores over the newest
`QUERY_ITEMS` items of the history.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from evaluation.histories import Distinct, newest
from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring
from state.memory.arrays import kernel

WINDOW = 50
QUERY_ITEMS = 120
NEIGHBOURS = 1_000
ENTRIES = 150_000_000  # of all rows: 1.2 GB
AT_ONCE = 8_000_000  # entries of rows counted at once

Longs = npt.NDArray[np.int64]


class CooccurrenceRows(NamedTuple):
    """The rows of the counts of items first .. last, with one entry per pair.

    Attributes
    ----------
    starts : int64[last - first + 1]
        Where each row's entries begin.
    x, y, count : int64[n]
        The row's item, the neighbour, N_XY.
    """

    first: int
    last: int
    starts: Longs
    x: Longs
    y: Longs
    count: Longs


@kernel
def _count_rows(
    first: int, last: int, places: Longs, place_starts: Longs, items: Ids, begins: Longs, ends: Longs,
    window: int, counts: Ids, touched: Longs, starts: Longs, y: Longs, count: Longs,
) -> None:  # fmt: skip
    """Count row after row in `counts`, which has an element per item and is zero before and after."""
    n = 0
    for x in range(first, last):
        starts[x - first] = n
        n_touched = 0
        for at in range(place_starts[x], place_starts[x + 1]):
            place = places[at]
            for near in range(max(begins[place], place - window), min(ends[place], place + window + 1)):
                if near != place:
                    item = np.int64(items[near])
                    if counts[item] == 0:
                        touched[n_touched] = item
                        n_touched += 1
                    counts[item] += 1
        found = touched[:n_touched]
        found.sort()
        for item in found:
            y[n], count[n] = item, counts[item]
            counts[item] = 0
            n += 1
    starts[last - first] = n


def rows(histories: Distinct, n_items: int, window: int = WINDOW) -> Iterator[CooccurrenceRows]:
    """Yield the counts of all items, some rows at a time.

    Parameters
    ----------
    histories
        The histories, in order of first events.
    """
    places = np.argsort(histories.item, kind="stable")
    place_starts = np.searchsorted(histories.item[places], np.arange(n_items + 1))
    begins, ends = histories.starts[histories.customer], histories.starts[histories.customer + 1]
    sizes = np.bincount(histories.item, opportunities(histories, window), n_items)
    upto = np.cumsum(np.minimum(sizes, n_items)).astype(np.int64)
    counts, touched = np.zeros(n_items, np.int32), np.empty(n_items, np.int64)
    first = 0
    while first < n_items:
        before = upto[first - 1] if first else 0
        last = max(int(np.searchsorted(upto, before + AT_ONCE, "right")), first + 1)
        room = int(upto[last - 1] - before)
        starts, y, count = (
            np.empty(last - first + 1, np.int64),
            np.empty(room, np.int64),
            np.empty(room, np.int64),
        )
        _count_rows(
            first, last, places, place_starts, histories.item, begins, ends, window, counts, touched,
            starts, y, count,
        )  # fmt: skip
        x = np.repeat(np.arange(first, last), np.diff(starts))
        yield CooccurrenceRows(first, last, starts, x, y[: starts[-1]], count[: starts[-1]])
        first = last


def opportunities(histories: Distinct, window: int = WINDOW) -> Longs:
    """Return int64[n]: for each item of each history, how many items it is near to."""
    rank = np.arange(len(histories.item)) - histories.starts[histories.customer]
    length = np.diff(histories.starts)[histories.customer]
    sizes: Longs = np.minimum(rank, window) + np.minimum(length - 1 - rank, window)
    return sizes


def neighbours(n_items: int) -> int:
    """Return how many entries of a row are kept."""
    return max(min(NEIGHBOURS, ENTRIES // max(n_items, 1)), 20)


@kernel
def _keep(scores: Scores, y: Longs, starts: Longs, most: int, at: Longs, into_y: Ids, into: Scores) -> None:
    """Copy the best of each row one after the other; `at` gets where rows begin."""
    n = 0
    for row in range(len(starts) - 1):
        at[row] = n
        low, high = starts[row], starts[row + 1]
        positive = 0
        for i in range(low, high):
            positive += scores[i] > 0.0
        if positive == 0:
            continue
        least, equal = 0.0, most
        if positive > most:
            some = scores[low:high]
            least = np.partition(some, len(some) - most)[len(some) - most]
            for i in range(low, high):
                equal -= scores[i] > least  # so many of those that equal the least are kept
        for i in range(low, high):
            if scores[i] > least or (scores[i] == least and least > 0.0 and equal > 0):
                equal -= scores[i] == least
                into_y[n], into[n] = y[i], scores[i]
                n += 1
    at[len(starts) - 1] = n


def keep_best(scores: Scores, y: Longs, starts: Longs, n_items: int, most: int) -> sparse.csr_matrix:
    """Keep of each row the `most` best positive scores; of equal ones the first."""
    room = int(np.minimum(np.diff(starts), most).sum())
    at, columns, kept = np.empty(len(starts), np.int64), np.empty(room, np.int32), np.empty(room, np.float32)
    _keep(scores, y, starts, most, at, columns, kept)
    n = int(at[-1])
    return sparse.csr_matrix((kept[:n].copy(), columns[:n].copy(), at), shape=(len(starts) - 1, n_items))


@kernel
def _add_rows(
    customers: Ids, of: Longs, query: Ids, starts: Longs, y: Ids, scores: Scores, into: Scores
) -> None:  # fmt: skip
    for n in range(len(customers)):
        for at in range(of[customers[n]], of[customers[n] + 1]):
            for i in range(starts[query[at]], starts[query[at] + 1]):
                into[n, y[i]] += scores[i]


def sums(customers: Ids, query: sparse.csr_matrix, similar: sparse.csr_matrix) -> Scores:
    """Return, per customer, the sum of the rows of `similar` that `query` (customers x items) has.

    It is float64[n, items], the product of the two; but the result is dense, which is much faster to add to.
    """
    into = np.zeros((len(customers), similar.shape[1]))
    of, starts = query.indptr.astype(np.int64), similar.indptr.astype(np.int64)
    _add_rows(customers, of, query.indices, starts, similar.indices, similar.data, into)
    return into


class ItemToItem(Scoring):
    """An item-to-item algorithm, defined by its score of a pair."""

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Count, score, and keep the best of each row."""
        del cutoff_ms  # all events count alike
        histories = Distinct.of(before)
        self.prepare(histories, before.n_items)
        kept = []
        for some in rows(histories, before.n_items):
            scores, most = self.pair_scores(some), neighbours(before.n_items)
            kept.append(keep_best(scores, some.y, some.starts, before.n_items, most))
            self.progress(some.last / before.n_items)
        self._similar = sparse.vstack(kept, "csr")
        self._query = newest(before, QUERY_ITEMS)

    @abstractmethod
    def prepare(self, histories: Distinct, n_items: int) -> None:
        """Learn what `pair_scores` needs in addition to the counts."""

    @abstractmethod
    def pair_scores(self, rows: CooccurrenceRows) -> Scores:
        """Return the scores of the entries, float64[n]."""

    def scores(self, customers: Ids) -> Scores:
        """Return sums over the newest items of the history."""
        return sums(customers, self._query, self._similar)
