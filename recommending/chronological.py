"""The predictions of a chronological network: the items it predicts for a customer, and its lift of others.

The network was trained elsewhere, on what customers with similar histories bought next:

    h = tanh(b + sum of U_x over the newest 120 items x of the history / sqrt(their number))
    p_y proportional to (purchases of y in the newest 14 days + 1/2) exp(V_y . h)

It moves the bestsellers of the day towards the customer, and needs no training to follow them. The shares are
taken among the 1,000 items that it knows and that sell best. The feature of an item y, whether it sells or
not, is

    lift of y = log(p_y / q_y), where q are the shares by purchases alone

and 0 for an item that the network does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommending.buffers import QUERY_ITEMS
from recommending.related_lists import IdMapping
from state.memory.ids import Dictionary
from state.popularity.counts import Popularity

SHORTLIST = 1_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ChronologicalModel:
    """A trained network. It never changes, so several threads may read it.

    Attributes
    ----------
    version
        The version, shown in reports.
    items
        The ids of its items; an item's number is its row in the arrays.
    inward, outward, bias
        U and V float32[items, hidden], and b float32[hidden].
    """

    version: int
    items: Dictionary
    inward: Floats
    outward: Floats
    bias: Floats


class Prediction:
    """The prediction of a model for one history."""

    def __init__(
        self, hidden: Floats, shift: float, outward: Floats, to_model: npt.NDArray[np.int32]
    ) -> None:
        self._hidden, self._shift = hidden, shift
        self._outward, self._to_model = outward, to_model

    def lifts(self, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return the lift, float64[n], of items of the related lists."""
        found = np.zeros(len(items))
        fits = items < len(self._to_model)
        rows = np.full(len(items), -1)
        rows[fits] = self._to_model[items[fits]]
        known = rows >= 0
        found[known] = _products(self._outward[rows[known]], self._hidden) - self._shift
        return found


class Predictor:
    """A model, applied to the numbers of the related lists."""

    def __init__(self, model: ChronologicalModel, related_items: Dictionary) -> None:
        self.model = model
        self._to_model = IdMapping(related_items, model.items, adding=False)
        self._items = np.zeros(0, np.int32)  # the shortlist, numbers of the related lists
        self._outward = np.zeros((0, len(model.bias)), np.float32)
        self._prior = np.zeros(0, np.float32)

    def synchronise(self, p: Popularity, to_popularity: npt.NDArray[np.int32]) -> None:
        """Make the shortlist of the items that sell best now."""
        rows = self._to_model.up_to_date()[: len(to_popularity)]
        numbers = np.maximum(to_popularity[: len(rows)], 0)
        fits = (rows >= 0) & (to_popularity[: len(rows)] >= 0) & (p.available[numbers] > 0)
        sold = np.where(fits, p.recent[numbers], 0)
        best = np.argsort(-sold, kind="stable")[:SHORTLIST]
        self._items = best[sold[best] > 0].astype(np.int32)
        self._outward = self.model.outward[rows[self._items]]
        self._prior = np.log(sold[self._items] + 0.5).astype(np.float32)

    def predict(
        self,
        items: npt.NDArray[np.int32],
        last_ms: npt.NDArray[np.int64],
        most: int,
        unfit: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.int32], Prediction | None]:
        """Return the items of the shortlist that a history predicts, best first, and the prediction for
        others.

        If the model knows no item of the history, there are no items and the prediction is None.

        Parameters
        ----------
        items, last_ms
            The history: numbers of the related lists (-1: unknown), and times of the newest purchases.
        most
            How many to predict.
        unfit : bool[items of the related lists]
            Items that must not be predicted.
        """
        numbers = self._to_model.numbers
        rows = np.full(len(items), -1)
        fits = (items >= 0) & (items < len(numbers))
        rows[fits] = numbers[items[fits]]
        known = np.flatnonzero(rows >= 0)
        if not len(known) or not len(self._items):
            return np.zeros(0, np.int32), None
        newest = known[np.argsort(-last_ms[known], kind="stable")][:QUERY_ITEMS]
        model = self.model
        total = model.inward[rows[newest]].sum(axis=0) / np.float32(np.sqrt(len(newest)))
        hidden = np.tanh(model.bias + total)
        scores = _products(self._outward, hidden) + self._prior
        shift = _log_sum(scores) - _log_sum(self._prior)
        scores[unfit[self._items]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:most]
        found = self._items[best[scores[best] > -np.inf]]
        return found, Prediction(hidden, shift, model.outward, numbers)


def _log_sum(values: Floats) -> float:
    largest = float(values.max())
    return largest + float(np.log(np.exp(values - largest).sum()))


def _products(rows: Floats, vector: Floats) -> Floats:
    """Return float32[n] of float32[n, hidden]; without BLAS, whose threads would wait for one another."""
    products: Floats = np.einsum("nh,h->n", rows, vector)
    return products
