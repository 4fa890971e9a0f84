"""Popularity: the window of 14 days of event time, late events, and what ranking reads."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from state import popularity as pop

DAY = pop.DAY_MS
FIRST = 17_000 * DAY


def _check(p: pop.Popularity, purchases: list[tuple[int, int]]) -> None:
    newest = max(t for _, t in purchases) // DAY
    expected = Counter(item for item, t in purchases if newest - 14 < t // DAY <= newest)
    assert {i: int(n) for i, n in enumerate(p.recent) if n} == dict(expected)
    for days, last in ((3, newest), (7, newest), (28, newest), (21, newest - 7)):
        expected = Counter(item for item, t in purchases if last - days < t // DAY <= last)
        found = {item: pop.purchases_of(p, item, last, days) for item in range(16)}
        assert {item: n for item, n in found.items() if n} == dict(expected), days
    first: dict[int, int] = {}
    for item, t in purchases:
        first[item] = min(first.get(item, t // DAY), t // DAY)
    assert p.first_day.tolist() == [first.get(item, pop.NEVER) for item in range(16)]
    assert p.totals[pop.WATERMARK_MS] == max(t for _, t in purchases)
    assert p.totals[pop.PURCHASES] == len(purchases)


@pytest.mark.parametrize("step_days", [0.01, 0.5, 3.0, 20.0])
def test_the_window_moves_with_the_newest_event(step_days: float) -> None:
    rng = random.Random(int(step_days * 100))
    p, purchases, now = pop.new_popularity(16), [], FIRST
    for n in range(600):
        now += int(rng.random() * step_days * DAY)
        late = int(rng.random() ** 4 * 30 * DAY) if rng.random() < 0.4 else 0
        purchases.append((rng.randrange(16), now - late))
        pop.add_purchase(p, *purchases[-1])
        if n % 37 == 0:
            _check(p, purchases)
    _check(p, purchases)


def test_a_day_counts_until_the_fourteenth_after_it() -> None:
    p = pop.new_popularity(2)
    pop.add_purchase(p, 0, FIRST)
    pop.add_purchase(p, 1, FIRST + 14 * DAY - 1)
    assert p.recent.tolist() == [1, 1]
    pop.add_purchase(p, 1, FIRST + 14 * DAY)
    assert p.recent.tolist() == [0, 2]


def test_an_event_later_than_the_window_does_not_count() -> None:
    p = pop.new_popularity(1)
    pop.add_purchase(p, 0, FIRST + 14 * DAY)
    pop.add_purchase(p, 0, FIRST)
    assert p.recent[0] == 1
    pop.add_purchase(p, 0, FIRST + DAY)
    assert p.recent[0] == 2


def test_growing_keeps_everything() -> None:
    p = pop.new_popularity(3)
    for n in range(20):
        pop.add_purchase(p, n % 3, FIRST + n * DAY // 2)
    p.buyers[:] = 1, 2, 3
    p.available[1] = 0
    pop.refresh(p, 3)
    grown = pop.grow_popularity(p, 10)
    p.repeats[:] = np.arange(9).reshape(3, 3)
    grown = pop.grow_popularity(p, 10)
    for name in ("buyers", "recent", "days", "first_day", "repeats", "available", "positions", "roots"):
        np.testing.assert_array_equal(getattr(p, name), getattr(grown, name)[:3], name)
    assert grown.available[3:].all()
    for name in ("positions", "roots"):
        np.testing.assert_array_equal(getattr(grown, name)[3:], getattr(pop.new_popularity(7), name), name)


def test_what_ranking_reads_is_stale_after_one_buyer_in_200() -> None:
    p = pop.new_popularity(1)
    p.totals[pop.BUYERS] = 10_000
    assert pop.is_stale(p)
    pop.refresh(p, 1)
    assert not pop.is_changed(p)
    for buyers, stale in ((10_050, False), (9_951, False), (10_051, True), (9_950, True)):
        p.totals[pop.BUYERS] = buyers
        assert pop.is_stale(p) == stale
        assert pop.is_changed(p)


def test_what_ranking_reads_is_stale_when_a_day_begins() -> None:
    p = pop.new_popularity(2)
    pop.add_purchase(p, 0, FIRST)
    p.totals[pop.BUYERS] = 10_000
    pop.refresh(p, 2)
    pop.add_purchase(p, 0, FIRST + DAY - 1)
    assert not pop.is_stale(p)
    pop.add_purchase(p, 1, FIRST + DAY)
    assert pop.is_stale(p)
    pop.refresh(p, 2)
    assert not pop.is_stale(p)


def test_a_buyer_taken_back_is_a_change_though_another_comes() -> None:
    p = pop.new_popularity(2)
    p.buyers[:] = 400, 600
    p.totals[pop.BUYERS] = 1_000
    pop.refresh(p, 2)
    before = p.positions.copy()
    pop.take_back(p, 0)
    pop.refresh_item(p, 0)
    p.buyers[0] += 1  # of another customer, in another order
    p.totals[pop.BUYERS] += 1
    assert pop.is_changed(p)
    assert not pop.is_stale(p)
    for _ in range(6):
        pop.take_back(p, 1)
    assert pop.is_stale(p)
    p.buyers[1] += 6
    p.totals[pop.BUYERS] += 6
    assert not pop.is_stale(p)
    pop.refresh(p, 2)
    assert not pop.is_changed(p)
    np.testing.assert_array_equal(p.positions, before)


def test_an_unavailable_item_is_marked_for_ranking() -> None:
    p = pop.new_popularity(1)
    pop.add_purchase(p, 0, FIRST)
    pop.refresh_item(p, 0)
    assert p.roots[0] == pytest.approx(1.5**0.5)
    p.available[0] = 0
    pop.refresh_item(p, 0)
    assert p.roots[0] == -1
