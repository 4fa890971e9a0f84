"""Find which events of a log still count, after returns and erasures.

An erasure removes all earlier events of its customer; a return removes purchases of its item.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.integer[Any]]


def holding(
    customers: Numbers, items: Numbers, quantities: Numbers, erasures: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the indices of the purchases that still count; events of one customer must be in order.

    Parameters
    ----------
    customers, items
        The numbers of each event; the item of an erasure is ignored.
    quantities
        Negative for a return, which counts if the customer has as many. An item that is returned entirely is
        treated as if it had never been bought.
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
