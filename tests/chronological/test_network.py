"""Tests of the network: loss in plain Python, gradient by finite differences, sampled outputs, Adam."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chronological.adam import B1, B2, EPSILON, Adam
from chronological.examples import Examples, ItemLists
from chronological.network import Floats, Gradient, Network, Outputs, loss, loss_and_gradient
from chronological.sampling import outputs, probabilities

ITEMS, HIDDEN = 12, 5


def rows_of(lists: list[list[int]]) -> ItemLists:
    return ItemLists(
        np.cumsum([0, *map(len, lists)]), np.array([i for some in lists for i in some], np.int64)
    )


def network(seed: int, items: int = ITEMS) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        rng.normal(size=(items, HIDDEN)), rng.normal(size=(items, HIDDEN)), rng.normal(size=HIDDEN)
    )


def batch(seed: int, customers: int = 6, items: int = ITEMS, *, unwanted: bool = True) -> Examples:
    rng = np.random.default_rng(seed)
    history, targets, not_wanted = [], [], []
    for _ in range(customers):
        mixed = rng.permutation(items).tolist()
        n = int(rng.integers(1, 6))
        history.append(mixed[:n])
        targets.append(mixed[n : n + int(rng.integers(1, 4))])
        not_wanted.append(sorted(mixed[:n]) if unwanted else [])
    prior = rng.normal(size=items)
    return Examples(
        rows_of(history), rows_of(targets), rows_of(not_wanted), prior, np.arange(customers)
    )  # fmt: skip


def every(items: int = ITEMS) -> Outputs:
    return Outputs(np.arange(items), np.zeros(items))


def plain_loss(net: Network, some: Examples) -> float:
    """Compute the loss as the docstring of the network defines it, number by number."""
    total = 0.0
    for r in range(len(some)):
        history, targets, unwanted = (
            rows.items[rows.start[r] : rows.start[r + 1]].tolist()
            for rows in (some.history, some.targets, some.unwanted)
        )
        h = [
            math.tanh(net.bias[k] + sum(net.inward[x, k] for x in history) / math.sqrt(len(history)))
            for k in range(HIDDEN)
        ]
        scores = {
            y: sum(net.outward[y, k] * h[k] for k in range(HIDDEN)) + some.prior[y]
            for y in range(len(net.outward))
            if y not in unwanted
        }
        z = math.log(sum(math.exp(s) for s in scores.values()))
        total -= sum(scores[y] - z for y in targets) / len(targets)
    return total / len(some)


@pytest.mark.parametrize("unwanted", [False, True])
def test_the_loss_is_the_plain_one(unwanted: bool) -> None:
    for seed in range(5):
        net, some = network(seed), batch(seed, unwanted=unwanted)
        expected = plain_loss(net, some)
        assert loss_and_gradient(net, some, every())[0] == pytest.approx(expected, rel=1e-12)
        assert loss(net, some, at_once=4) == pytest.approx(expected, rel=1e-12)


def dense(net: Network, gradient: Gradient) -> list[Floats]:
    """Return a dense matrix: the named rows, and zeros for the others."""
    inward, outward = np.zeros_like(net.inward), np.zeros_like(net.outward)
    inward[gradient.inward_items], outward[gradient.outward_items] = gradient.inward, gradient.outward
    return [inward, outward, gradient.bias]


@pytest.mark.parametrize("unwanted", [False, True])
def test_the_gradient_is_that_of_finite_differences(unwanted: bool) -> None:
    net, some, h = network(1), batch(1, unwanted=unwanted), 1e-6
    found = dense(net, loss_and_gradient(net, some, every())[1])
    for weights, gradient in zip((net.inward, net.outward, net.bias), found, strict=True):
        for place in np.ndindex(weights.shape):
            was = weights[place]
            weights[place] = was + h
            above = plain_loss(net, some)
            weights[place] = was - h
            below = plain_loss(net, some)
            weights[place] = was
            assert gradient[place] == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-8)


def test_an_untrained_network_ranks_by_the_prior() -> None:
    net, some = Network.new(ITEMS, np.random.default_rng(1)), batch(2)
    np.testing.assert_array_equal(net.scores(some.history, some.prior), np.tile(some.prior, (6, 1)))


def test_of_a_small_catalogue_all_outputs_are_computed() -> None:
    some = batch(3)
    pi = probabilities(some.prior.astype(np.float32), ITEMS)
    assert pi.tolist() == [1.0] * ITEMS
    found = outputs(some.targets.items, pi, np.random.default_rng(0))
    assert found.items.tolist() == list(range(ITEMS))
    assert not found.correction.any()


def test_sampled_outputs_estimate_the_sum_without_bias_and_the_gradient_nearly() -> None:
    items, samples = 300, 4_000
    net, some = network(4, items), batch(4, items=items)
    net.outward *= 0.5
    pi = probabilities(some.prior.astype(np.float32), 150)
    assert 90 < pi.sum() <= 150
    assert pi.min() < 0.4
    scores = net.scores(some.history, some.prior)
    sums, gradients = np.zeros(len(some)), [np.zeros_like(w) for w in (net.inward, net.outward, net.bias)]
    seen = np.zeros(items)
    for seed in range(samples):
        found = outputs(some.targets.items, pi, np.random.default_rng(seed))
        seen[found.items] += 1
        sums += np.exp(scores[:, found.items] + found.correction).sum(axis=1)
        for total, one in zip(gradients, dense(net, loss_and_gradient(net, some, found)[1]), strict=True):
            total += one
    certain = np.isin(np.arange(items), some.targets.items)
    assert (seen[certain] == samples).all()
    np.testing.assert_allclose(seen[~certain] / samples, pi[~certain], atol=0.04)
    np.testing.assert_allclose(sums / samples, np.exp(scores).sum(axis=1), rtol=0.01)
    exact = dense(net, loss_and_gradient(net, some, every(items))[1])
    for total, expected in zip(gradients, exact, strict=True):
        error = np.linalg.norm(total / samples - expected) / np.linalg.norm(expected)
        assert error < 0.05


def test_adam_is_its_formula() -> None:
    """Rows that are not updated keep their moments, and each row counts its own steps."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(6, 3))
    adam, found = Adam.of(weights), weights.copy()
    m, v, t = np.zeros((6, 3)), np.zeros((6, 3)), [0] * 6
    for n in range(50):
        rows = np.arange(6) if n % 3 else np.flatnonzero(rng.random(6) < 0.5)
        gradient = rng.normal(size=(len(rows), 3))
        adam.step(found, rows, gradient, 0.01)
        for row, g in zip(rows.tolist(), gradient, strict=True):
            t[row] += 1
            for c in range(3):
                m[row, c] = B1 * m[row, c] + (1 - B1) * g[c]
                v[row, c] = B2 * v[row, c] + (1 - B2) * g[c] ** 2
                corrected = m[row, c] / (1 - B1 ** t[row]), v[row, c] / (1 - B2 ** t[row])
                weights[row, c] -= 0.01 * corrected[0] / (math.sqrt(corrected[1]) + EPSILON)
        np.testing.assert_allclose(found, weights, rtol=1e-10, atol=1e-12)
    assert adam.steps.tolist() == t
