"""Tests of the learner: hits by day and algorithm, and weights that change as plain Python computes."""

from __future__ import annotations

import copy
import math
from collections import Counter

import numpy as np
import pytest

from recommending.algorithms import ALGORITHMS
from recommending.candidates import OWN
from recommending.features import FEATURES, NEW_FEATURES
from recommending.learner import SHOWN, Example, Learner
from recommending.ranker import LARGEST_DEVIATION
from recommending.starting_weights import USUAL
from state.customers.actions import Action
from state.customers.events import Event
from tests.oracles import recommending as oracle
from tests.recommending.world import World, build, events_of, world_of

DAY_MS = 86_400_000


class PlainRanker:
    """The ranker's formulas by feature name, scalar by scalar."""

    def __init__(self, names: tuple[str, ...], weights: dict[str, float], *, any_of: bool) -> None:
        self.names, self.any_of, self.steps = names, any_of, 0
        self.weights = {name: weights.get(name, 0.0) for name in names}
        self.squares = dict.fromkeys(names, 0.0)
        self.variance = {name: USUAL.get(name, 1.0) for name in names}

    def learn(self, rows: list[dict[str, float]], hits: list[bool]) -> None:
        if not any(hits) or all(hits):
            return
        self.steps += 1
        n = len(rows)
        z: list[dict[str, float]] = [{} for _ in rows]
        for name in self.names:
            mean = sum(row[name] for row in rows) / n
            variance = sum((row[name] - mean) ** 2 for row in rows) / n
            usual = 20 if name in USUAL else 0
            if self.squares[name]:
                self.variance[name] += (variance - self.variance[name]) / min(self.steps + usual, 500)
            elif variance:
                self.variance[name] += (variance - self.variance[name]) / (1 + usual)
            scale = math.sqrt(self.variance[name] + 1e-4)
            for standard, row in zip(z, rows, strict=True):
                standard[name] = min(max((row[name] - mean) / scale, -LARGEST_DEVIATION), LARGEST_DEVIATION)
        scores = [sum(self.weights[f] * standard[f] for f in self.names) for standard in z]
        powers = [math.exp(s - max(scores)) for s in scores]
        p = [power / sum(powers) for power in powers]
        of_hits = [a if hit else 0.0 for a, hit in zip(p, hits, strict=True)]
        target = [a / sum(of_hits) for a in of_hits] if self.any_of else [hit / sum(hits) for hit in hits]
        for name in self.names:
            g = sum((a - b) * standard[name] for a, b, standard in zip(p, target, z, strict=True))
            self.squares[name] = self.squares[name] * (1 - 1 / 4000) + g * g
            self.weights[name] -= 0.1 * g / math.sqrt(self.squares[name] + 10)


def baskets(events: list[Event]) -> list[tuple[str, list[Event]]]:
    """Return the consecutive purchases of each customer in a chunk of the log."""
    by_customer: dict[str, list[Event]] = {}
    for event in events:
        if event.action == Action.PURCHASE:
            by_customer.setdefault(event.customer_id, []).append(event)
    return list(by_customer.items())


def numbers_of(world: World, names: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array([world.related.items.number(name) for name in dict.fromkeys(names)], np.int32)


@pytest.mark.parametrize("name", ["shop", "real"])
def test_cases_teach_and_count_as_plain_python(name: str) -> None:
    """The machines count each basket after its training step."""
    events = events_of(name)
    some = len(events) * 9 // 10
    world = build(events[:some], list_length=30)
    recommender = world.recommender
    learner = Learner(recommender)
    plain = {
        shelf: PlainRanker(
            names, dict(zip(names, recommender.rankers[shelf].weights, strict=True)), any_of=any_of
        )
        for shelf, names, any_of in (("new", NEW_FEATURES, False), ("all", FEATURES, True))
    }
    cases: Counter[tuple[int, str, str]] = Counter()
    hits: Counter[tuple[int, str, str]] = Counter()
    training_steps = nothing_new = 0
    for start in range(some, some + 1000, 125):
        chunk = events[start : start + 125]
        for customer, bought in baskets(chunk):
            history = recommender.history(customer)
            if not len(history.item):
                continue
            names = {e.item_id for e in bought}
            owned = {b.item_id for b in world.history(customer)}
            example = learner.before(history)
            judged = learner.after(example, numbers_of(world, [e.item_id for e in bought]), bought[0].time_ms)
            expected = expected_of(world, example, names, owned)
            assert judged == expected
            day = bought[0].time_ms // DAY_MS
            cases.update((day, algorithm, "") for algorithm in expected)
            hits.update((day, algorithm, "") for algorithm, hit in expected.items() if hit)
            nothing_new += not names - owned
            training_steps += 1
            ids = world.related.items.ids(example.found.item.tolist())
            rows = [dict(zip(FEATURES, x, strict=True)) for x in example.found.x.tolist()]
            new = [source != OWN for source in example.found.source]
            plain["all"].learn(rows, [y in names for y in ids])
            plain["new"].learn(
                [row for row, its in zip(rows, new, strict=True) if its],
                [y in names for y, its in zip(ids, new, strict=True) if its],
            )
        world.apply(chunk)
    assert learner.quality.cases == cases
    assert {k: n for k, n in learner.quality.hits.items() if n} == hits
    assert cases.keys() == learner.quality.hits.keys()
    assert {algorithm for _, algorithm, _ in cases} == {*ALGORITHMS, "all"}
    assert training_steps > 40
    assert nothing_new > 2 or name == "real"
    for shelf, ranker in plain.items():
        state = recommender.rankers[shelf].state()
        assert state["cases"] == ranker.steps > 20
        for feature, values in state["features"].items():
            found = ranker.weights[feature], ranker.squares[feature], ranker.variance[feature]
            assert values == pytest.approx(found, rel=1e-6, abs=1e-7), (shelf, feature)


def expected_of(world: World, example: Example, names: set[str], owned: set[str]) -> dict[str, bool]:
    """Return which algorithms hit, by what they showed."""
    shown = {
        algorithm: set(world.related.items.ids(items.tolist())) for algorithm, items in example.shown.items()
    }
    assert all(not items & owned for algorithm, items in shown.items() if algorithm != "all")
    judged = {
        algorithm: bool(items & (names - owned)) for algorithm, items in shown.items() if algorithm != "all"
    }
    return {**(judged if names - owned else {}), "all": bool(shown["all"] & names)}


@pytest.mark.parametrize("name", ["shop", "real"])
def test_each_algorithm_shows_its_six(name: str) -> None:
    world = world_of(name)
    learner = Learner(world.recommender)
    for customer in world.some_customers(5):
        history = world.history(customer)
        example = learner.before(world.recommender.history(customer))
        ids = world.related.items.ids(example.found.item.tolist())
        new = [y for y, source in zip(ids, example.found.source, strict=True) if source != OWN]
        sums, sold = oracle.sums(world, history), world.counts.recent[14, 0]
        for algorithm in ("raw", "flawed", "corrected", "bestsellers"):
            values = {
                y: sold[y] if algorithm == "bestsellers" else sums[y][algorithm] if y in sums else -math.inf
                for y in new
            }
            shown = world.related.items.ids(example.shown[algorithm].tolist())
            assert len(shown) == min(SHOWN, len(new))
            best = sorted(values.values(), reverse=True)[: len(shown)]
            assert [values[y] for y in shown] == pytest.approx(best, rel=1e-6)


def test_nothing_of_the_basket_is_in_its_test() -> None:
    """What is shown does not change when the basket is counted before the example is over."""
    events = events_of("shop")
    world = build(events, list_length=30)
    learner, customer = Learner(world.recommender), world.customers()[2]
    now = world.counts.now_ms
    example = learner.before(world.recommender.history(customer))
    before = copy.deepcopy(example)
    shown = world.related.items.ids(np.concatenate(list(example.shown.values())).tolist())
    unseen = [y for y in world.related.items if y not in shown][:3]
    basket = [*unseen, "never seen before"]
    world.apply([Event(customer, y, now + n) for n, y in enumerate(basket * 50)])
    learner.before(world.recommender.history(customer))  # computed from what is there now
    judged = learner.after(example, numbers_of(world, basket), now)
    assert not any(judged.values())
    for was, now_is in zip(before.found, example.found, strict=True):
        np.testing.assert_array_equal(was, now_is)
    assert {k: v.tolist() for k, v in before.shown.items()} == {
        k: v.tolist() for k, v in example.shown.items()
    }


def test_a_case_with_nothing_new_does_not_count_for_new_items() -> None:
    world = world_of("shop")
    learner, customer = Learner(copy.copy(world.recommender)), world.customers()[0]
    learner.recommender.rankers = copy.deepcopy(world.recommender.rankers)
    history = world.recommender.history(customer)
    again = history.item[:2]
    before = learner.recommender.rankers["new"].state()
    assert learner.after(learner.before(history), again, 5 * DAY_MS).keys() == {"all"}
    assert learner.recommender.rankers["new"].state() == before
    assert set(learner.quality.cases) == {(5, "all", "")}
