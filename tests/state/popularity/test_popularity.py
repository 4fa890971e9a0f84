"""Tests of popularity: the window of event time, late events, what is taken back, and what ranking reads."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest

from state.memory.entries import LANDMARK_MINUTE, TAU_MINUTES
from state.popularity import counts as pop

DAY = pop.DAY_MS
FIRST = 17_000 * DAY
ITEMS = 16


class Plain:
    """Plain purchases by buyer and item; the clock advances with every purchase ever made."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int], list[int]] = {}
        self.newest_ms = 0

    def check(self, p: pop.Popularity) -> None:
        purchases = [(item, t) for (_, item), times in self.kept.items() for t in times]
        newest = self.newest_ms // DAY
        expected = Counter(item for item, t in purchases if newest - 14 < t // DAY <= newest)
        assert {i: int(n) for i, n in enumerate(p.recent) if n} == dict(expected)
        for days, last in ((3, newest), (7, newest), (28, newest), (21, newest - 7)):
            expected = Counter(item for item, t in purchases if last - days < t // DAY <= last)
            found = {item: pop.purchases_of(p, item, last, days) for item in range(ITEMS)}
            assert {item: n for item, n in found.items() if n} == dict(expected), days
        firsts: list[list[int]] = [[] for _ in range(ITEMS)]
        for (_, item), times in self.kept.items():
            firsts[item].append(times[0] // DAY)
        assert p.buyers.tolist() == [len(first) for first in firsts]
        assert p.first_days.tolist() == [sum(first) for first in firsts]
        weight = [math.exp((day * 1440 - LANDMARK_MINUTE) / TAU_MINUTES) for day in range(newest + 1)]
        recently = [sum(weight[day] for day in first) for first in firsts]
        assert p.recent_buyers == pytest.approx(recently, rel=1e-9, abs=1e-12 * weight[newest])
        assert not p.recent_buyers[p.buyers == 0].any()
        for item, first in enumerate(firsts):
            mean = sum(first) / len(first) if first else newest
            assert pop.age_days(p, item) == pytest.approx(newest - mean)
        assert p.totals[pop.BUYERS] == len(self.kept)
        assert p.totals[pop.WATERMARK_MS] == self.newest_ms
        assert p.totals[pop.PURCHASES] == len(purchases)


@pytest.mark.parametrize("step_days", [0.01, 0.5, 3.0, 20.0])
def test_additions_are_taken_back(step_days: float) -> None:
    """The window moves on with the newest event meanwhile, and events are late."""
    rng = random.Random(int(step_days * 100))
    p, plain, now = pop.new_popularity(ITEMS), Plain(), FIRST
    for n in range(900):
        now += int(rng.random() * step_days * DAY)
        late = int(rng.random() ** 4 * 30 * DAY) if rng.random() < 0.4 else 0
        key = rng.randrange(9), rng.randrange(ITEMS)
        if rng.random() < 0.4 and plain.kept:
            key = rng.choice(list(plain.kept))
            first, *others = plain.kept.pop(key)
            pop.take_buyer(p, key[1], first // DAY)
            for t in others:
                pop.take_purchases(p, key[1], t // DAY, 1)
        else:
            pop.add_purchase(p, key[1], now - late)
            plain.newest_ms = max(plain.newest_ms, now - late)
            if key not in plain.kept:
                pop.add_buyer(p, key[1], (now - late) // DAY)
            plain.kept.setdefault(key, []).append(now - late)
        if n % 37 == 0:
            plain.check(p)
    plain.check(p)


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
    for name in pop.Popularity._fields[1:]:
        np.testing.assert_array_equal(getattr(p, name), getattr(grown, name)[:3], name)
    assert grown.available[3:].all()
    np.testing.assert_array_equal(grown.roots[3:], pop.new_popularity(7).roots)
    np.testing.assert_array_equal(grown.positions[3:], pop.new_popularity(7).positions)


def test_popularity_for_ranking_is_stale_after_one_buyer_in_200() -> None:
    p = pop.new_popularity(1)
    p.totals[pop.BUYERS] = 10_000
    assert pop.is_stale(p)
    pop.refresh(p, 1)
    assert not pop.is_changed(p)
    for buyers, stale in ((10_050, False), (9_951, False), (10_051, True), (9_950, True)):
        p.totals[pop.BUYERS] = buyers
        assert pop.is_stale(p) == stale
        assert pop.is_changed(p)


def test_popularity_for_ranking_is_stale_when_a_day_begins() -> None:
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
    pop.take_buyer(p, 0, FIRST // DAY)
    pop.refresh_item(p, 0)
    p.buyers[0] += 1  # these belong to another customer, in another order
    p.totals[pop.BUYERS] += 1
    assert pop.is_changed(p)
    assert not pop.is_stale(p)
    for _ in range(6):
        pop.take_buyer(p, 1, FIRST // DAY)
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
