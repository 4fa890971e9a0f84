"""Bestsellers and trending lists are compared with a count over the whole log."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from state.customers.events import Event
from state.memory.ids import Dictionary
from state.memory.item_ids import AnyIds
from state.messages.deltas import Source, decode, encode
from state.popularity import counts as pop
from state.popularity.bestsellers import EVERYTHING, Bestseller, BestsellerList, Bestsellers
from state.settings import CountingSettings
from tests.events import as_event, real_slice
from tests.oracles.counts import Oracle, sellers
from tests.state.machines import START_MS, Run, shop

DAY = pop.DAY_MS
CATALOGUE = Source(1, 0)


def category_of(item: str) -> int:
    return int(item[1:]) % 5  # 0 means that it has none


def categories(items: AnyIds, of: Callable[[str], int] = category_of) -> npt.NDArray[np.int32]:
    return np.array([of(item) for item in items], np.int32)


def check(
    found: dict[BestsellerList, list[Bestseller]], expected: dict[BestsellerList, list[Bestseller]]
) -> None:  # fmt: skip
    assert found.keys() == expected.keys()
    for board, best in expected.items():
        assert [s[:2] for s in found[board]] == [s[:2] for s in best], board
        rises = [s.rise for s in found[board]]
        assert rises == (pytest.approx([s.rise for s in best]) if board.trending else [None] * len(best))


@pytest.mark.parametrize("step_days", [0.02, 0.3, 2.0, 12.0])
@pytest.mark.parametrize("most", [4, 100])
def test_lists_of_a_random_stream(step_days: float, most: int) -> None:
    """The stream has late events, jumps of weeks, and items that disappear and come back."""
    rng = random.Random(f"{step_days} {most}")
    p, items, now = pop.new_popularity(64), Dictionary(), 17_000 * DAY
    names = [f"i{n}" for n in range(60)]
    rng.shuffle(names)
    gone: set[str] = set()
    purchases: list[tuple[str, int]] = []
    lists = Bestsellers(most)
    for n in range(1200):
        now += int(rng.random() * step_days * DAY) if rng.random() < 0.97 else rng.randrange(40) * DAY
        late = int(rng.random() ** 4 * 40 * DAY) if rng.random() < 0.4 else 0
        purchases.append((names[min(int(rng.expovariate(0.07)), 59)], now - late))
        pop.add_purchase(p, items.number(purchases[-1][0]), purchases[-1][1])
        if rng.random() < 0.05:
            gone ^= {rng.choice(names)}
        if n % 60 == 0:
            p.available[: len(items)] = [name not in gone for name in items]
            before = dict(lists.lists)
            changed = lists.update(p, items, categories(items))
            newest_ms = max(t for _, t in purchases)
            check(lists.lists, sellers(purchases, newest_ms, gone, category_of, most))
            different = {b for b in before.keys() | lists.lists if before.get(b) != lists.lists.get(b)}
            assert sorted(changed) == sorted(different)
            assert lists.update(p, items, categories(items)) == []


def test_ties_go_to_the_smaller_id_in_any_order_of_appearance() -> None:
    names = [f"i{n}" for n in range(30)]
    for seed in range(3):
        p, items = pop.new_popularity(30), Dictionary()
        for name in random.Random(seed).sample(names, 30):
            pop.add_purchase(p, items.number(name), START_MS)
        lists = Bestsellers(7)
        lists.update(p, items, np.zeros(0, np.int32))
        assert [s.item_id for s in lists.lists[BestsellerList(EVERYTHING, False)]] == sorted(names)[:7]
        assert lists.lists[BestsellerList(EVERYTHING, True)][0] == Bestseller("i0", 1, 1.0)
        assert len(lists.lists) == 2


def test_a_list_that_empties_is_a_change() -> None:
    p, items = pop.new_popularity(4), Dictionary()
    pop.add_purchase(p, items.number("tea"), START_MS)
    pop.add_purchase(p, items.number("milk"), START_MS)
    both = np.array([1, 2], np.int32)
    lists = Bestsellers()
    assert len(lists.update(p, items, both)) == 6
    p.available[0] = 0
    assert set(lists.update(p, items, both)) == {BestsellerList(c, t) for c in (0, 1) for t in (False, True)}
    assert BestsellerList(1, False) not in lists.lists
    assert lists.update(p, items, np.array([1, 1], np.int32)) != []  # it changed its category
    assert {board.category for board in lists.lists} == {EVERYTHING, 1}


def test_a_change_behind_the_last_place_does_not_count() -> None:
    p, items = pop.new_popularity(4), Dictionary()
    for name in ("b", "c", "a"):
        pop.add_purchase(p, items.number(name), START_MS)
    pop.add_purchase(p, items.number("a"), START_MS)
    lists = Bestsellers(2)
    lists.update(p, items, np.zeros(0, np.int32))
    pop.add_purchase(p, items.number("d"), START_MS)  # it ties with the last, and "b" stays before it
    assert lists.update(p, items, np.zeros(0, np.int32)) == []


def test_purchases_that_leave_the_two_weeks_are_a_change_though_the_rise_stays() -> None:
    p, items = pop.new_popularity(4), Dictionary()
    pop.add_purchase(p, items.number("tea"), 17_000 * DAY)
    pop.add_purchase(p, items.number("tea"), 17_013 * DAY)
    lists, all_one = Bestsellers(), np.array([1, 2], np.int32)
    lists.update(p, items, all_one)
    (before,) = lists.lists[BestsellerList(1, True)]
    assert before == Bestseller("tea", 2, (1 - 1 / 3) / math.sqrt(4 / 3))
    pop.add_purchase(p, items.number("milk"), 17_014 * DAY)
    assert BestsellerList(1, True) in lists.update(p, items, all_one)
    assert lists.lists[BestsellerList(1, True)] == [before._replace(purchases=1)]


def test_nothing_bought_gives_no_lists() -> None:
    assert Bestsellers().update(pop.new_popularity(4), Dictionary(), np.zeros(0, np.int32)) == []


def _events(name: str) -> list[Event]:
    if name == "shop":
        return shop(71, 6000, 80, 400, late_ms=20 * DAY, forgets=0.001, returns=0.03)
    return [as_event(message) for message in real_slice(30_000)]


@pytest.mark.parametrize("name", ["shop", "real"])
def test_every_view_has_the_same_lists(name: str) -> None:
    """The purchases are real or seeded; each view reads sources in another order, so numbers differ."""
    events = _events(name)
    run = Run.over(events, CountingSettings(window=2), partitions=2, sources=2)
    other = Run.new(CountingSettings(window=2), partitions=3, sources=2)
    sent = [source.apply(source.batch(e for e in events if other.source_of(e.customer_id) == s)).deltas
            for s, source in enumerate(other.customers)]  # fmt: skip
    for deltas in reversed(sent):
        for machine, messages in zip(other.items, deltas, strict=True):
            for message in messages:
                machine.apply(decode(encode(message)))
    other.sharing.share()
    views = [run.sharing.view, other.sharing.view]
    numbers = [[view.items.get(item) for item in views[0].items] for view in views]
    assert numbers[0] != numbers[1]

    oracle = Oracle(2).feed(events)
    gone = {item for item, _ in oracle.recent().most_common(5)}
    of = category_of if name == "shop" else lambda item: int(item) % 300
    expected = sellers(oracle.purchases(), oracle.watermark_ms(), gone, of, 100)
    for view in views:
        for item in gone:
            view.offer(item, available=False)
        lists = Bestsellers()
        lists.update(view.popularity, view.items, categories(view.items, of))
        check(lists.lists, expected)
    assert len(expected[BestsellerList(EVERYTHING, False)]) == 100
    assert len(expected) > 5
