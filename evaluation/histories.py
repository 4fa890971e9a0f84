"""Events as histories: matrices of customers by items, and items in the order they came."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from evaluation.protocol import Events, Ids


def owned(events: Events) -> sparse.csr_matrix:
    """Return float64 customers x items: 1 where the customer has the item."""
    matrix = bought(events)
    matrix.data[:] = 1.0
    return matrix


def bought(events: Events) -> sparse.csr_matrix:
    """Return float64 customers x items: how many events there are."""
    ones = np.ones(len(events))
    shape = events.n_customers, events.n_items
    return sparse.csr_matrix((ones, (events.customer, events.item)), shape=shape)  # sums what is the same


def newest(events: Events, most: int) -> sparse.csr_matrix:
    """Return float64 customers x items: 1 for the `most` distinct items of each customer with the newest
    events.
    """
    last = Distinct.of(events, newest_first=True)
    rank = np.arange(len(last.item)) - last.starts[last.customer]
    few = rank < most
    shape = events.n_customers, events.n_items
    return sparse.csr_matrix((np.ones(int(few.sum())), (last.customer[few], last.item[few])), shape=shape)


class Distinct(NamedTuple):
    """The distinct items of every customer, one customer after the other.

    Attributes
    ----------
    customer, item : int32[n]
        The customer and the item of each entry.
    starts : int64[n_customers + 1]
        Where the entries of each customer begin.
    """

    customer: Ids
    item: Ids
    starts: npt.NDArray[np.int64]

    @staticmethod
    def of(events: Events, *, newest_first: bool = False) -> Distinct:
        """Return them in the order of first events, or of newest events with the newest first."""
        pairs = events.customer.astype(np.int64) * events.n_items + events.item
        if newest_first:
            pairs = pairs[::-1]
        found, at = np.unique(pairs, return_index=True)
        customer, item = np.divmod(found, max(events.n_items, 1))
        order = np.lexsort((at, customer))
        starts = np.searchsorted(customer, np.arange(events.n_customers + 1))
        return Distinct(customer[order].astype(np.int32), item[order].astype(np.int32), starts)
