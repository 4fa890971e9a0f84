"""The ranker: a softmax over candidates whose weights are learnt on the stream itself.

p_i = softmax_i(w . z_i), z_ij = (x_ij - mean_j) / scale_j, cut off at 20 on both sides, mean_j that of the
candidates of the case. When a customer comes back, what was bought among the candidates, y, gives the lesson:
the gradient sum_i (p_i - y_i / |y|) z_i of the cross-entropy; or, where any hit will do (`any_of`), with
y_i p_i / sum_pos p in place of y_i / |y|. Steps are Adagrad's (Duchi, Hazan and Singer, JMLR 2011), rate 0.1,
but that the squared gradients are slowly forgotten. The scale is the features' standard deviation among the
candidates of a case, the root of a running mean of variances that begins with the feature's usual variance,
as if 20 cases had had it. Where that is not known, the mean begins with the first case in which the feature
varies. In scores the deviation is at least that of a tenth of the usual variance: a feature that hardly
varied in the first cases must not decide alone. The squared gradients begin as if some ten lessons had been
had, so that the weights, which begin with what suits most shops, are not lost to the noise of the first ones.

After n lessons a weight is off its start by 0.1 n at most, and no score is further from 0 than 20 times the
sum of the weights' sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

Floats = npt.NDArray[np.float64]

RATE = 0.1
STEADY_CASES = 500.0  # cases the running deviation remembers
USUAL_CASES = 20.0  # that the usual variance counts as
FIRST_SQUARES = 10.0  # about what ten lessons add to the squared gradients of a weight
LEAST_SHARE = 0.1  # of a feature's usual variance, that its variance is taken to be in scores, at least
LEAST_VARIANCE = 1e-4  # a feature that never varied may begin to
LARGEST_DEVIATION = 20.0  # of 400 candidates, none is further from their mean by their own deviation
FORGET = 1 / 4_000  # of the squares, a lesson: so that steps do not shrink for ever, and tastes may change
LARGEST_FEATURE = 1000.0  # features are logarithms: beyond it something is odd
LARGEST_WEIGHT = 20.0


@kernel
def standardised(x: Floats, variance: Floats) -> Floats:
    """z float64[n, d] of candidates x float64[n, d], see above."""
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
    """float64[n], w . z of candidates x float64[n, d]."""
    z = standardised(x, np.maximum(variance, least))
    scores = np.zeros(len(z))
    for i in range(len(z)):
        for j in range(len(weights)):
            scores[i] += z[i, j] * weights[j]
    return scores


@kernel
def _lesson(
    x: Floats, hits: npt.NDArray[np.bool_], any_of: bool, weights: Floats, squares: Floats, variance: Floats,
    cases: float, usual: Floats,
) -> bool:  # fmt: skip
    """One lesson in place; False where there is nothing to learn.

    `cases` are the lessons before; `usual` says as how many of them each usual variance counts.
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
            variance[j] += (squared / n - variance[j]) / min(cases + usual[j] + 1.0, STEADY_CASES)
        elif squared > 0.0:  # the first lesson of this feature
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
    """Weights of some features.

    Attributes
    ----------
    names : sequence of str
        The features.
    weights, squares, variance : float64[d]
        Weights of standardised features; Adagrad's sums of squared gradients; variance of the features.
    least : float64[d]
        What a variance is taken to be at least where candidates are scored.
    cases : float
        Lessons so far.
    """

    names: Sequence[str]
    weights: Floats
    least: Floats
    any_of: bool = False
    squares: Floats = field(init=False)
    variance: Floats = field(init=False)
    cases: float = 0.0

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
        """A ranker that begins with the given weights, 0 for others; `usual` are variances where known."""
        weights = np.array([start.get(name, 0.0) for name in names])
        least = LEAST_SHARE * np.array([(usual or {}).get(name, 0.0) for name in names])
        return Ranker(tuple(names), weights, least, any_of)

    def scores(self, x: Floats) -> Floats:
        """float64[n] of candidates float64[n, d], larger is better; their mean is about 0."""
        return score(np.ascontiguousarray(x), self.weights, self.variance, self.least)

    def learn(self, x: Floats, hits: npt.NDArray[np.bool_]) -> None:
        """One lesson: which of the candidates were bought.

        Nothing is learnt from a case without any, without others, or with features that are odd: huge or NaN.
        """
        usual = np.where(self.least > 0.0, USUAL_CASES, 0.0)
        x = np.ascontiguousarray(x)
        self.cases += _lesson(
            x, hits, self.any_of, self.weights, self.squares, self.variance, self.cases, usual
        )

    def state(self) -> dict[str, Any]:
        """What `restore` takes, by feature."""
        columns = zip(self.weights, self.squares, self.variance, strict=True)
        return {
            "cases": self.cases,
            "features": {
                name: [float(v) for v in values] for name, values in zip(self.names, columns, strict=True)
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; features it does not have keep what they have here."""
        for n, name in enumerate(self.names):
            if name in state["features"]:
                self.weights[n], self.squares[n], self.variance[n] = state["features"][name]
        self.cases = float(state["cases"])

    def adopt(self, mean: Mapping[str, Any]) -> None:
        """Go on with the weights of an average; the number of lessons stays its own."""
        cases = self.cases
        self.restore(mean)
        self.cases = cases


def average(states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of several rankers' states, each counting as much as it has had lessons.

    Raises
    ------
    ValueError
        Without any.
    """
    several = list(states)
    if not several:
        raise ValueError("there are no states to average")
    shares = np.array([max(float(state["cases"]), 1e-9) for state in several])
    shares /= shares.sum()
    names = {name: None for state in several for name in state["features"]}
    features = {}
    for name in names:
        rows = [
            (s, state["features"][name])
            for s, state in zip(shares, several, strict=True)
            if name in state["features"]
        ]
        total = sum(s for s, _ in rows)
        features[name] = [float(sum(s * row[c] for s, row in rows) / total) for c in range(3)]
    return {"cases": float(np.mean([state["cases"] for state in several])), "features": features}
