"""Which events of a log still hold: of who was erased nothing before that, of what was returned nothing."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.integer[Any]]


def holding(
    customers: Numbers, items: Numbers, quantities: Numbers, erasures: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the places of purchases that hold, in a log in which those of one customer are in their order.

    Parameters
    ----------
    customers, items
        Numbers, of each event; the item of an erasure says nothing.
    quantities
        Negative for a return, which counts if there is as much to return. An item of which nothing is left
        is as one never taken.
    erasures
        Which events erase their customer.
    """
    places = np.arange(len(customers))
    erased = np.full(int(customers.max(initial=-1)) + 1, -1)
    np.maximum.at(erased, customers[erasures], places[erasures])
    after = places[~erasures & (places > erased[customers])]
    pairs = customers[after].astype(np.int64) * (int(items.max(initial=0)) + 1) + items[after]
    with_returns = np.isin(pairs, pairs[quantities[after] < 0])
    kept = after[~with_returns].tolist()
    left: dict[int, int] = {}
    taken: dict[int, list[int]] = {}
    for place, pair in zip(after[with_returns].tolist(), pairs[with_returns].tolist(), strict=True):
        quantity, had = int(quantities[place]), left.get(pair, 0)
        if quantity > 0:
            taken.setdefault(pair, []).append(place)
        if had + quantity >= 0:
            left[pair] = had + quantity
        if left.get(pair) == 0:
            taken[pair] = []
    return np.array(sorted(chain(kept, *taken.values())), np.int64)
