"""Examples are compared with plain Python: histories, targets, counts."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from chronological.examples import (
    DAY_MS,
    QUERY_ITEMS,
    ItemLists,
    Log,
    completing,
    histories,
    log_count,
    predicting,
)
from chronological.fitting import LEAST_BUYERS, well_known

Event = tuple[int, int, int]  # columns: time, customer, item


def events(seed: int, n: int = 4_000, customers: int = 25, items: int = 300) -> list[Event]:
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 80 * DAY_MS, n)
    return list(
        zip(
            times.tolist(),
            rng.integers(0, customers, n).tolist(),
            rng.integers(0, items, n).tolist(),
            strict=True,
        )
    )


def log_of(some: list[Event], items: int = 300) -> Log:
    times, customers, numbers = (np.array(column, np.int64) for column in zip(*some, strict=True))
    return Log.of(customers, numbers, times, items)


def lists(rows: ItemLists) -> list[list[int]]:
    return [rows.items[a:b].tolist() for a, b in zip(rows.start, rows.start[1:], strict=False)]


def newest(some: list[Event], customer: int) -> list[int]:
    """Return a customer's distinct items, the one with the newest event first."""
    last: dict[int, Event] = {}
    for event in some:
        if event[1] == customer:
            last[event[2]] = max(event, last.get(event[2], event))
    return [e[2] for e in sorted(last.values(), reverse=True)][:QUERY_ITEMS]


def test_a_log_is_in_order_and_has_nothing_twice() -> None:
    some = events(1)
    log = log_of([*some, *some[::7]])
    assert list(
        zip(log.times_ms.tolist(), log.customers.tolist(), log.items.tolist(), strict=True)
    ) == sorted(set(some))


def test_histories_are_the_newest_items() -> None:
    some = events(2)
    customers, rows = histories(log_of(some))
    assert customers.tolist() == sorted({c for _, c, _ in some})
    assert lists(rows) == [newest(some, c) for c in customers.tolist()]
    assert rows.lengths().max() == QUERY_ITEMS


@pytest.mark.parametrize("again", [False, True])
def test_targets_follow_the_cutoff(again: bool) -> None:
    some, cutoff = events(3, n=900, customers=40), 50 * DAY_MS
    found = predicting(log_of(some), cutoff, again=again)
    before = [e for e in some if e[0] < cutoff]
    after = [e for e in some if cutoff <= e[0] < cutoff + 14 * DAY_MS]
    expected = {}
    for customer in sorted({c for _, c, _ in before}):
        owned = {i for _, c, i in before if c == customer}
        targets = {i for _, c, i in after if c == customer} - (set() if again else owned)
        if targets:
            expected[customer] = newest(before, customer), sorted(targets), [] if again else sorted(owned)
    assert found.customers.tolist() == list(expected)
    triples = zip(lists(found.history), lists(found.targets), lists(found.unwanted), strict=True)
    assert list(triples) == list(expected.values())
    counts = Counter(i for t, _, i in some if cutoff - 14 * DAY_MS <= t < cutoff)
    assert found.prior.tolist() == pytest.approx([math.log(counts[i] + 0.5) for i in range(300)], rel=1e-6)


def test_completing_a_history_is_to_reproduce_it() -> None:
    some = events(4, n=600)
    found = completing(log_of(some))
    assert lists(found.history) == lists(found.targets) == [newest(some, c) for c in found.customers.tolist()]
    assert not len(found.unwanted.items)
    buyers = Counter(i for _, i in {(c, i) for _, c, i in some})
    assert found.prior.tolist() == pytest.approx([math.log(buyers[i] + 0.5) for i in range(300)], rel=1e-6)


def test_rows_are_taken() -> None:
    rows = ItemLists(np.array([0, 2, 2, 5]), np.array([7, 8, 1, 2, 3]))
    assert lists(rows.take(np.array([2, 0, 1, 2]))) == [[1, 2, 3], [7, 8], [], [1, 2, 3]]
    assert rows.row_of_each().tolist() == [0, 0, 2, 2, 2]
    assert log_count(np.array([0, 3])).tolist() == pytest.approx([math.log(0.5), math.log(3.5)])


def test_only_items_that_several_customers_have() -> None:
    some = events(5, n=500)
    small, kept = well_known(log_of(some))
    buyers = Counter(i for _, i in {(c, i) for _, c, i in some})
    assert kept.tolist() == [i for i in range(300) if buyers[i] >= LEAST_BUYERS]
    assert 0 < len(kept) < 250
    expected = sorted(e for e in set(some) if buyers[e[2]] >= LEAST_BUYERS)
    assert kept[small.items].tolist() == [i for _, _, i in expected]
    assert (small.times_ms.tolist(), small.item_count) == ([t for t, _, _ in expected], len(kept))
