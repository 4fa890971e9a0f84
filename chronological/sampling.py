"""Which outputs a mini-batch computes: all of a small catalogue, a sample of a large one.

The targets of the batch are certain to be among them. Any other item i is taken by itself, with probability

    pi_i = min(1, m (count_i + 1/2)^3/4 / sum over all)

so that about m are. Its exp(score) then stands for 1 / pi_i such (Horvitz and Thompson, JASA 1952): added to
its score, -log pi_i makes the sum of the softmax an unbiased estimate of that over all items. Where pi is 1
for all, the sum is exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from chronological.examples import Ints
from chronological.network import Outputs

MOST_OUTPUTS = 4_096
FLATTEN = 0.75


def probabilities(prior: npt.NDArray[np.float32], most: int = MOST_OUTPUTS) -> npt.NDArray[np.float64]:
    """float64[items]: pi, by the items' log(count + 1/2)."""
    if len(prior) <= most:
        return np.ones(len(prior))
    weights = np.exp(FLATTEN * prior.astype(np.float64))
    pi: npt.NDArray[np.float64] = np.minimum(1.0, most * weights / weights.sum())
    return pi


def outputs(targets: Ints, pi: npt.NDArray[np.float64], rng: np.random.Generator) -> Outputs:
    """Return a sample for a batch with these targets (repeats do not matter)."""
    certain = np.zeros(len(pi), np.bool_)
    certain[targets] = True
    taken = np.flatnonzero(certain | (rng.random(len(pi)) < pi))
    correction = np.where(certain[taken], 0.0, -np.log(pi[taken]))
    return Outputs(taken, correction.astype(np.float32))
