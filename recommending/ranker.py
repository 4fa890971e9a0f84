"""The ranker: a softmax over candidates whose weights are learnt on the stream itself.

p_i = softmax_i(w . z_i), z_ij = (x_ij - mean_j) / scale_j, cut off at 20 on both sides; mean_j is the mean
over the candidates of the example. When a customer comes back, the candidates that were bought, y, make a
training step. Its gradient is that of the cross-entropy, sum_i (p_i - y_i / |y|) z_i; where any hit will do
(`any_of`), y_i p_i / sum_pos p takes the place of y_i / |y|. Steps are Adagrad's (Duchi, Hazan and Singer,
JMLR 2011) with rate 0.1, except that the squared gradients are slowly forgotten.

The scale of a feature is its standard deviation among the candidates of an example: the root of a running
mean of variances, which begins with the feature's usual variance as if 20 examples had had it. Where the
usual variance is not known, the mean begins with the first example in which the feature varies. When
candidates are scored, the variance is taken to be at least a tenth of the usual one, because a feature that
hardly varied in the first examples must not decide alone. The squared gradients begin as if ten training
steps had been taken, so that the first steps, which are noisy, do not spoil the starting weights, which suit
most shops.

After n training steps a weight is off its start by 0.1 n at most, and no score is further from 0 than 20
times the sum of the weights' sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

Floats = npt.NDArray[np.float64]

RATE = 0.1
STEADY_EXAMPLES = 500.0  # the running mean of variances remembers about so many
USUAL_EXAMPLES = 20.0  # the usual variance counts as so many
FIRST_SQUARES = 10.0  # about what ten training steps add to the squared gradients of a weight
LEAST_SHARE = 0.1  # of a feature's usual variance: its variance is taken to be at least that in scores
LEAST_VARIANCE = 1e-4  # added to every variance, as a feature that never varied may begin to vary
LARGEST_DEVIATION = 20.0  # of 400 candidates, none is further from their mean by their own deviation
FORGET = 1 / 4_000  # of the squares, each training step: steps must not shrink for ever, for tastes change
LARGEST_FEATURE = 1000.0  # features are logarithms: a larger one is a mistake
LARGEST_WEIGHT = 20.0


@kernel
def standardised(x: Floats, variance: Floats) -> Floats:
    """Return z float64[n, d] (see the module) of candidates x float64[n, d]."""
    n, d = x.shape
    z = np.empty((n, d))
    for j in range(d):
        mean = 0.0
        for i in range(n):
            mean += x[i, j]
        mean /= max(n, 1)
        root = np.sqrt(variance[j] + LEAST_VARIANCE)
        for i in range(n):
            z[i, j] = min(max((x[i, j] - mean) / root, -LARGEST_DEVIATION), LARGEST_DEVIATION)
    return z


@kernel
def score(x: Floats, weights: Floats, variance: Floats, least: Floats) -> Floats:
    """Return w . z, float64[n], of candidates x float64[n, d]."""
    z = standardised(x, np.maximum(variance, least))
    scores = np.zeros(len(z))
    for i in range(len(z)):
        for j in range(len(weights)):
            scores[i] += z[i, j] * weights[j]
    return scores


@kernel
def _training_step(
    x: Floats, hits: npt.NDArray[np.bool_], any_of: bool, weights: Floats, squares: Floats, variance: Floats,
    steps: float, usual: Floats,
) -> bool:  # fmt: skip
    """Take one training step in place; return False where there is nothing to learn.

    `steps` is the number of steps before; `usual` has, per feature, as how many of them its usual variance
    counts.
    """
    n, d = x.shape
    n_hits = 0
    for i in range(n):
        n_hits += hits[i]
        for j in range(d):
            if not abs(x[i, j]) <= LARGEST_FEATURE:
                return False
    if n_hits == 0 or n_hits == n:
        return False
    for j in range(d):
        mean = 0.0
        for i in range(n):
            mean += x[i, j]
        mean /= n
        squared = 0.0
        for i in range(n):
            squared += (x[i, j] - mean) ** 2
        if squares[j] > 0.0:
            variance[j] += (squared / n - variance[j]) / min(steps + usual[j] + 1.0, STEADY_EXAMPLES)
        elif squared > 0.0:  # the first training step in which this feature varies
            variance[j] += (squared / n - variance[j]) / (usual[j] + 1.0)
    z = standardised(x, variance)
    p = np.zeros(n)
    for i in range(n):
        for j in range(d):
            p[i] += z[i, j] * weights[j]
    p = np.exp(p - p.max())
    p /= p.sum()
    of_hits = 0.0
    for i in range(n):
        if hits[i]:
            of_hits += p[i]
    gradient = np.zeros(d)
    for i in range(n):
        wanted = 0.0
        if hits[i]:
            wanted = p[i] / of_hits if any_of and of_hits > 0.0 else 1.0 / n_hits
        for j in range(d):
            gradient[j] += (p[i] - wanted) * z[i, j]
    for j in range(d):
        squares[j] += gradient[j] ** 2 - FORGET * squares[j]
        step = RATE * gradient[j] / np.sqrt(squares[j] + FIRST_SQUARES)  # at most RATE
        weights[j] = min(max(weights[j] - step, -LARGEST_WEIGHT), LARGEST_WEIGHT)
    return True


@dataclass
class Ranker:
    """The weights of some features, and what their training needs.

    Attributes
    ----------
    names : sequence of str
        The features.
    weights, squares, variance : float64[d]
        Weights of standardised features; Adagrad's sums of squared gradients; variance of the features.
    least : float64[d]
        The least value that each variance is taken to have when candidates are scored.
    steps : float
        Training steps so far.
    """

    names: Sequence[str]
    weights: Floats
    least: Floats
    any_of: bool = False
    squares: Floats = field(init=False)
    variance: Floats = field(init=False)
    steps: float = 0.0

    def __post_init__(self) -> None:
        self.squares = np.zeros(len(self.names))
        self.variance = np.where(self.least > 0.0, self.least / LEAST_SHARE, 1.0)

    @staticmethod
    def new(
        names: Sequence[str],
        start: Mapping[str, float],
        usual: Mapping[str, float] | None = None,
        *,
        any_of: bool = False,
    ) -> Ranker:
        """Return a ranker that begins with the weights `start`, 0 for other features.

        `usual` has the usual variances of the features where they are known.
        """
        weights = np.array([start.get(name, 0.0) for name in names])
        least = LEAST_SHARE * np.array([(usual or {}).get(name, 0.0) for name in names])
        return Ranker(tuple(names), weights, least, any_of)

    def scores(self, x: Floats) -> Floats:
        """Return scores float64[n] of candidates float64[n, d]; larger is better, their mean is about 0."""
        return score(np.ascontiguousarray(x), self.weights, self.variance, self.least)

    def learn(self, x: Floats, hits: npt.NDArray[np.bool_]) -> None:
        """Take one training step from an example; `hits` has which of its candidates were bought.

        Nothing is learnt if none or all of them were bought, or if a feature is huge or NaN.
        """
        usual = np.where(self.least > 0.0, USUAL_EXAMPLES, 0.0)
        x = np.ascontiguousarray(x)
        self.steps += _training_step(
            x, hits, self.any_of, self.weights, self.squares, self.variance, self.steps, usual
        )

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` takes; "cases" is the number of training steps."""
        columns = zip(self.weights, self.squares, self.variance, strict=True)
        return {
            "cases": self.steps,
            "features": {
                name: [float(v) for v in values] for name, values in zip(self.names, columns, strict=True)
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; features that it does not have keep their present values."""
        for n, name in enumerate(self.names):
            if name in state["features"]:
                self.weights[n], self.squares[n], self.variance[n] = state["features"][name]
        self.steps = float(state["cases"])

    def adopt(self, mean: Mapping[str, Any]) -> None:
        """Take the weights of an average, but keep the own number of training steps."""
        steps = self.steps
        self.restore(mean)
        self.steps = steps
