"""Every feature of every candidate, and the repeat model, are compared with plain Python on whole logs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommending import repeats
from recommending.candidates import OWN
from recommending.features import FEATURES, N_ALL, N_NEW, NEW_FEATURES, OWN_FEATURES
from recommending.tastes import Groups, forget, learn, new_tastes, no_groups, taste
from state.popularity import counts as pop
from tests.oracles import recommending as oracle
from tests.recommending.world import WORLDS, world_of

DAY = pop.DAY_MS


def test_names() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == N_ALL
    assert FEATURES[:N_NEW] == NEW_FEATURES
    assert FEATURES[N_NEW:] == OWN_FEATURES


@pytest.mark.parametrize("name", WORLDS)
def test_every_feature_is_the_oracles(name: str) -> None:
    world, owned, tasted = world_of(name), 0, 0
    for customer in [*world.some_customers(5), "nobody"]:
        history = world.history(customer)
        sums = oracle.sums(world, history)
        found = world.recommender.candidates(world.recommender.history(customer), unowned=True, own=True)
        by_id = {b.item_id: b for b in history}
        names = world.related.items.ids(found.item.tolist())
        for item, x, source in zip(names, found.x, found.source, strict=True):
            expected = oracle.features(world, history, item, sums)
            if source == OWN:
                expected |= oracle.own_features(world, by_id[item])
                owned += 1
            else:
                expected |= dict.fromkeys(OWN_FEATURES, 0.0)
            x_by_name = dict(zip(FEATURES, x.tolist(), strict=True))
            assert x_by_name == pytest.approx(expected, rel=1e-6, abs=1e-7), (customer, item)
            tasted += expected["category"] != 0 and expected["brand"] != 0
    assert owned > 100
    assert tasted > 100


@pytest.mark.parametrize("name", WORLDS)
def test_the_repeat_model_is_the_oracles(name: str) -> None:
    world = world_of(name)
    related, now = world.run.sharing.view, world.counts.now_ms
    p, several, early = related.popularity, 0, 0
    for customer in world.some_customers(6):
        for b in world.history(customer):
            number = related.items.get(b.item_id)
            assert number is not None
            expected = oracle.repeats(world, b)
            own = b.first_ms, b.last_ms, b.days
            found = {
                "mean_gap": repeats.mean_gap_days(p, number),
                "own_gap": repeats.own_gap_days(p, number, *own),
                "probability": repeats.repeat_probability(p, number),
                "due_ratio": repeats.due_ratio(p, number, *own, now),
                "rate": repeats.rate(p, number, *own, now),
            }
            assert found == pytest.approx(expected, rel=1e-9), (customer, b)
            several += b.days > 1
            early += now - b.last_ms < expected["own_gap"] * DAY
    assert several > 15
    assert early > 50


def test_an_item_is_most_likely_when_it_is_due() -> None:
    p = pop.new_popularity(1)
    p.buyers[0], p.repeats[0] = 40, (20, 60, 60 * 10 * 1440)  # customers usually buy it again after ten days
    own = 0, 40 * DAY, 5
    rates = [repeats.rate(p, 0, *own, 40 * DAY + day * DAY) for day in range(60)]
    gap = repeats.own_gap_days(p, 0, *own)
    assert gap == pytest.approx((40 + (600 + 150) / 65) / 5)
    assert rates.index(max(rates)) == round(gap)
    assert rates == sorted(rates[: round(gap) + 1]) + sorted(rates[round(gap) + 1 :], reverse=True)
    assert repeats.due_ratio(p, 0, *own, 40 * DAY + round(gap * DAY)) == pytest.approx(1.0)


def test_taste_is_learnt_and_forgotten() -> None:
    of_item = np.array([[1, 0], [1, 2], [2, 1], [0, 0]], np.int32)
    tastes = new_tastes(Groups(of_item, np.array([0.1, 0.3, 0.6]), np.array([0.2, 0.4, 0.4])))
    history, q = np.array([0, 1, 9, -1], np.int32), np.array([1.0, 0.5, 7.0, 7.0])
    for _ in range(2):  # the second call gives the same as the first
        learn(tastes, history, q)
        a = 3 / 1.5  # item 9 is not known
        assert taste(tastes, 0) == pytest.approx((math.log((1 + a * 0.3) / (0.3 + a * 0.3)), 0.0))
        assert taste(tastes, 2) == pytest.approx(
            (math.log(a * 0.6 / (0.6 + a * 0.6)), math.log(a * 0.4 / (0.4 + a * 0.4)))
        )
        assert taste(tastes, 3) == taste(tastes, 9) == (0.0, 0.0)
        forget(tastes, history)
        assert not tastes.category.any()
        assert not tastes.brand.any()
    assert taste(new_tastes(no_groups()), 0) == (0.0, 0.0)
