"""A seeded stream of purchases of any size: items follow Zipf's law, and customers have a heavy tail."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from state.customers.events import Event

TAIL = 1.3  # Pareto exponent of a customer's number of purchases: a few buy hundreds of items, most buy a few
STEP_MS = 1_000
START_MS = 1_700_000_000_000
BLOCK = 100_000


def zipf(n: int, items: int, customers: int, seed: int) -> Iterator[Event]:
    """Yield n purchases, evenly in time.

    An item is drawn by inverting the continuous Zipf distribution of exponent 1 (the n-th most popular is
    bought 1/n as often as the first), and its id does not depend on its rank. A     customer is drawn from
    cumulated Pareto weights, so that memory is 8 bytes a customer, whatever n is.
    """
    rng = np.random.default_rng(seed)
    weights = np.cumsum(rng.pareto(TAIL, customers) + 1)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        buyers = np.searchsorted(weights, rng.random(size) * weights[-1])
        ranks = (items ** rng.random(size)).astype(np.int64)  # density 1/rank, from 1 to items
        for number, (buyer, rank) in enumerate(zip(buyers.tolist(), ranks.tolist(), strict=True), start):
            yield Event(f"c{buyer}", f"i{rank}", START_MS + STEP_MS * number)
