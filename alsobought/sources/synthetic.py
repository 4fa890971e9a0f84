"""Made-up purchases, as many as one likes: seeded, in order of time, a block at a time.

    shape = Shape(items=1_000_000, customers=5_000_000, events=10_000_000, seed=1)
    for block in blocks(shape):
        block.customers, block.items, block.times_ms, block.quantities, block.baskets    # numpy arrays

- Item popularity is Zipf's with exponent 1, so each doubling of the rank has as many purchases.
- Customers are heavy-tailed: the rate falls with the rank to the power `CUSTOMER_EXPONENT`.
- Purchases come in baskets of one customer, `BASKET_ITEMS` on average; half of a basket's items are of the
  group of its first, of `GROUP_ITEMS` neighbours in rank, so some items are related.
- Popularity drifts: each rank passes to another item `drift` times a year, at a time of its own.

Every block has a random generator of its own, from the seed and the block's number, so any block is made
without those before it, and nothing but a block is ever in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alsobought.sources.arrays import Array, array, text
from alsobought.sources.table import Position, Refuse, RowBatch

NAME = "synthetic"
BLOCK_EVENTS = 65_536
START_MS = 1_735_689_600_000  # 2025
DAY_MS = 86_400_000

CUSTOMER_EXPONENT = 0.6
BASKET_ITEMS = 4
GROUP_ITEMS = 8
LARGEST_QUANTITY = 9

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What a stream is like; equal shapes give equal streams.

    Attributes
    ----------
    items, customers, events
        How many there are; of the items and customers not all need occur.
    seed
        Another gives another stream.
    days
        The period that the events fill evenly, from `START_MS`.
    drift
        How often a year a rank passes to another item.
    """

    items: int = 10_000
    customers: int = 50_000
    events: int = 1_000_000
    seed: int = 1
    days: int = 365
    drift: float = 2.0

    def __post_init__(self) -> None:
        for name in ("items", "customers", "days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, and is {getattr(self, name)}")
        if self.events < 0 or self.seed < 0 or not 0 <= self.drift < math.inf:
            raise ValueError("events, seed and drift must not be negative, and drift must be finite")


@dataclass(frozen=True)
class Block:
    """Consecutive events, a column each: numbers of customers and items from 0, ms since 1970, baskets."""

    customers: Ints
    items: Ints
    times_ms: Ints
    quantities: Ints
    baskets: Ints


def blocks(shape: Shape) -> Iterator[Block]:
    """Yield all events of a stream, at most `BLOCK_EVENTS` at a time."""
    for number in range(-(-shape.events // BLOCK_EVENTS)):
        yield block_of(shape, number)


def block_of(shape: Shape, number: int) -> Block:
    """Return one block: the events from `number` x `BLOCK_EVENTS`.

    >>> block_of(Shape(seed=7), 3).items[:4].tolist() == block_of(Shape(seed=7), 3).items[:4].tolist()
    True
    """
    rng = np.random.default_rng([shape.seed, number])
    first = number * BLOCK_EVENTS
    count = min(BLOCK_EVENTS, shape.events - first)
    progress = (first + np.arange(count) + rng.random(count)) / shape.events
    opens = rng.random(count) < 1 / BASKET_ITEMS
    opens[0] = True
    basket = np.cumsum(opens) - 1
    baskets = int(basket[-1]) + 1
    customers = _scattered(_ranks(rng.random(baskets), shape.customers, CUSTOMER_EXPONENT), shape.customers)
    ranks = _ranks(rng.random(count), shape.items, 1.0)
    themes = ranks[np.flatnonzero(opens)] // GROUP_ITEMS * GROUP_ITEMS
    of_theme = np.minimum(themes[basket] + rng.integers(0, GROUP_ITEMS, count), shape.items - 1)
    ranks = np.where(~opens & (rng.random(count) < 0.5), of_theme, ranks)
    return Block(
        customers[basket],
        _drifted(ranks, progress, shape),
        START_MS + (progress * (shape.days * DAY_MS)).astype(np.int64),
        np.minimum(rng.geometric(0.8, count), LARGEST_QUANTITY).astype(np.int64),
        first + np.flatnonzero(opens)[basket],
    )


def _ranks(uniform: npt.NDArray[np.float64], count: int, exponent: float) -> Ints:
    """Return ranks from 0, high ones more rarely: the inverse of a power law's distribution function."""
    if exponent == 1.0:
        found = (count + 1.0) ** uniform
    else:
        power = 1.0 - exponent
        found = (1.0 + uniform * ((count + 1.0) ** power - 1.0)) ** (1.0 / power)
    return np.minimum(found.astype(np.int64) - 1, count - 1)


def _scattered(ranks: Ints, count: int) -> Ints:
    """Return a permutation of 0 to `count` - 1, so that a number does not reveal its rank."""
    factor = int(count * 0.6180339887) | 1
    while math.gcd(factor, count) != 1:
        factor += 2
    return (ranks * factor + count // 3) % count


def _drifted(ranks: Ints, progress: npt.NDArray[np.float64], shape: Shape) -> Ints:
    """Return the item that has a rank at a time: a permutation at any time at which no rank changes hands."""
    phase = (ranks * 0.7548776662) % 1.0
    changes = np.floor(progress * (shape.drift * shape.days / 365) + phase).astype(np.int64)
    return _scattered((ranks + changes * (shape.items * 5 // 13 + 1)) % shape.items, shape.items)


class SyntheticPurchases:
    """One pass over a stream, as rows; their ids are c0 ..., i0 ... and b0 ... ."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._done = 0

    @property
    def position(self) -> Position:
        """How many purchases have been made up."""
        return Position(self._done, self._shape.events, "rows")

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:  # noqa: ARG002  # all are good
        """Yield the purchases."""
        for block in blocks(self._shape):
            count = len(block.items)
            yield RowBatch(
                range(self._done + 1, self._done + count + 1),
                {
                    "customer_id": _named("c", block.customers),
                    "item_id": _named("i", block.items),
                    "timestamp": array(block.times_ms),
                    "quantity": array(block.quantities),
                    "basket_id": _named("b", block.baskets),
                },
            )
            self._done += count


def _named(letter: str, numbers: Ints) -> Array:
    named: Array = pc.binary_join_element_wise(text(letter), array(numbers).cast(pa.string()), text(""))
    return named
