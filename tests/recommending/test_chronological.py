"""Predictions of a chronological network are compared with plain Python; recommending with and without."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommending.candidates import OF_PREDICTED, OWN, PREDICTED, RELATED
from recommending.catalogue import Filter
from recommending.chronological import SHORTLIST, ChronologicalModel
from recommending.features import CHRONOLOGICAL, FEATURES
from recommending.recommender import NO_HISTORY
from state.customers.machine import Purchased
from state.memory.ids import Dictionary
from tests.recommending.world import WORLDS, World, build, events_of

HIDDEN = 7


def model_of(world: World, seed: int, *, version: int = 1) -> ChronologicalModel:
    """Return a model of four in five items of the world, and of some other items, in another order."""
    rng = np.random.default_rng(seed)
    names = [name for name in world.related.items if rng.random() < 0.8] + [
        f"unheard of {n}" for n in range(20)
    ]
    items = Dictionary()
    for n in rng.permutation(len(names)).tolist():
        items.number(names[n])
    inward, outward = rng.normal(size=(2, len(names), HIDDEN)).astype(np.float32)
    return ChronologicalModel(version, items, inward, outward, rng.normal(size=HIDDEN).astype(np.float32))


def shortlist(world: World, model: ChronologicalModel) -> dict[str, int]:
    """Return the items that the model knows and that sell, with purchases; ties as in the related lists."""
    sold = world.counts.recent[14, 0]
    known = [
        y for y in world.related.items if sold[y] and y not in world.gone and model.items.get(y) is not None
    ]
    return {y: sold[y] for y in sorted(known, key=lambda y: -sold[y])[:SHORTLIST]}


def lifts(world: World, model: ChronologicalModel, history: list[Purchased]) -> dict[str, float]:
    """Return the lift of every item that the model knows, by the formulas."""
    rows = {y: n for n, y in enumerate(model.items)}
    newest = [b.item_id for b in sorted(history, key=lambda b: -b.last_ms) if b.item_id in rows][:120]
    if not newest:
        return {}
    h = [
        math.tanh(
            model.bias[k] + sum(float(model.inward[rows[x], k]) for x in newest) / math.sqrt(len(newest))
        )
        for k in range(HIDDEN)
    ]
    said = {y: sum(float(v) * hk for v, hk in zip(model.outward[n], h, strict=True)) for y, n in rows.items()}
    some = shortlist(world, model)
    p = sum((n + 0.5) * math.exp(said[y]) for y, n in some.items()) / sum(n + 0.5 for n in some.values())
    return {y: value - math.log(p) for y, value in said.items()}


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    world = build(events_of(request.param), list_length=40)
    world.recommender.use(model_of(world, 1))
    world.recommender.synchronise()
    return world


def model(world: World) -> ChronologicalModel:
    assert world.recommender.model is not None
    return world.recommender.model


@pytest.mark.parametrize("allowed", [1, 3])
def test_predicted_are_the_oracles(world: World, allowed: int) -> None:
    names = list(world.related.items)
    fitting = set(names[::allowed])
    wanted = None if allowed == 1 else Filter(only=frozenset(fitting))
    found_some = 0
    for customer in world.some_customers(8):
        history = world.history(customer)
        owned = {b.item_id for b in history}
        said = lifts(world, model(world), history)
        scores = {
            y: said.get(y, -math.inf) + math.log(n + 0.5)
            for y, n in shortlist(world, model(world)).items()
            if y in fitting - owned
        }
        order = sorted(scores.values(), reverse=True)[:OF_PREDICTED]
        found = world.recommender.candidates(
            world.recommender.history(customer), unowned=True, own=True, wanted=wanted
        )
        by_source = {
            source: set(world.related.items.ids(found.item[found.source == source].tolist()))
            for source in (RELATED, PREDICTED)
        }
        must = {y for y, s in scores.items() if s > order[-1] + 1e-4}
        may = {y for y, s in scores.items() if s > order[-1] - 1e-4}
        assert by_source[PREDICTED] <= may
        assert must <= by_source[PREDICTED] | by_source[RELATED]
        found_some += len(by_source[PREDICTED])
    assert found_some > 8


def test_the_feature_is_the_oracles(world: World) -> None:
    unknown = moved = 0
    for customer in world.some_customers(5):
        said = lifts(world, model(world), world.history(customer))
        found = world.recommender.candidates(world.recommender.history(customer), unowned=True, own=True)
        names = world.related.items.ids(found.item.tolist())
        for item, x, source in zip(names, found.x[:, CHRONOLOGICAL], found.source, strict=True):
            expected = 0.0 if source == OWN else said.get(item, 0.0)
            assert x == pytest.approx(expected, rel=1e-4, abs=1e-4)
            unknown += source != OWN and item not in said
            moved += abs(expected) > 0.1
    assert unknown > 5
    assert moved > 100


def test_the_model_predicts_nothing_for_a_customer_without_known_items(world: World) -> None:
    found = world.recommender.candidates(NO_HISTORY, unowned=True, own=True)
    assert not found.x[:, CHRONOLOGICAL].any()
    assert not (found.source == PREDICTED).any()


def everything(world: World, customer: str) -> list[list[object]]:
    found = world.recommender.candidates(world.recommender.history(customer), unowned=True, own=True)
    return [column.tolist() for column in found]


def test_models_come_and_go() -> None:
    world = build(events_of("shop"), list_length=20)
    recommender, customer = world.recommender, world.customers()[1]
    without = everything(world, customer)
    with_each = []
    for seed in (1, 2):
        recommender.use(model_of(world, seed, version=seed))
        recommender.synchronise()
        assert recommender.model is not None
        assert recommender.model.version == seed
        with_each.append(everything(world, customer))
    assert without != with_each[0] != with_each[1] != without
    recommender.use(None)
    recommender.synchronise()
    assert recommender.model is None
    assert everything(world, customer) == without


def test_a_model_of_other_items_changes_nothing() -> None:
    world = build(events_of("shop"), list_length=20)
    recommender, customer = world.recommender, world.customers()[1]
    without = everything(world, customer)
    items = Dictionary()
    items.number("unheard of")
    row = np.ones((1, HIDDEN), np.float32)
    recommender.use(ChronologicalModel(1, items, row, row, row[0]))
    recommender.synchronise()
    assert everything(world, customer) == without


def test_a_prediction_is_shown_as_one_and_unavailable_items_are_not() -> None:
    world = build(events_of("shop"), list_length=2)  # so that few candidates come from lists
    recommender, customer = world.recommender, world.customers()[-1]
    recommender.use(model_of(world, 3))
    recommender.synchronise()
    ranker = recommender.rankers["new"]
    ranker.weights[:] = 0.0
    ranker.weights[CHRONOLOGICAL] = 1.0

    def shown() -> list[str]:
        answer = recommender.recommend(recommender.history(customer), 8, "new")
        return [r.item_id for r in answer if r.source == "predicted" and not r.because]

    before = shown()
    assert before
    world.take_away(before[:1])  # the shortlist is not yet made anew
    assert before[0] not in shown()


def test_new_items_of_the_view_come_to_be_known() -> None:
    from state.customers.events import Event

    world = build(events_of("shop"), list_length=10)
    recommender, customer = world.recommender, world.customers()[-1]
    made = model_of(world, 4)
    made.items.number("late")
    grown = [np.concatenate([a, np.full((1, HIDDEN), 9, np.float32)]) for a in (made.inward, made.outward)]
    recommender.use(ChronologicalModel(2, made.items, grown[0], grown[1], np.full(HIDDEN, 9, np.float32)))
    recommender.synchronise()
    now = world.counts.now_ms
    world.apply([Event(f"new{n}", "late", now + n) for n in range(600)])
    found = recommender.candidates(recommender.history(customer), unowned=True, own=True)
    at = world.related.items.ids(found.item.tolist()).index("late")
    expected = lifts(world, model(world), world.history(customer))["late"]
    assert found.x[at, FEATURES.index("chronological")] == pytest.approx(expected, rel=1e-4)
