"""Tests of a ranker's state: it survives a restart, is averaged with others, and takes new features."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recommending.averaging import average
from recommending.ranker import FIRST_SQUARES, RATE, Ranker
from tests.recommending.examples import NAMES, example, stream


def test_restore_is_the_identity() -> None:
    rng = np.random.default_rng(7)
    ranker, other = Ranker.new(NAMES, {"a": 1.0}), Ranker.new(NAMES, {"b": 3.0})
    for _ in range(30):
        ranker.learn(*example(rng))
    state = json.loads(json.dumps(ranker.state()))
    other.restore(state)
    assert other.state() == state
    x, hits = example(rng)
    assert other.scores(x).tolist() == ranker.scores(x).tolist()
    ranker.learn(x, hits)
    other.learn(x, hits)
    assert other.state() == ranker.state()


def test_restore_of_other_features() -> None:
    old = Ranker.new(("a", "gone"), {"a": 1.0, "gone": 2.0})
    old.learn(np.arange(8.0).reshape(4, 2), np.array([True, False, False, False]))
    new = Ranker.new(("fresh", "a"), {"fresh": 0.7})
    new.restore(old.state())
    assert new.weights.tolist() == [0.7, old.weights[0]]
    assert new.squares.tolist() == [0.0, old.squares[0]]
    assert new.variance.tolist() == [1.0, old.variance[0]]
    assert new.steps == 1


def test_a_feature_that_has_not_begun_changes_nothing_and_begins_without_a_jump() -> None:
    """Like the feature of a model that does not exist yet, it is constant for long, and then informative."""
    rng, truth = np.random.default_rng(9), np.array([1.5, -1.0, 0.5, 0.0, 2.0])
    with_it, without = Ranker.new((*NAMES, "late"), {}, {"late": 0.1}), Ranker.new(NAMES, {})
    for _ in range(3000):
        x, hits = stream(rng, truth)
        with_it.learn(np.column_stack([x, np.zeros(len(x))]), hits)
        without.learn(x, hits)
    assert with_it.weights[:5].tolist() == pytest.approx(without.weights.tolist(), rel=1e-9)
    assert (with_it.weights[5], with_it.squares[5]) == (0.0, 0.0)
    assert with_it.variance[5] == pytest.approx(0.1)
    found = {"with": 0, "without": 0}
    for n in range(600):
        x, hits = stream(rng, truth)
        noise = 0.3 * rng.normal(size=(len(x), 1))  # the feature is not informative, and does no harm
        wide = np.column_stack([x, noise])
        found["with"] += bool(hits[np.argsort(-with_it.scores(wide))[:6]].any())
        found["without"] += bool(hits[np.argsort(-without.scores(x))[:6]].any())
        with_it.learn(wide, hits)
        without.learn(x, hits)
        if n == 0:
            assert with_it.variance[5] == pytest.approx((20 * 0.1 + noise.var()) / 21)
    assert found["with"] > found["without"] - 12
    assert abs(with_it.weights[5]) < 0.2
    assert with_it.variance[5] == pytest.approx(0.09, rel=0.2)


def test_weights_from_before_a_feature_are_adopted_and_it_begins() -> None:
    rng = np.random.default_rng(10)
    old = Ranker.new(NAMES, {})
    for _ in range(40):
        old.learn(*example(rng))
    new = Ranker.new((*NAMES, "late"), {})
    new.adopt(average([new.state(), old.state() | {"cases": 40.0}]))
    for name, values in old.state()["features"].items():
        assert new.state()["features"][name] == pytest.approx(values, rel=1e-6), name
    assert new.state()["features"]["late"] == [0.0, 0.0, 1.0]
    x, hits = example(rng)
    wide = np.column_stack([x, np.zeros(len(x))])
    assert new.scores(wide).tolist() == pytest.approx(old.scores(x).tolist(), rel=1e-6)
    late = np.column_stack([x, hits.astype(np.float64)])
    new.learn(late, hits)
    squared = new.squares[5]
    assert new.weights[5] == pytest.approx(RATE * math.sqrt(squared / (squared + FIRST_SQUARES)))
    assert new.variance[5] == pytest.approx(late[:, 5].var())
    # an old worker takes the weights of a new one, and ignores what it does not know
    old.adopt(new.state())
    assert old.weights.tolist() == new.weights[:5].tolist()


def test_average() -> None:
    rng = np.random.default_rng(8)
    rankers = [Ranker.new(NAMES, {"a": float(n)}) for n in range(3)]
    for n, ranker in enumerate(rankers):
        for _ in range(10 * n):
            ranker.learn(*example(rng))
    mean = average(ranker.state() for ranker in rankers)
    assert mean["cases"] == 10
    for n, name in enumerate(NAMES):
        for column in range(3):
            rows = [r.state()["features"][name][column] for r in rankers]
            expected = rows[1] / 3 + rows[2] * 2 / 3  # weighted by their training steps; the first has none
            assert mean["features"][name][column] == pytest.approx(expected, rel=1e-6), (n, column)
    same = average([rankers[1].state()])
    assert {k: pytest.approx(v) for k, v in rankers[1].state()["features"].items()} == same["features"]
    untrained = [Ranker.new(NAMES, {"a": w}).state() for w in (1.0, 2.0)]
    assert average(untrained)["features"]["a"][0] == pytest.approx(1.5)
    with pytest.raises(ValueError, match="no states"):
        average([])


def test_an_average_of_other_features() -> None:
    states = [
        Ranker.new(("a", "b"), {"a": 1.0, "b": 2.0}).state(),
        Ranker.new(("b", "c"), {"b": 4.0}).state(),
    ]
    assert {k: v[0] for k, v in average(states)["features"].items()} == {"a": 1.0, "b": 3.0, "c": 0.0}
