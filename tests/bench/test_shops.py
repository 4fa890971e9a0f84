"""Synthetic shops have the properties that their parameters say, and are the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.shops import SHOPS, Shop, events
from evaluation.protocol import DAY_MS, Events, distinct_pairs
from recommending.visits import BREAK_MS

SMALL = Shop(items=300, customers=400, visits=8, basket=3, repeat=0.1, groups=10)


def _baskets(some: Events) -> list[int]:
    """Return the sizes of baskets; a basket is what a customer buys without a break."""
    order = np.lexsort((some.time_ms, some.customer))
    customer, time_ms = some.customer[order], some.time_ms[order]
    begins = (np.diff(customer) != 0) | (np.diff(time_ms) > BREAK_MS)
    sizes: list[int] = np.diff(np.concatenate(([0], np.flatnonzero(begins) + 1, [len(some)]))).tolist()
    return sizes


def _repeated(some: Events) -> float:
    everyone = np.arange(some.n_customers, dtype=np.int32)
    return 1 - len(distinct_pairs(some, everyone)) / len(some)


def _turnover(some: Events) -> float:
    """Return how far popularity moves in 90 days: half the distance of the shares of two weeks, 0 to 1."""
    first = int(some.time_ms[0]) + 200 * DAY_MS
    shares = []
    for begin in (first, first + 90 * DAY_MS):
        counts = np.bincount(some.between(begin, begin + 14 * DAY_MS).item, minlength=some.n_items)
        shares.append(counts / counts.sum())
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def test_a_shop_is_the_same_for_a_seed_and_another_for_another() -> None:
    one, again, other = events(SMALL, 1), events(SMALL, 1), events(SMALL, 2)
    for name in ("customer", "item", "time_ms"):
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert len(one) != len(other) or not np.array_equal(one.item, other.item)


@pytest.mark.parametrize("name", SHOPS)
def test_a_shop_has_the_sizes_asked_for(name: str) -> None:
    shop = SHOPS[name]
    some = events(shop, 7)
    assert 40_000 <= len(some) <= 420_000
    assert (some.n_customers, some.n_items) == (shop.customers, shop.items)
    assert some.customer.min() >= 0
    assert some.customer.max() < shop.customers
    assert some.item.min() >= 0
    assert some.item.max() < shop.items
    assert (np.diff(some.time_ms) >= 0).all()
    assert (some.time_ms[-1] - some.time_ms[0]) / DAY_MS == pytest.approx(shop.days, abs=3)


def test_the_gift_retailer_is_as_large_as_the_one_it_stands_for() -> None:
    some = events(SHOPS["gift-retailer"], 7)
    assert len(some) == pytest.approx(390_000, rel=0.1)
    assert np.mean(_baskets(some)) == pytest.approx(20, rel=0.2)


def test_baskets_are_tiny_or_huge() -> None:
    assert np.mean(_baskets(events(SHOPS["tiny-baskets"], 7))) < 1.05
    assert np.mean(_baskets(events(SHOPS["huge-baskets"], 7))) > 20


def test_a_few_customers_buy_much() -> None:
    counts = np.sort(np.bincount(events(SMALL, 1).customer))
    assert counts[-40:].sum() > 0.25 * counts.sum()  # a tenth of them


def test_repeats_are_as_many_as_asked_for_and_of_late() -> None:
    shares = [_repeated(events(replace(SMALL, items=20_000, repeat=share), 1)) for share in (0.0, 0.3, 0.6)]
    assert shares[0] < 0.1
    assert shares[0] + 0.15 < shares[1]
    assert shares[1] + 0.15 < shares[2]


def test_popularity_moves_in_a_shop_that_drifts() -> None:
    steady, drifting = _turnover(events(SHOPS["steady"], 7)), _turnover(events(SHOPS["drifting"], 7))
    assert drifting > steady + 0.2


def _concentration(some: Events) -> float:
    """Return how often the same pairs are neighbours in baskets, relative to chance: 1 means by chance."""
    same = (some.customer[1:] == some.customer[:-1]) & (np.diff(some.time_ms) <= BREAK_MS)
    one, other = some.item[1:][same], some.item[:-1][same]
    squares = []
    for y in (other, np.random.default_rng(1).permutation(other)):
        _, counts = np.unique(one[one != y].astype(np.int64) * some.n_items + y[one != y], return_counts=True)
        squares.append(((counts / counts.sum()) ** 2).sum())
    return float(squares[0] / squares[1])


def test_items_of_a_basket_go_together_more_than_by_chance() -> None:
    alike = replace(SMALL, groups=1, companions=0.0)
    assert _concentration(events(alike, 1)) == pytest.approx(1, abs=0.1)
    assert _concentration(events(replace(alike, companions=0.3), 1)) > 1.5
    assert _concentration(events(replace(alike, groups=10), 1)) > 1.15


def test_a_season_sells_at_its_time_of_year() -> None:
    shop = replace(SMALL, seasonal=1.0, repeat=0.0, companions=0.0, visits=30)
    some = events(shop, 1)
    angle = (some.time_ms - some.time_ms[0]) / DAY_MS * 2 * np.pi / 365
    item = int(np.bincount(some.item).argmax())
    of_item = np.abs(np.exp(1j * angle[some.item == item]).mean())
    # 1 means all on one day of the year, 0 at any time
    assert of_item > np.abs(np.exp(1j * angle).mean()) + 0.3
