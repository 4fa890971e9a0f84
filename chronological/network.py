"""The network: scores of all items for a flat history.

    h = tanh(b + sum of U_x over the history's items x / sqrt(their number))      100 hidden units
    score of y = V_y . h + prior of y
    p = softmax(score)

The prior stands for the output's bias: log of how often y is bought, which is a softmax's best bias when the
rest says nothing. V begins as zeros, so that an untrained network ranks by the prior. The loss of a customer
is the cross-entropy of p with the targets, each target counting as much; of a batch, the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chronological.examples import Examples, Ints, ItemLists
from chronological.kernels import sum_rows

HIDDEN = 100
SPREAD = 0.1  # of the first weights of the input

Floats = npt.NDArray[Any]  # float32; tests compute in float64


@dataclass
class Network:
    """The weights.

    Attributes
    ----------
    inward, outward : float32[items, hidden]
        U and V.
    bias : float32[hidden]
        b.
    """

    inward: Floats
    outward: Floats
    bias: Floats

    @staticmethod
    def new(items: int, rng: np.random.Generator, hidden: int = HIDDEN) -> Network:
        """Return an untrained one."""
        inward = (SPREAD * rng.standard_normal((items, hidden))).astype(np.float32)
        return Network(inward, np.zeros_like(inward), np.zeros(hidden, np.float32))

    def copy(self) -> Network:
        """Another with the same weights."""
        return Network(self.inward.copy(), self.outward.copy(), self.bias.copy())

    def hidden(self, history: ItemLists) -> Floats:
        """float[rows, hidden] of rows that are not empty."""
        sums = sum_rows(self.inward, history.items, history.start)
        scale = 1.0 / np.sqrt(history.lengths()).astype(sums.dtype)
        h: Floats = np.tanh(sums * scale[:, None] + self.bias)
        return h

    def scores(self, history: ItemLists, prior: Floats) -> Floats:
        """float[rows, items]."""
        return self.hidden(history) @ self.outward.T + prior


class Outputs(NamedTuple):
    """The items whose scores a batch computes, ascending, and what is added to a score, float[outputs].

    The latter is minus the log of the probability that the item is among them (see
    `chronological.sampling`), 0 for those that are certain to be.
    """

    items: Ints
    correction: Floats


class Gradient(NamedTuple):
    """Of the loss, by weights: rows of `inward` and `outward` that are not named have none."""

    inward_items: Ints
    inward: Floats
    outward_items: Ints
    outward: Floats
    bias: Floats


def loss_and_gradient(net: Network, batch: Examples, outputs: Outputs) -> tuple[float, Gradient]:
    """Return the mean loss of a batch and its gradient; the outputs must hold every target.

    Scores of other items enter by their sum only, so with sampled outputs it is that sum that is estimated.
    """
    rows, history = len(batch), batch.history
    h = net.hidden(history)
    outward = net.outward[outputs.items]
    scores = h @ outward.T
    scores += batch.prior[outputs.items] + outputs.correction
    place = np.full(len(net.outward), -1)
    place[outputs.items] = np.arange(len(outputs.items))
    at = place[batch.unwanted.items]
    scores[batch.unwanted.row_of_each()[at >= 0], at[at >= 0]] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    to = batch.targets.row_of_each(), place[batch.targets.items]
    share = (1.0 / batch.targets.lengths()).astype(scores.dtype)[to[0]]
    of_targets = scores[to]
    p = np.exp(scores, out=scores)
    total = p.sum(axis=1, keepdims=True)
    loss = float((np.log(total).sum() - (share * of_targets).sum()) / rows)
    p /= total
    p[to] -= share
    p /= rows
    d_hidden = (p @ outward) * (1.0 - h * h)
    d_rows = d_hidden / np.sqrt(history.lengths()).astype(h.dtype)[:, None]
    order = np.argsort(history.items, kind="stable")
    items, start = np.unique(history.items[order], return_index=True)
    inward = sum_rows(d_rows, history.row_of_each()[order], np.append(start, len(order)))
    return loss, Gradient(items, inward, outputs.items, p.T @ h, d_hidden.sum(axis=0))


def loss(net: Network, examples: Examples, at_once: int = 256) -> float:
    """Return the mean loss of examples, over all outputs."""
    total = 0.0
    for start in range(0, len(examples), at_once):
        some = examples.take(np.arange(start, min(start + at_once, len(examples))))
        scores = net.scores(some.history, some.prior)
        scores[some.unwanted.row_of_each(), some.unwanted.items] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        rows = some.targets.row_of_each()
        total -= float((scores[rows, some.targets.items] / some.targets.lengths()[rows]).sum())
        total += float(np.log(np.exp(scores).sum(axis=1)).sum())
    return total / len(examples)
