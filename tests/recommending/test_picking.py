"""Reasons, explanations and cover are compared with brute force."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from recommending import picking
from recommending.picking import REASONS, cover, explanation
from tests.oracles import recommending as oracle
from tests.recommending.world import WORLDS, world_of


@pytest.mark.parametrize("name", WORLDS)
def test_reasons_are_the_largest_parts(name: str) -> None:
    world, three = world_of(name), 0
    related, now = world.related, world.counts.now_ms
    for customer in [*world.some_customers(6), "nobody"]:
        past = oracle.newest(world.history(customer))
        history = world.recommender.history(customer)
        found = world.recommender.candidates(history, unowned=True, own=True)
        which, parts = picking.reasons(world.recommender.buffers.sums, found.place)
        lists = {b.item_id: oracle.pairs_of(world, b.item_id) for b in past}
        for c, y in enumerate(related.items.ids(found.item.tolist())):
            every = [
                (oracle.weight(b, now) * (pair["z_n"] + pair["z_f"]), h)
                for h, b in enumerate(past)
                if (pair := lists[b.item_id].get(y)) is not None
            ]
            largest = sorted((part for part, _ in every if part > 0), reverse=True)[:REASONS]
            n = len(largest)
            assert parts[c].tolist() == pytest.approx(largest + [0.0] * (REASONS - n), rel=1e-6, abs=1e-9)
            assert which[c, n:].tolist() == [-1] * (REASONS - n)
            by_purchase = {h: part for part, h in every}
            assert [by_purchase[h] for h in which[c, :n]] == pytest.approx(largest, rel=1e-6)
            assert len(set(which[c, :n].tolist())) == n
            three += n == REASONS
    assert three > 100


def damib(parts: list[float]) -> int:
    """Return the length of the prefix of positive values with the largest sum / m^p."""
    positive = list(itertools.takewhile(lambda part: part > 0, parts))
    values = [sum(positive[:m]) / m**0.75 for m in range(1, len(positive) + 1)]
    return values.index(max(values)) + 1 if values else 0


def test_an_explanation_is_the_best_of_all_prefixes() -> None:
    rng, lengths = random.Random(1), set()
    for _ in range(2000):
        parts = sorted((rng.paretovariate(1) for _ in range(rng.randrange(6))), reverse=True) + [
            0.0
        ] * rng.randrange(3)
        length = explanation(np.array(parts))
        lengths.add(length)
        assert length == damib(parts)
    assert {0, 1, 2, 3} <= lengths


def covered(explained_by: list[list[int]], k: int, purchases: int) -> list[int]:
    """Pick by the definition: in each round a purchase may explain a number of items, which then doubles."""
    taken: list[int] = []
    share = max(math.ceil(k / 2), math.ceil(k / max(purchases, 1)))
    while len(taken) < min(k, len(explained_by)):
        for c, why in enumerate(explained_by):
            uses = [sum(h in explained_by[t] for t in taken) for h in why]
            if c not in taken and len(taken) < k and (not why or min(uses) < share):
                taken.append(c)
        share *= 2
    return sorted(taken)


def test_cover_is_the_definitions() -> None:
    rng, put_back = random.Random(2), 0
    for _ in range(1500):
        n, purchases, k = rng.randrange(40), rng.randrange(1, 8), rng.randrange(9)
        which, parts = np.full((n, REASONS), -1, np.int32), np.zeros((n, REASONS))
        for c in range(n):
            m = rng.randrange(min(REASONS, purchases) + 1)
            which[c, :m] = rng.sample(range(purchases), m)
            parts[c, :m] = sorted((rng.paretovariate(1) for _ in range(m)), reverse=True)
        why = [which[c, : damib(parts[c].tolist())].tolist() for c in range(n)]
        taken = cover(which, parts, k, purchases).tolist()
        assert taken == covered(why, k, purchases)
        assert len(taken) == min(k, n)
        put_back += taken != list(range(len(taken)))
    assert put_back > 40


def test_no_purchase_explains_more_than_its_share_while_others_are_left() -> None:
    """Items have one reason each: the first 20 are explained by purchase 0, before all others."""
    n = 26
    which, parts = np.full((n, REASONS), -1, np.int32), np.zeros((n, REASONS))
    which[:, 0], parts[:, 0] = [0] * 20 + [1, 1, 2, 2, 3, 3], np.arange(n, 0, -1)
    for k in range(2, 9):
        taken = cover(which, parts, k, 4)
        counts = np.bincount(which[taken, 0], minlength=4)
        assert counts[0] == max(math.ceil(k / 2), k - 6)
        assert taken[: counts[0]].tolist() == list(range(counts[0]))  # these are the best of them, in order
    assert cover(which[:20], parts[:20], 6, 4).tolist() == list(range(6))  # no others are left
    assert cover(which[:20], parts[:20], 6, 1).tolist() == list(range(6))  # nor other purchases


def test_an_item_without_a_reason_keeps_its_place() -> None:
    which, parts = np.zeros((10, REASONS), np.int32), np.zeros((10, REASONS))
    parts[:8, 0] = 1.0
    assert cover(which, parts, 5, 3).tolist() == [0, 1, 2, 8, 9]
    assert cover(which[:0], parts[:0], 5, 0).tolist() == []
