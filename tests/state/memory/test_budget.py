"""Machines whose state is larger than their budget give the same results as machines without one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items import row_layout as rl
from state.items import row_memory
from state.items.machine import ItemMachine
from state.items.neighbour_popularity import NeighbourPopularity
from state.items.saver import ItemSaver
from state.memory.budget import records_bytes
from state.messages.deltas import Availability, Source, decode, encode
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.store import MemoryStore, Store
from tests.oracles.counts import Oracle
from tests.state.cluster import PARTITIONS, Cluster
from tests.state.machines import START_MS, check_counts, check_histories, shop
from tests.state.test_real import _real


def check_same(found: ItemMachine, expected: ItemMachine) -> None:
    """Check that two item machines are equal to the last bit, including dropped neighbours and lists."""
    assert list(found.items) == list(expected.items)
    assert found.row_count == expected.row_count
    for row in range(found.row_count):
        columns = [
            sorted(zip(*(c.tolist() for c in machine.neighbours(row)), strict=True))
            for machine in (found, expected)
        ]
        assert columns[0] == columns[1]
        np.testing.assert_array_equal(found.tables.sizes[row], expected.tables.sizes[row])
        head, expected_head = found.tables.rows.heads[row], expected.tables.rows.heads[row]
        np.testing.assert_array_equal(head[rl.MASS :], expected_head[rl.MASS :])
        name = expected.items.id(int(expected.tables.item_of[row]))
        assert found.related(name) == expected.related(name)


@pytest.mark.parametrize(
    ("seed", "window", "customers", "capacity", "budgets"),
    [
        (1, 3, 20, 1 << 15, (0,)),
        (2, 5, 60, 1 << 15, (3_000,)),
        (3, 4, 300, 1 << 15, (20_000, 60_000)),
        (4, 5, 40, 12, (0, 5_000)),
        (5, 50, 30, 16, (None, 0, 10_000)),
        (6, 2, 6, 1 << 15, (None, 1_000, 40_000)),
    ],
)
def test_crashes_and_evictions_change_nothing(
    seed: int, window: int, customers: int, capacity: int, budgets: tuple[int | None, ...]
) -> None:
    """Customers come back after they were forgotten; budgets change, also between two starts."""
    events = shop(seed, 1500, customers, 150, forgets=0.02)
    stores: dict[str, MemoryStore] = {}
    settings = CountingSettings(window=window, row_capacity=capacity, list_length=10)
    cluster = Cluster(
        events, settings, random.Random(seed), lambda name: stores.setdefault(name, MemoryStore()), budgets
    )
    cluster.run()
    assert cluster.crashes
    assert cluster.shrunk
    assert cluster.most_absent
    oracle = Oracle(window).feed(events)
    check_histories([saver.machine for saver in cluster.customers], cluster.partition_of, oracle)
    assert sum(s.machine.customer_count for s in cluster.customers) == oracle.customers()
    if capacity > 150:
        cluster.check(events)
    cluster.sharing.share()
    for p in range(PARTITIONS):
        plain = ItemMachine(settings, p, None, NeighbourPopularity(cluster.sharing.view))
        for position, raw in enumerate(cluster.deltas[p]):
            plain.apply(decode(raw), position)
        assert (plain.tables.rows.heads[:, rl.DROPPED].sum() > 0) == (capacity < 150)
        cluster.items[p].machine.take_in()
        plain.take_in()
        check_same(cluster.items[p].machine, plain)


def _run(
    events: Sequence[Event], settings: CountingSettings, budgets: tuple[int | None, int | None],
    stores: tuple[Store, Store],
) -> tuple[CustomerSaver[CustomerMachine], ItemSaver]:  # fmt: skip
    """Run both machines over all events, each within its budget at every moment."""
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    savers = CustomerSaver(customers, stores[0]), ItemSaver(items, stores[1])
    customers.budget_bytes, items.budget_bytes = budgets
    for start in range(0, len(events), 250):
        for message in customers.apply(customers.batch(events[start : start + 250])).deltas[0]:
            items.apply(decode(encode(message)))
            if budgets[1] is not None:
                assert row_memory.footprint_bytes(items.tables.rows) <= records_bytes(budgets[1])
        if savers[0].over_budget():
            savers[0].shrink()
            assert not savers[0].over_budget()
            assert customers.footprint_bytes() <= records_bytes(budgets[0] or 0)
        if start % 1000 == 0:
            for saver in savers:
                saver.step(0.3)
    return savers


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_tenth_of_the_memory_gives_the_same(tmp_path: Path, *, on_disk: bool) -> None:
    events = _real(6_000, 2)
    settings = CountingSettings(window=8, list_length=20)
    savers = _run(events, settings, (None, None), (MemoryStore(), MemoryStore()))
    plain, expected = savers[0].machine, savers[1].machine
    budgets = (
        plain.footprint_bytes() // 10,
        row_memory.footprint_bytes(expected.tables.rows) // 10,
    )
    stores: tuple[Store, Store] = (
        (RocksStore(tmp_path / "c"), RocksStore(tmp_path / "i"))
        if on_disk
        else (MemoryStore(), MemoryStore())
    )
    savers = _run(events, settings, budgets, stores)
    customers, items = savers[0].machine, savers[1].machine
    assert items.absent > items.row_count / 2
    assert len(customers.customers) < len(plain.customers) / 2
    assert items.evicted >= items.absent
    assert customers.evicted >= len(plain.customers) - len(customers.customers)
    assert plain.evicted == expected.evicted == 0
    oracle = Oracle(8).feed(events)
    check_histories([customers], lambda _: 0, oracle)
    check_counts([items], lambda _: 0, oracle)
    check_same(items, expected)
    for store in stores:
        store.close()


def test_a_store_larger_than_the_budget_is_not_read_at_the_start() -> None:
    events, settings = shop(7, 800, 60, 120), CountingSettings(window=4)
    stores = MemoryStore(), MemoryStore()
    savers = _run(events, settings, (None, None), stores)
    for saver in savers:
        saver.save_all()
    customers, items = savers[0].machine, savers[1].machine
    again, items_again = CustomerMachine(settings, budget_bytes=10_000), ItemMachine(settings, budget_bytes=0)
    CustomerSaver(again, stores[0]).load()
    ItemSaver(items_again, stores[1]).load()
    assert len(again.customers) == 0
    assert len(again.items.numbers) == 0
    assert items_again.absent == items_again.row_count == items.row_count
    assert row_memory.footprint_bytes(items_again.tables.rows) == 0
    assert again.customer_count == customers.customer_count == Oracle(4).feed(events).customers()
    check_same(items_again, items)
    assert row_memory.footprint_bytes(items_again.tables.rows) == 0


def test_an_item_that_cannot_be_bought_leaves_lists_of_rows_that_are_not_in_memory() -> None:
    settings, store = CountingSettings(), MemoryStore()
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    ItemSaver(items, store)
    baskets = [Event(f"c{n}", name, START_MS) for n in range(3) for name in ("tea", "milk", "jam")]
    for message in customers.apply(customers.batch(baskets)).deltas[0]:
        items.apply(message)
    items.rank(np.arange(3))
    items.budget_bytes = 0
    items.rank(np.arange(0))
    assert items.absent == 3
    assert len(items.waiting()) == 0
    items.apply_availability(Availability(Source(1, 0), 0, 1, ["jam"], np.array([0], np.uint8)))
    assert set(items.waiting().tolist()) == {0, 1, 2}
    assert [entry.item_id for entry in items.related("tea")] == ["milk"]


def test_freed_memory_is_used_again() -> None:
    """The budget holds a third for many rounds, and the arenas do not grow beyond it."""
    settings = CountingSettings(window=10)
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    saver, _ = CustomerSaver(customers, MemoryStore()), ItemSaver(items, MemoryStore())
    customers.budget_bytes, items.budget_bytes = 30_000, 60_000
    for round_ in range(12):
        for message in customers.apply(customers.batch(shop(round_, 500, 300, 400))).deltas[0]:
            items.apply(message)
        if saver.over_budget():
            saver.shrink()
        h, rows = customers.histories, items.tables.rows
        assert 8 * (int(h.free[-1]) + int(h.ring_free[-1])) <= 30_000
        assert 8 * int(rows.free[-1]) + 16 * int(rows.meta[rl.SIDE_END]) <= 60_000
        # freed memory is zero, as blocks must be
        assert not rows.arena[rows.free[-1] : rows.free[-1] + 100_000].any()
        assert not h.arena[h.free[-1] : h.free[-1] + 10_000].any()
    assert items.absent
