"""Candidates are compared with plain Python, and tested for what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from recommending.candidates import (
    BESTSELLER,
    MOST,
    OF_BESTSELLERS,
    OF_LISTS,
    OWN,
    RELATED,
)
from recommending.catalogue import Filter
from recommending.gathering import newest_first
from recommending.recommender import NO_HISTORY
from tests.oracles import recommending as oracle
from tests.recommending.world import WORLDS, World, build, events_of, world_of


def found_by(
    world: World, customer: str, *, unowned: bool = True, own: bool = True, wanted: Filter | None = None
) -> dict[int, list[str]]:
    """Return the items of each source, in order."""
    recommender = world.recommender
    found = recommender.candidates(recommender.history(customer), unowned=unowned, own=own, wanted=wanted)
    names = world.related.items.ids(found.item.tolist())
    assert len(set(names)) == len(names) == len(found.x) <= MOST
    return {
        source: [name for name, its in zip(names, found.source, strict=True) if its == source]
        for source in (RELATED, BESTSELLER, OWN)
    }


def check(world: World, customer: str, found: dict[int, list[str]], allowed: set[str]) -> None:
    history = world.history(customer)
    owned = {b.item_id for b in history}
    fitting = allowed - world.gone
    must, may = oracle.by_three_orders(world, history, fitting - owned)
    related = set(found[RELATED])
    assert related <= may
    assert must <= related or len(related) == 3 * OF_LISTS
    sellers: list[str] = []
    for days in (3, 14):
        others = (y for y in oracle.bestsellers(world, days) if y in fitting - owned - related)
        sellers += [y for y in others if y not in sellers][:OF_BESTSELLERS]
    assert found[BESTSELLER] == sellers
    must, may = oracle.own(world, history, fitting & owned)
    assert must <= set(found[OWN]) <= may


@pytest.mark.parametrize("name", WORLDS)
def test_candidates_are_the_oracles(name: str) -> None:
    world = world_of(name)
    everything = set(world.related.items)
    for customer in world.some_customers(8):
        check(world, customer, found_by(world, customer), everything)
    history = world.history(world.customers()[0])
    # the item is owned and unavailable, so it is not offered again
    assert {b.item_id for b in history} & world.gone
    assert len([b for b in history if b.item_id not in world.gone]) > len(
        found_by(world, world.customers()[0])[OWN]
    )


@pytest.mark.parametrize("name", WORLDS)
def test_filters_leave_only_allowed_items(name: str) -> None:
    world, customer = world_of(name), world_of(name).customers()[1]
    everything = list(world.related.items)
    for some in (everything[::3], everything[:40], [next(iter(world.gone)), "unheard of"]):
        wanted = Filter(only=frozenset(some))
        check(world, customer, found_by(world, customer, wanted=wanted), set(some) - {"unheard of"})
    without = Filter(without=frozenset(everything[::2]))
    check(world, customer, found_by(world, customer, wanted=without), set(everything[1::2]))


def test_one_side_only() -> None:
    world, customer = world_of("shop"), world_of("shop").customers()[0]
    both = found_by(world, customer)
    assert found_by(world, customer, own=False) == {**both, OWN: []}
    assert found_by(world, customer, unowned=False) == {RELATED: [], BESTSELLER: [], OWN: both[OWN]}
    assert sum(map(len, found_by(world, customer, unowned=False, own=False).values())) == 0


def test_of_an_unknown_customer_there_are_bestsellers() -> None:
    world = world_of("shop")
    found = found_by(world, "nobody")
    assert found[RELATED] == found[OWN] == []
    assert len(found[BESTSELLER]) >= OF_BESTSELLERS
    x = world.recommender.candidates(NO_HISTORY, unowned=True, own=True).x
    assert np.isfinite(x).all()


def test_unavailable_items_are_left_out_at_once() -> None:
    """It may have been a bestseller at the last refresh, and published lists may still have it."""
    world = build(events_of("shop"), list_length=10)
    customer = world.customers()[3]
    before = found_by(world, customer)
    gone = {before[RELATED][0], before[BESTSELLER][0], before[OWN][0]}
    world.take_away(gone)
    world.recommender.synchronise()
    found = found_by(world, customer)
    assert not gone & {item for items in found.values() for item in items}
    world.take_away(gone, available=True)
    assert found_by(world, customer) == before


def test_bestsellers_change_with_the_purchases() -> None:
    from state.customers.events import Event

    world = build(events_of("shop"), list_length=10)
    now = world.counts.now_ms
    world.apply([Event(f"new{n}", "i899", now + n) for n in range(600)])
    assert found_by(world, "nobody")[BESTSELLER][0] == "i899"


def test_the_newest_items_of_a_history() -> None:
    last = np.array([5, 9, 9, 1] * 50, np.int64)
    order = newest_first(last).tolist()
    expected = sorted(range(200), key=lambda i: -last[i])[:120]  # equals are ordered by the first purchase
    assert order == expected
