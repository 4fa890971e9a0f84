"""Find which items are considered for a customer, and their features.

From the lists of the newest 120 items of the history come the best by z_n, by z_f and by how often they are
bought afterwards (times popularity). Further candidates are the items that a chronological network predicts,
if there is one, and the bestsellers of 3 and of 14 days. Of the customer's own items, those that were bought
most of late and most in all are candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending import features, tastes
from recommending.buffers import AFTER, PLACE_BITS, Z_F, Z_N, E, Scratch, Sums, begin
from recommending.gathering import gather, newest_first, weights
from recommending.related_lists import ListArrays
from recommending.tastes import Tastes
from state.memory.arrays import address_of, kernel, prefetch
from state.memory.entries import decay_weight
from state.popularity import counts as pop
from state.popularity.counts import DAY_MS, WATERMARK_MS, Popularity

OF_LISTS = 70  # candidates by each of three orders
OF_BESTSELLERS = 60  # candidates of each of two windows
OF_OWN_RECENT, OF_OWN_DAYS = 100, 60
OF_PREDICTED = 30
MOST = 3 * OF_LISTS + OF_PREDICTED + 2 * OF_BESTSELLERS + OF_OWN_RECENT + OF_OWN_DAYS

RELATED, BESTSELLER, OWN, PREDICTED = range(4)
CONSIDERED = (1 << PLACE_BITS) - 1  # the place of an item that is not owned, but a candidate


class History(NamedTuple):
    """A customer's items as columns; `item` has numbers of the related lists, -1 for an unknown item."""

    item: npt.NDArray[np.int32]
    first_ms: npt.NDArray[np.int64]
    last_ms: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    recent: npt.NDArray[np.float64]


class Candidates(NamedTuple):
    """The candidates in arrays [n] and [n, features]; `OWN_FEATURES` are 0 for items that are not owned."""

    item: npt.NDArray[np.int32]  # numbers of the related lists
    x: npt.NDArray[np.float64]
    source: npt.NDArray[np.uint8]  # RELATED, BESTSELLER, OWN, PREDICTED
    place: npt.NDArray[np.int32]  # in the sums, -1 for one that is in no list


class BestsellerNumbers(NamedTuple):
    """Bestsellers as numbers of the related lists, best first."""

    of_3_days: npt.NDArray[np.int32]
    of_14_days: npt.NDArray[np.int32]


@kernel
def number_of(to_popularity: npt.NDArray[np.int32], item: int) -> int:
    """Return an item's number in the popularity, -1 if it has none or is newer than `to_popularity`."""
    return np.int64(to_popularity[item]) if item < len(to_popularity) else -1


@kernel
def bestsellers(
    p: Popularity, to_popularity: npt.NDArray[np.int32], days: int, most: int
) -> npt.NDArray[np.int32]:
    """Return the available items of the related lists with the most purchases in the newest `days` days."""
    newest = np.int64(p.totals[WATERMARK_MS]) // DAY_MS
    n = len(to_popularity)
    counts = np.zeros(n, np.int64)
    for item in range(n):
        number = np.int64(to_popularity[item])
        if number >= 0 and p.available[number] and p.recent[number] > 0:
            counts[item] = (
                p.recent[number] if days == pop.RECENT_DAYS else pop.purchases_of(p, number, newest, days)
            )
    order = np.argsort(-counts, kind="mergesort")[:most]
    return order[counts[order] > 0].astype(np.int32)


@kernel
def _numbers(
    candidates: npt.NDArray[np.int32], to_popularity: npt.NDArray[np.int32], p: Popularity
) -> npt.NDArray[np.int64]:
    """Return the candidates' numbers in the popularity, and prefetch what `find` reads of it."""
    numbers = np.empty(len(candidates), np.int64)
    recent_at, available_at = address_of(p.recent), address_of(p.available)
    for i in range(len(candidates)):
        number = number_of(to_popularity, np.int64(candidates[i]))
        numbers[i] = number
        if number >= 0:
            prefetch(recent_at + 8 * number)
            prefetch(available_at + number)
    return numbers


@kernel
def _least_of_best(values: npt.NDArray[np.float64], most: int) -> float:
    """Return the least value that is among the `most` best; it is at least the smallest positive value."""
    if len(values) <= most:
        return 1e-12
    return max(np.partition(values, len(values) - most)[len(values) - most], 1e-12)


@kernel
def find(
    a: ListArrays, p: Popularity, to_popularity: npt.NDArray[np.int32], scratch: Scratch, owned: Scratch,
    sums: Sums, t: Tastes, best: BestsellerNumbers, predicted: npt.NDArray[np.int32], history: History,
    now_ms: int, customers: int, allowed: npt.NDArray[np.uint8], unowned: bool, own: bool,
) -> Candidates:  # fmt: skip
    """Return the candidates for a history at a moment.

    Parameters
    ----------
    to_popularity
        The number in the popularity of each item of the related lists, -1 if it has none.
    scratch, owned, sums
        Buffers.
    predicted
        Items that a chronological network predicts, best first; all are allowed and not owned.
    allowed
        For each item of the related lists whether it may be offered; empty: all may.
    unowned, own
        Whether to look for items that the customer does not have, and for those the customer has.
    """
    inverse = 1.0 / decay_weight(now_ms // 60_000)
    order = newest_first(history.last_ms)
    query = history.item[order]
    q = weights(history.last_ms[order], now_ms)
    recent_buyers = np.zeros(len(query))
    for h in range(len(query)):
        number = number_of(to_popularity, np.int64(query[h])) if query[h] >= 0 else -1
        if number >= 0:
            recent_buyers[h] = max(p.recent_buyers[number], 0.0) * inverse
    n_sums = gather(a, scratch, sums, query, q, recent_buyers, inverse, customers)
    tastes.learn(t, query, q)
    # plain local arrays, as in `gather`
    candidate, table, available, recent = sums.item, sums.table, p.available, p.recent
    of_history, marks, mark = history.item, owned.word, begin(owned)
    for h in range(len(of_history)):
        if of_history[h] >= 0:
            marks[of_history[h]] = mark + h
    items = np.empty(MOST, np.int32)
    sources = np.empty(MOST, np.uint8)
    n = np.int64(0)
    if unowned:
        numbers = _numbers(candidate[:n_sums], to_popularity, p)
        of_sums, sums_epoch = scratch.word, scratch.epoch[0]
        for h in range(len(of_history)):
            if of_history[h] >= 0 and of_sums[of_history[h]] >= sums_epoch:
                numbers[of_sums[of_history[h]] - sums_epoch] = -1
        by_n, by_f, directed = np.empty(n_sums), np.empty(n_sums), np.empty(n_sums)
        for i in range(n_sums):
            number = numbers[i]
            fits = number >= 0 and available[number]
            if fits and len(allowed) > 0:
                fits = allowed[candidate[i]] > 0
            if fits:
                lift = (table[i, AFTER] + 1.0) / (table[i, E] / 2.0 + 1.0)
                directed[i] = lift * np.sqrt(recent[number] + 0.5)
                by_n[i], by_f[i] = table[i, Z_N], table[i, Z_F]
            else:
                directed[i] = by_n[i] = by_f[i] = -1.0
        wanted = np.int64(OF_LISTS)
        least_n, least_f = _least_of_best(by_n, wanted), _least_of_best(by_f, wanted)
        least_d = _least_of_best(directed, wanted)
        for i in range(n_sums):
            chosen = by_n[i] >= least_n or by_f[i] >= least_f or directed[i] >= least_d
            if chosen and n < 3 * OF_LISTS:
                n = _consider(items, sources, n, marks, mark, np.int64(candidate[i]), np.int64(RELATED))
        for item in predicted[:OF_PREDICTED]:
            if not available[to_popularity[item]]:  # not any more
                continue
            n = _consider(items, sources, n, marks, mark, np.int64(item), np.int64(PREDICTED))
        for window in range(2):
            most = n + OF_BESTSELLERS
            for item in best.of_3_days if window == 0 else best.of_14_days:
                if n == most:
                    break
                if len(allowed) > 0 and not allowed[item]:
                    continue
                if not available[to_popularity[item]]:  # not any more
                    continue
                n = _consider(items, sources, n, marks, mark, np.int64(item), np.int64(BESTSELLER))
    if own:
        n = _add_own(items, sources, n, p, to_popularity, history, now_ms, allowed)
    x = np.zeros((n, features.N_ALL))
    places, numbers = np.full(n, -1, np.int32), np.empty(n, np.int64)
    words, epoch = scratch.word, scratch.epoch[0]
    for i in range(n):
        item = np.int64(items[i])
        numbers[i] = number_of(to_popularity, item)
        if words[item] >= epoch:
            places[i] = words[item] - epoch
    features.fill(x, p, numbers, sums, places, t, items[:n], inverse)
    for i in range(n):
        item, number = np.int64(items[i]), numbers[i]
        if sources[i] == OWN:
            h = marks[item] - mark
            features.fill_own(
                x[i, features.N_NEW :], p, number, history.first_ms[h], history.last_ms[h], history.days[h],
                history.recent[h], now_ms,
            )  # fmt: skip
    tastes.forget(t, query)
    return Candidates(items[:n].copy(), x, sources[:n].copy(), places)


@kernel
def _consider(
    items: npt.NDArray[np.int32], sources: npt.NDArray[np.uint8], n: int, marks: npt.NDArray[np.int64],
    mark: int, item: int, source: int,
) -> int:  # fmt: skip
    """Put an item behind the other candidates, and mark it, if it is neither owned nor among them.

    Return their number.
    """
    if marks[item] < mark:
        marks[item] = mark + CONSIDERED
        items[n], sources[n] = item, source
        n += 1
    return n


@kernel
def _add_own(
    items: npt.NDArray[np.int32], sources: npt.NDArray[np.uint8], n: int, p: Popularity,
    to_popularity: npt.NDArray[np.int32], history: History, now_ms: int, allowed: npt.NDArray[np.uint8],
) -> int:  # fmt: skip
    """Put the customer's own items that were bought most of late, and most in all, behind the other
    candidates.
    """
    n_own = len(history.item)
    often, days = np.full(n_own, -1.0), np.full(n_own, -1.0)
    for h in range(n_own):
        item = np.int64(history.item[h])
        if item < 0:
            continue
        number = number_of(to_popularity, item)
        if number < 0 or not p.available[number]:
            continue
        if len(allowed) > 0 and not allowed[item]:
            continue
        since = max(now_ms - history.last_ms[h], 0) / (30.0 * DAY_MS)
        often[h] = history.recent[h] * np.exp(-since)
        days[h] = history.days[h] + np.exp(-since)
    least_often = _least_of_best(often, np.int64(OF_OWN_RECENT))
    least_days = _least_of_best(days, np.int64(OF_OWN_DAYS))
    most = n + OF_OWN_RECENT + OF_OWN_DAYS
    for h in range(n_own):
        if n < most and (often[h] >= least_often or days[h] >= least_days) and days[h] > 0.0:
            items[n], sources[n] = history.item[h], OWN
            n += 1
    return n
