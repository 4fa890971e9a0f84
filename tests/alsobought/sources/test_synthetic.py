"""Made-up purchases are repeatable and in order, and have the requested shape."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from alsobought.sources import open_synthetic
from alsobought.sources.synthetic import BLOCK_EVENTS, DAY_MS, START_MS, Block, Shape, block_of, blocks

SHAPE = Shape(items=2_000, customers=5_000, events=3 * BLOCK_EVENTS + 17, seed=4)


def _column(shape: Shape, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([getattr(block, name) for block in blocks(shape)])


def test_events_are_as_many_as_asked_in_order_and_in_range() -> None:
    times, items, customers = (_column(SHAPE, name) for name in ("times_ms", "items", "customers"))
    assert len(times) == len(items) == len(customers) == SHAPE.events
    assert (np.diff(times) >= 0).all()
    assert times[0] >= START_MS
    assert times[-1] < START_MS + SHAPE.days * DAY_MS
    assert (items.min(), items.max()) == (0, SHAPE.items - 1)
    assert 0 <= customers.min() <= customers.max() < SHAPE.customers
    assert set(np.unique(_column(SHAPE, "quantities"))) <= set(range(1, 10))


def test_the_same_shape_gives_the_same_events_block_by_block() -> None:
    def equal(one: Block, other: Block) -> bool:
        return all((vars(one)[name] == vars(other)[name]).all() for name in vars(one))

    assert equal(list(blocks(SHAPE))[2], block_of(SHAPE, 2))
    other = block_of(Shape(items=2_000, customers=5_000, events=SHAPE.events, seed=5), 2)
    assert not equal(block_of(SHAPE, 2), other)


def test_items_are_zipfs_and_customers_heavy_tailed() -> None:
    shape = Shape(items=1_000, customers=10_000, events=4 * BLOCK_EVENTS, drift=0)
    counts = np.sort(np.bincount(_column(shape, "items"), minlength=shape.items))[::-1]
    # Each doubling of the rank has about as many purchases.
    doublings = [counts[2**n : 2 ** (n + 1)].sum() for n in range(3, 9)]
    assert max(doublings) < 1.5 * min(doublings)
    buyers = np.sort(np.bincount(_column(shape, "customers"), minlength=shape.customers))[::-1]
    assert 0.2 < buyers[:500].sum() / shape.events < 0.5
    assert buyers[0] > 20 * np.median(buyers)


def test_popularity_drifts_and_does_not_without_drift() -> None:
    def alike(drift: float) -> float:
        items = _column(Shape(items=1_000, events=4 * BLOCK_EVENTS, drift=drift), "items")
        early, late = (np.bincount(half, minlength=1_000) for half in np.split(items, 2))
        return float(np.corrcoef(early, late)[0, 1])

    assert alike(0) > 0.99
    assert alike(2) < 0.5


def test_items_of_a_group_go_together() -> None:
    shape = Shape(items=1_000, events=BLOCK_EVENTS, drift=0)
    block = block_of(shape, 0)
    same = block.baskets[1:] == block.baskets[:-1]
    assert (block.customers[1:][same] == block.customers[:-1][same]).all()
    assert 2.5 < shape.events / len(np.unique(block.baskets)) < 5.5
    pairs = block.items[:-1][same] * shape.items + block.items[1:][same]
    others = np.random.default_rng(1).permutation(block.items[1:][same])
    shuffled = block.items[:-1][same] * shape.items + others
    assert len(np.unique(pairs)) < 0.9 * len(np.unique(shuffled))


def test_only_a_block_is_in_memory() -> None:
    shape = Shape(items=10_000_000, customers=50_000_000, events=10_000_000_000)
    tracemalloc.start()
    block = block_of(shape, 100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(block.items) == BLOCK_EVENTS
    assert peak < 400 * BLOCK_EVENTS


def test_messages() -> None:
    source = open_synthetic(Shape(events=BLOCK_EVENTS + 5))
    events = [event for batch in source.messages() for event in batch]
    assert len(events) == BLOCK_EVENTS + 5
    assert (source.bad.count, source.in_order) == (0, True)
    first, block = events[0], block_of(Shape(events=BLOCK_EVENTS + 5), 0)
    assert (first.customer_id, first.item_id, first.timestamp, first.basket_id) == (
        f"c{block.customers[0]}", f"i{block.items[0]}", block.times_ms[0], "b0",
    )  # fmt: skip


@pytest.mark.parametrize("wrong", [{"items": 0}, {"customers": 0}, {"events": -1}, {"drift": float("inf")}])
def test_shapes_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Shape(**wrong)  # type: ignore[arg-type]  # of each field its own type
