"""Sums over the lists of a history are compared column by column."""

from __future__ import annotations

import numpy as np
import pytest

from recommending.buffers import COLUMNS, MOST, QUERY_ITEMS, new_scratch, new_sums
from recommending.gathering import LAST, gather, newest_first, weights
from recommending.related_lists import Entry, RelatedLists, landmark_weight
from tests.oracles import recommending as oracle
from tests.recommending.world import WORLDS, World, world_of


def gathered(world: World, customer: str) -> dict[str, dict[str, float]]:
    """Return the kernel's sums for a customer, by candidate."""
    history, related, now = world.recommender.history(customer), world.related, world.counts.now_ms
    order = newest_first(history.last_ms)
    found = new_sums(related.k)
    items = related.items.ids(history.item[order].tolist())
    recent_buyers = np.array([world.counts.recent_buyers[item] for item in items])
    n = gather(
        related.arrays, new_scratch(len(related.items)), found, history.item[order],
        weights(history.last_ms[order], now), recent_buyers, 1 / landmark_weight(now), world.counts.customers,
    )  # fmt: skip
    names = related.items.ids(found.item[:n].tolist())
    assert len(set(names)) == n
    return {
        name: {column: float(found.table[i, at]) for at, column in enumerate(COLUMNS)}
        for i, name in enumerate(names)
    }


@pytest.mark.parametrize("name", WORLDS)
def test_every_column_is_the_oracles(name: str) -> None:
    world, several = world_of(name), 0
    for customer in world.some_customers(8):
        expected = oracle.sums(world, world.history(customer))
        found = gathered(world, customer)
        assert found.keys() == expected.keys()
        for item, values in expected.items():
            assert found[item] == pytest.approx(values, rel=1e-6, abs=1e-9), (customer, item)
            several += 0 < values["z_f_last"] != values["z_f"] > 0
    assert several > 100
    assert len(world.history(world.customers()[0])) > QUERY_ITEMS


def test_weights_of_ages() -> None:
    day = 86_400_000
    q = weights(np.array([30 * day, 0, 31 * day]), 30 * day)
    assert q.tolist() == pytest.approx([1.001, np.exp(-1) + 0.001, 1.001])  # times in the future count as now


def test_an_item_without_any_message_yet() -> None:
    """The sum of its row and its decayed buyers are unknown."""
    related = RelatedLists(2)
    now = 1_600_000_000_000
    related.put("x", [Entry("y", 8, 3, 4.0, 1.0)], buyers=5, recent_mass=2.0, as_of_ms=now)
    sums = new_sums(related.k)
    query, q = np.array([related.items.number("x")], np.int32), np.ones(1)
    f = np.array([1.7])
    assert gather(related.arrays, new_scratch(8), sums, query, q, f, 1 / landmark_weight(now), 10) == 1
    assert sums.column("cosine")[0] == pytest.approx(4 / 2**0.5)
    assert sums.column("z_f")[0] == pytest.approx(4 / 5**0.5)
    assert sums.column("flawed")[0] == pytest.approx(8 / 20**0.5)


def test_unknown_items_and_the_last_five() -> None:
    related = RelatedLists(1)
    for x in range(8):
        related.put(f"x{x}", [Entry("y", 1, 1, x + 1.0, 1.0)], buyers=1, recent_mass=1.0, as_of_ms=0)
    sums = new_sums(related.k)
    query = np.array([-1, *(related.items.number(f"x{x}") for x in range(8))], np.int32)
    assert (
        gather(
            related.arrays, new_scratch(16), sums, query, np.ones(9), np.zeros(9), 1 / landmark_weight(0), 10
        )
        == 1
    )
    assert sums.column("raw")[0] == 8
    assert sums.column("z_f_last")[0] == pytest.approx(max((x + 1.0) / 5**0.5 for x in range(LAST - 1)))


def test_more_candidates_than_there_is_room_for() -> None:
    related, lists = RelatedLists(1000), MOST // 1000 + 2
    for x in range(lists):
        entries = [Entry(f"{x}-{y}", 1, 0, 1.0, 0.5) for y in range(1000)]
        related.put(f"x{x}", entries, buyers=1, recent_mass=1000.0, as_of_ms=0)
    sums = new_sums(related.k)
    query = np.array([related.items.number(f"x{x}") for x in range(lists)], np.int32)
    q = np.ones(lists)
    n = gather(related.arrays, new_scratch(len(related.items)), sums, query, q, q, 1 / landmark_weight(0), 10)
    assert n == MOST
    assert (sums.column("raw") == 1).all()
