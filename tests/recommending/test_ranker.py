"""Tests of the ranker: its gradient by finite differences, the step, odd data, and drift."""

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
)
from recommending.starting_weights import START_ALL, START_NEW, USUAL, new_rankers
from tests.recommending.examples import NAMES, example, stream


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


def hit_rate(ranker: Ranker, rng: np.random.Generator, truth: Floats, examples: int) -> float:
    """Return the hit rate of the first six, while learning."""
    found = 0
    for _ in range(examples):
        x, hits = stream(rng, truth)
        found += bool(hits[np.argsort(-ranker.scores(x))[:6]].any())
        ranker.learn(x, hits)
    return found / examples


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


def odd_examples() -> list[tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    x, hits = example(np.random.default_rng(4))
    examples = [
        (x, np.zeros(20, np.bool_)),
        (x, np.ones(20, np.bool_)),
        (x[:0], hits[:0]),
        (x[:1], hits[:1] | True),
    ]
    for odd in (math.nan, math.inf, -math.inf, 1e300, -1e300, 1e9):
        for row, column in ((0, 0), (7, 3), (slice(None), 2), (slice(None), slice(None))):
            broken = x.copy()
            broken[row, column] = odd
            examples.append((broken, hits))
    return examples


def test_odd_data_changes_nothing() -> None:
    ranker = Ranker.new(NAMES, {"a": 1.0})
    ranker.learn(*example(np.random.default_rng(5)))
    before = json.dumps(ranker.state())
    for x, hits in odd_examples():
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
