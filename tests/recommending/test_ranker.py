"""Tests of the ranker: its gradient by finite differences, the step, odd data, drift, and restarts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recommending.features import FEATURES
from recommending.ranker import (
    FIRST_SQUARES,
    FORGET,
    LARGEST_DEVIATION,
    LARGEST_WEIGHT,
    LEAST_VARIANCE,
    RATE,
    STEADY_EXAMPLES,
    Floats,
    Ranker,
    average,
)
from recommending.recommender import START_ALL, START_NEW, USUAL, new_rankers

NAMES = ("a", "b", "c", "d", "e")


def example(
    rng: np.random.Generator, n: int = 20
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    x = rng.normal(size=(n, len(NAMES))) * (0.1, 1, 5, 20, 1) + (3, 0, -2, 0, 1)
    hits = np.zeros(n, np.bool_)
    hits[rng.choice(n, rng.integers(1, 5), replace=False)] = True
    return x, hits


def standard(x: Floats, variance: Floats) -> Floats:
    """Return what weights multiply: standardised deviations from the candidates' mean, within the limit."""
    z = (x - x.mean(axis=0)) / np.sqrt(variance + LEAST_VARIANCE)
    clipped: Floats = np.clip(z, -LARGEST_DEVIATION, LARGEST_DEVIATION)
    return clipped


def loss(w: Floats, z: Floats, hits: np.ndarray[tuple[int], np.dtype[np.bool_]], *, any_of: bool) -> float:
    """Return the cross-entropy with the uniform distribution over hits, or that of any hit."""
    scores = [math.fsum(a * b for a, b in zip(w, row, strict=True)) for row in z]
    logs = [s - max(scores) - math.log(math.fsum(math.exp(t - max(scores)) for t in scores)) for s in scores]
    of_hits = [logp for logp, hit in zip(logs, hits, strict=True) if hit]
    return -math.log(math.fsum(map(math.exp, of_hits))) if any_of else -math.fsum(of_hits) / len(of_hits)


def gradient(
    w: Floats, z: Floats, hits: np.ndarray[tuple[int], np.dtype[np.bool_]], *, any_of: bool
) -> Floats:
    """Return the gradient by finite differences."""
    h = 1e-5
    steps = np.eye(len(w)) * h
    return np.array([
        (loss(w + s, z, hits, any_of=any_of) - loss(w - s, z, hits, any_of=any_of)) / (2 * h) for s in steps
    ])  # fmt: skip


@pytest.mark.parametrize("any_of", [False, True])
def test_a_training_step_is_adagrads_step_down_the_loss(any_of: bool) -> None:
    rng = np.random.default_rng(1)
    ranker = Ranker.new(NAMES, {"a": 0.5, "c": -0.3}, any_of=any_of)
    assert ranker.weights.tolist() == [0.5, 0, -0.3, 0, 0]
    weights, squares, variances = ranker.weights.copy(), np.zeros(5), []
    for n in range(40):
        x, hits = example(rng)
        variances.append([np.var(column) for column in x.T])
        # with fewer examples than are remembered, this is the plain mean
        mean = np.mean(variances, axis=0)
        z = standard(x, mean)
        g = gradient(weights, z, hits, any_of=any_of)
        squares = squares * (1 - FORGET) + g**2
        weights -= RATE * g / np.sqrt(squares + FIRST_SQUARES)
        before = loss(ranker.weights, z, hits, any_of=any_of)
        ranker.learn(x, hits)
        assert ranker.steps == n + 1
        np.testing.assert_allclose(ranker.variance, mean, rtol=1e-9)
        np.testing.assert_allclose(ranker.squares, squares, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(ranker.weights, weights, rtol=1e-4, atol=1e-5)
        if n > 5:
            assert loss(ranker.weights, z, hits, any_of=any_of) < before
        np.testing.assert_allclose(ranker.scores(x), z @ weights, rtol=1e-3, atol=1e-4)


def test_the_usual_variance_counts_as_some_examples() -> None:
    rng = np.random.default_rng(8)
    ranker = Ranker.new(NAMES, {}, {"a": 0.25, "b": 4.0})
    assert ranker.variance.tolist() == pytest.approx([0.25, 4.0, 1.0, 1.0, 1.0])
    found = []
    for _ in range(30):
        x, hits = example(rng)
        found.append(np.var(x, axis=0))
        ranker.learn(x, hits)
    mean = np.sum(found, axis=0)
    assert ranker.variance[:2].tolist() == pytest.approx(
        [(20 * 0.25 + mean[0]) / 50, (20 * 4 + mean[1]) / 50]
    )
    assert ranker.variance[2:].tolist() == pytest.approx((mean[2:] / 30).tolist())


def test_the_scale_remembers_the_last_examples() -> None:
    rng = np.random.default_rng(2)
    ranker = Ranker.new(NAMES, {})
    for _ in range(3000):
        ranker.learn(*example(rng))
    np.testing.assert_allclose(ranker.variance, np.square((0.1, 1, 5, 20, 1)), rtol=0.1)
    for _ in range(int(3 * STEADY_EXAMPLES)):
        x, hits = example(rng)
        ranker.learn(3 * x, hits)
    np.testing.assert_allclose(ranker.variance, 9 * np.square((0.1, 1, 5, 20, 1)), rtol=0.15)


def stream(
    rng: np.random.Generator, truth: Floats
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Yield examples of a customer who takes roughly what the true weights say."""
    x = rng.normal(size=(30, len(NAMES)))
    hits = np.zeros(30, np.bool_)
    hits[np.argmax(x @ truth + rng.gumbel(size=30))] = True
    return x, hits


def hit_rate(ranker: Ranker, rng: np.random.Generator, truth: Floats, cases: int) -> float:
    """Return the hit rate of the first six, while learning."""
    found = 0
    for _ in range(cases):
        x, hits = stream(rng, truth)
        found += bool(hits[np.argsort(-ranker.scores(x))[:6]].any())
        ranker.learn(x, hits)
    return found / cases


@pytest.mark.parametrize("any_of", [False, True])
def test_it_learns_and_recovers_after_a_drift(any_of: bool) -> None:
    rng = np.random.default_rng(3)
    ranker = Ranker.new(NAMES, {}, any_of=any_of)
    truth = np.array([1.5, -1.0, 0.5, 0.0, 2.0])
    hit_rate(ranker, rng, truth, 8000)
    best = hit_rate(ranker, rng, truth, 1000)
    assert best > 0.85
    truth *= (1, 1, 1, 1, -1)  # what attracted customers repels them now
    assert hit_rate(ranker, rng, truth, 100) < best - 0.3
    hit_rate(ranker, rng, truth, 1500)
    assert hit_rate(ranker, rng, truth, 1000) > best - 0.03


def odd_cases() -> list[tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    x, hits = example(np.random.default_rng(4))
    cases = [
        (x, np.zeros(20, np.bool_)),
        (x, np.ones(20, np.bool_)),
        (x[:0], hits[:0]),
        (x[:1], hits[:1] | True),
    ]
    for odd in (math.nan, math.inf, -math.inf, 1e300, -1e300, 1e9):
        for row, column in ((0, 0), (7, 3), (slice(None), 2), (slice(None), slice(None))):
            broken = x.copy()
            broken[row, column] = odd
            cases.append((broken, hits))
    return cases


def test_odd_data_changes_nothing() -> None:
    ranker = Ranker.new(NAMES, {"a": 1.0})
    ranker.learn(*example(np.random.default_rng(5)))
    before = json.dumps(ranker.state())
    for x, hits in odd_cases():
        ranker.learn(x, hits)
    assert json.dumps(ranker.state()) == before


def test_a_flood_of_data_at_the_edge_stays_finite_and_is_forgotten() -> None:
    """The data have constant and huge features, equal candidates, and hits that contradict one another."""
    rng = np.random.default_rng(6)
    truth = np.array([1.5, -1.0, 0.5, 0.0, 2.0])
    for any_of in (False, True):
        ranker = Ranker.new(NAMES, {}, any_of=any_of)
        best = hit_rate(ranker, rng, truth, 2000)
        for n in range(600):
            x, hits = example(rng)
            x[:, 0] = 7.0
            x[:, 3] *= 40 if n % 2 else 0
            x = np.clip(x, -1000, 1000)
            ranker.learn(np.repeat(x[:1], 20, axis=0) if n % 5 == 0 else x, hits)
            assert np.isfinite([ranker.weights, ranker.squares, ranker.variance]).all()
            assert (np.abs(ranker.weights) <= LARGEST_WEIGHT).all()
            assert np.isfinite(ranker.scores(x)).all()
        hit_rate(ranker, rng, truth, 2000)
        assert hit_rate(ranker, rng, truth, 1000) > best - 0.05


def test_weights_have_a_limit() -> None:
    """Hits that one feature separates without fail would let its weight grow for ever."""
    ranker = Ranker.new(("a",), {"a": LARGEST_WEIGHT - 0.01})
    x = np.array([[0.001]] + [[0.0]] * 3)
    for _ in range(2000):
        ranker.learn(x, np.array([True, False, False, False]))
    assert ranker.weights[0] <= LARGEST_WEIGHT


def test_first_training_steps_leave_every_score_in_range() -> None:
    """In the first training steps, features may not vary, vary little, or vary by a thousand."""
    rng = np.random.default_rng(11)
    for name, start in (("new", START_NEW), ("all", START_ALL)):
        for _ in range(30):
            ranker = new_rankers()[name]
            d = len(ranker.names)
            for n in range(1, 21):
                spread = 10.0 ** rng.integers(-9, 4, d) * (rng.random(d) < 0.7)
                x = np.clip(rng.normal(size=(25, d)) * spread, -1000, 1000) + rng.normal(size=d)
                hits = rng.random(25) < 0.3
                hits[:2] = True, False
                ranker.learn(np.clip(x, -1000, 1000), hits)
                assert ranker.steps == n
                bound = LARGEST_DEVIATION * (sum(map(abs, start.values())) + RATE * n * d)
                for width in (1e-6, 1.0, 1000.0):
                    shown = rng.normal(size=(60, d)) * width * 10.0 ** rng.integers(-3, 2, d)
                    assert np.abs(ranker.scores(shown)).max() <= bound * 1.001


def test_a_feature_that_hardly_varied_at_first_does_not_decide_alone() -> None:
    """The first customer who comes back has owned items that are all alike."""
    rng = np.random.default_rng(12)
    scale = np.sqrt([USUAL.get(name, 0.1) for name in FEATURES])
    for _ in range(20):
        ranker = new_rankers()["all"]
        x = np.tile(rng.normal(size=len(FEATURES)) * scale, (12, 1))
        x += 1e-3 * rng.normal(size=x.shape)  # the difference of purchases in the same minutes
        hits = np.arange(12) < 2
        for training_steps in range(1, 21):
            ranker.learn(x, hits)
            others = rng.normal(size=(200, len(FEATURES))) * scale
            assert np.abs(ranker.scores(others)).max() < 25 + 2 * training_steps


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
    untaught = [Ranker.new(NAMES, {"a": w}).state() for w in (1.0, 2.0)]
    assert average(untaught)["features"]["a"][0] == pytest.approx(1.5)
    with pytest.raises(ValueError, match="no states"):
        average([])


def test_an_average_of_other_features() -> None:
    states = [
        Ranker.new(("a", "b"), {"a": 1.0, "b": 2.0}).state(),
        Ranker.new(("b", "c"), {"b": 4.0}).state(),
    ]
    assert {k: v[0] for k, v in average(states)["features"].items()} == {"a": 1.0, "b": 3.0, "c": 0.0}
