"""Tests of the shelves: which items are shown to whom, from which source, and why."""

from __future__ import annotations

import pytest

from recommending.catalogue import Filter
from recommending.features import FEATURES, NEW_FEATURES
from recommending.ranker import LARGEST_DEVIATION
from recommending.recommender import Recommendation, Recommender, Shelf
from recommending.starting_weights import USUAL
from state.customers.events import Event
from tests.oracles import recommending as oracle
from tests.recommending.world import WORLDS, World, build, events_of, world_of
from tests.state.machines import START_MS

SHELVES: tuple[Shelf, ...] = ("new", "again", "all")


def recommended(
    world: World, customer: str, k: int, shelf: Shelf, wanted: Filter | None = None
) -> list[Recommendation]:
    recommender = world.recommender
    with world.related.lock:
        return recommender.recommend(recommender.history(customer), k, shelf, wanted)


def plain_scores(world: World, customer: str, shelf: Shelf, items: list[str]) -> list[float]:
    """Return w . z of the shelf's ranker, with the oracle's features, standardised over the candidates."""
    recommender = world.recommender
    with world.related.lock:
        found = recommender.candidates(
            recommender.history(customer), unowned=shelf != "again", own=shelf != "new"
        )
        mean = dict(zip(FEATURES, found.x.mean(axis=0).tolist(), strict=True))
    history = world.history(customer)
    sums, owned = oracle.sums(world, history), {b.item_id: b for b in history}
    names = NEW_FEATURES if shelf == "new" else FEATURES
    state = recommender.rankers["new" if shelf == "new" else "all"].state()["features"]
    scores = []
    for item in items:
        x = oracle.features(world, history, item, sums)
        x |= oracle.own_features(world, owned[item]) if item in owned else {}
        z = {
            f: (x.get(f, 0.0) - mean[f]) / (max(state[f][2], USUAL.get(f, 0.0) / 10) + 1e-4) ** 0.5
            for f in names
        }
        scores.append(sum(state[f][0] * min(max(z[f], -LARGEST_DEVIATION), LARGEST_DEVIATION) for f in names))
    return scores


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("shelf", SHELVES)
def test_the_contents_of_a_shelf(name: str, shelf: Shelf) -> None:
    world, sources = world_of(name), set()
    for customer in world.some_customers(6):
        history = world.history(customer)
        owned = {b.item_id for b in history}
        shown = recommended(world, customer, 12, shelf)
        names = [r.item_id for r in shown]
        assert len(set(names)) == len(names)
        assert not world.gone & set(names)
        if shelf != "again":
            assert len(names) == 12
        assert {"new": not owned & set(names), "again": set(names) <= owned, "all": True}[shelf]
        scores = [r.score for r in shown]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx(plain_scores(world, customer, shelf, names), rel=1e-6, abs=1e-6)
        for r in shown:
            sources.add(r.source)
            check_because(world, customer, r)
            assert (r.source == "buy-again") == (r.item_id in owned)
    assert sources >= {"new": {"related"}, "again": {"buy-again"}, "all": {"buy-again"}}[shelf]


def check_because(world: World, customer: str, r: Recommendation) -> None:
    history = world.history(customer)
    if r.source == "buy-again":
        assert r.because == [r.item_id]
        return
    parts = {}
    for b in oracle.newest(history):
        pair = oracle.pairs_of(world, b.item_id).get(r.item_id)
        if pair is not None and pair["z_n"] + pair["z_f"] > 0:
            parts[b.item_id] = oracle.weight(b, world.counts.now_ms) * (pair["z_n"] + pair["z_f"])
    assert set(r.because) <= parts.keys()
    largest = sorted(parts.values(), reverse=True)[:3]
    assert [parts[y] for y in r.because] == pytest.approx(largest, rel=1e-6)
    if r.source == "bestseller":
        assert r.because == []


@pytest.mark.parametrize("name", WORLDS)
def test_the_best_of_all_candidates_comes_first(name: str) -> None:
    world = world_of(name)
    for customer in world.some_customers(4):
        for shelf in SHELVES:
            history = world.recommender.history(customer)
            found = world.recommender.candidates(history, unowned=shelf != "again", own=shelf != "new")
            names = world.related.items.ids(found.item.tolist())
            best = sorted(plain_scores(world, customer, shelf, names), reverse=True)
            scores = [r.score for r in recommended(world, customer, 6, shelf)]
            assert scores[0] == pytest.approx(best[0], rel=1e-6)
            if shelf == "again":  # an item that is bought again needs no other reason, so none is put back
                assert scores == pytest.approx(best[:6], rel=1e-6)


def test_fewer_candidates_than_are_asked_for() -> None:
    world, customer = world_of("shop"), world_of("shop").customers()[-1]
    some = frozenset([*list(world.related.items)[:9], *(b.item_id for b in world.history(customer)[:4])])
    wanted = Filter(only=some)
    shelves = {
        shelf: {r.item_id for r in recommended(world, customer, 50, shelf, wanted)} for shelf in SHELVES
    }
    owned = {b.item_id for b in world.history(customer)}
    assert 0 < len(shelves["all"]) < 14
    assert shelves["all"] == shelves["new"] | shelves["again"]
    assert shelves["again"] == (some & owned) - world.gone
    assert shelves["all"] <= some
    assert recommended(world, customer, 6, "all", Filter(only=frozenset(["unheard of"]))) == []
    assert recommended(world, customer, 0, "all") == []


@pytest.mark.parametrize("name", WORLDS)
def test_unknown_customers_get_bestsellers(name: str) -> None:
    world = world_of(name)
    for shelf in ("new", "all"):
        shown = recommended(world, "nobody", 6, shelf)
        assert len(shown) == 6
        assert {(r.source, *r.because) for r in shown} == {("bestseller",)}
        assert {r.item_id for r in shown} <= {*oracle.bestsellers(world, 3), *oracle.bestsellers(world, 14)}
    assert recommended(world, "nobody", 6, "again") == []


def test_an_empty_shop_has_nothing_to_offer() -> None:
    world = build([], gone=0)
    assert [recommended(world, "nobody", 6, shelf) for shelf in SHELVES] == [[], [], []]
    world.apply([Event("ann", "tea", START_MS)])
    assert [r.item_id for r in recommended(world, "ann", 6, "all")] == ["tea"]


def test_items_that_came_after_the_recommender_last_looked_are_not_offered_yet() -> None:
    world = build(events_of("shop"), list_length=10)
    customer, now = world.customers()[-1], world.counts.now_ms
    events = [Event(f"c{n}", item, now) for n in range(40) for item in ("i1", "brand-new")]
    world.run.apply(events)
    world.log.feed(events)
    for machine in world.run.items:
        world.publish(machine, as_messages=True)
    shown = {r.item_id for shelf in SHELVES for r in recommended(world, customer, 200, shelf)}
    assert "brand-new" in list(world.related.items)
    assert "brand-new" not in shown
    world.recommender.synchronise()
    assert "brand-new" in {r.item_id for r in recommended(world, customer, 200, "again")}


def test_a_profiles_items() -> None:
    world = build([], gone=0)
    baskets = {"kids": ("lego", "juice"), "grown-ups": ("wine", "tea"), None: ("bread",)}
    events = [
        Event(f"c{n}", item, START_MS + n, profile_id=profile)
        for n in range(9)
        for profile, items in baskets.items()
        for item in items
    ]
    world.apply(events)
    recommender = world.recommender
    for profile, items in (("kids", baskets["kids"]), ("grown-ups", baskets["grown-ups"]), ("nobody", ())):
        found = recommender.history("c3", profile).item.tolist()
        assert world.related.items.ids(found) == list(items)
    assert len(recommender.history("c3").item) == 5
    assert world.history("c3")[0].profile_id == "kids"


def test_recommenders_that_share_buffers_recommend_as_if_alone() -> None:
    """What one leaves in them, such as its customer's items, changes nothing for the next."""
    world = world_of("shop")
    one = world.recommender
    alone, two = (
        Recommender(world.related, one.customers, one.popular, one.catalogue, one.rankers, buffers)
        for buffers in (None, one.buffers)
    )
    for recommender in (alone, two):
        recommender.synchronise()
    shelves = [SHELVES[n % 3] for n in range(24)]
    for n, (customer, shelf) in enumerate(zip(world.some_customers(24), shelves, strict=True)):
        with world.related.lock:
            sharing = (one, two)[n % 2]
            expected = alone.recommend(alone.history(customer), 12, shelf)
            assert sharing.recommend(sharing.history(customer), 12, shelf) == expected
            assert len(expected) > 3
