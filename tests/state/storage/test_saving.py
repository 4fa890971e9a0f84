"""With saving in rolling sweeps, crashes at any moment, and replays, the counts equal the oracle's."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.errors import BadSettings, CorruptRecord, StoreFull
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.messages.deltas import decode, encode
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.saving import META, Pace, stored_position
from state.storage.store import MemoryStore, Store
from tests.oracles.counts import Oracle
from tests.state.cluster import Cluster
from tests.state.machines import START_MS, check_counts, check_histories, shop


def _crash(seed: int, window: int, customers: int, open_store: Callable[[str], Store]) -> Cluster:
    """Half of the events have no ids, so only stored offsets keep a replay from counting them twice."""
    named = random.Random(seed)
    events = [
        replace(event, event_id=None) if named.random() < 0.5 else event
        for event in shop(seed, 1500, customers, 150)
    ]
    cluster = Cluster(events, CountingSettings(window=window), random.Random(seed), open_store)
    cluster.run()
    cluster.check(events)
    return cluster


@pytest.mark.parametrize(
    ("seed", "window", "customers"),
    [(1, 1, 10), (2, 3, 20), (3, 5, 60), (4, 50, 30), (5, 9, 300), (6, 5, 3), (7, 2, 40)],
)
def test_crashes_at_any_moment_change_nothing(seed: int, window: int, customers: int) -> None:
    stores: dict[str, MemoryStore] = {}
    cluster = _crash(seed, window, customers, lambda name: stores.setdefault(name, MemoryStore()))
    assert cluster.crashes


def test_a_restart_replays_no_more_than_the_budget() -> None:
    """This excludes what was applied at once before the first step of a sweep."""
    rng, budget, most = random.Random(1), 20_000, 2_000
    machine = CustomerMachine()
    saver = CustomerSaver(machine, MemoryStore())
    saver.load()
    pace, replays = Pace(budget, machine.position), []
    events = shop(31, 80_000, 5_000, 60)
    done = 0
    while done < len(events):
        some = events[done : done + rng.randint(1, most)]
        machine.apply(machine.batch(some))
        done += len(some)
        replays.append(machine.position - saver.stored)
        saver.step(pace.share(machine.position))
    assert budget / 2 < max(replays) <= budget + most  # nor does it write everything all the time


def test_a_sweep_counts_as_stored_from_where_it_began() -> None:
    settings, store, events = CountingSettings(window=4), MemoryStore(), shop(12, 400, 120, 40)
    customers = CustomerMachine(settings)
    saver = CustomerSaver(customers, store)
    customers.apply(customers.batch(events[:200]))
    saver.step(0.0)
    assert saver.sweeping
    customers.apply(customers.batch(events[200:]))
    assert (saver.stored, stored_position(store)) == (0, 0)
    saver.step(1.0)
    assert (saver.stored, stored_position(store)) == (200, 200)


def test_a_step_writes_no_more_records_than_it_may_and_says_what_is_left() -> None:
    settings, store = CountingSettings(window=4), MemoryStore()
    customers = CustomerMachine(settings)
    saver = CustomerSaver(customers, store)
    customers.apply(customers.batch(shop(12, 2_000, 200, 40, forgets=0)))
    n = int(np.count_nonzero(customers.changed))
    left, steps = saver.step(1.0, 20), 1
    assert left == pytest.approx((n - 20) / n)
    assert sum(key.startswith(b"H") for key, _ in store.scan(b"H")) == 20
    while saver.sweeping:
        left, steps = saver.step(left, 20), steps + 1
    assert (left, steps) == (0.0, -(-n // 20))
    assert saver.stored == customers.position


def test_crashes_with_stores_on_disk(tmp_path: Path) -> None:
    cluster = _crash(8, 5, 40, lambda name: RocksStore(tmp_path / name))
    assert cluster.crashes
    for saver in (*cluster.customers, *cluster.items):
        saver.save_all()
        saver.close()


def _saved(settings: CountingSettings) -> tuple[MemoryStore, MemoryStore, list[Event]]:
    events, stores = shop(9, 300, 10, 40), (MemoryStore(), MemoryStore())
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    savers = CustomerSaver(customers, stores[0]), ItemSaver(items, stores[1])
    for message in customers.apply(customers.batch(events)).deltas[0]:
        items.apply(message)
    for saver in savers:
        saver.save_all()
        assert saver.stored == saver.position()
        assert not saver.sweeping
    return *stores, events


def test_saved_state_needs_no_replay() -> None:
    settings = CountingSettings(window=4)
    customer_store, item_store, events = _saved(settings)
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    CustomerSaver(customers, customer_store).load()
    ItemSaver(items, item_store).load()
    assert customers.position == len(events)
    oracle = Oracle(4).feed(events)
    check_histories([customers], lambda _: 0, oracle)
    check_counts([items], lambda _: 0, oracle)
    more = shop(10, 200, 10, 60)
    for message in customers.apply(customers.batch(more)).deltas[0]:
        items.apply(decode(encode(message)))
    oracle.feed(more)
    check_histories([customers], lambda _: 0, oracle)
    check_counts([items], lambda _: 0, oracle)


def test_a_saved_machine_writes_nothing_again() -> None:
    stores = _saved(CountingSettings())
    for saver in (CustomerSaver(CustomerMachine(), stores[0]), ItemSaver(ItemMachine(), stores[1])):
        saver.load()
        before = dict(saver.store.records)  # type: ignore[attr-defined]
        saver.save_all()
        assert saver.store.records == before  # type: ignore[attr-defined]


def test_other_settings_are_refused_by_name() -> None:
    customer_store, item_store, _ = _saved(CountingSettings(window=4))
    other = CountingSettings(window=5)
    with pytest.raises(BadSettings, match="made with window 4, now it is 5: set window back"):
        CustomerSaver(CustomerMachine(other), customer_store).load()
    with pytest.raises(BadSettings, match="made with window 4, now it is 5"):
        ItemSaver(ItemMachine(other), item_store).load()
    with pytest.raises(BadSettings, match="made with partitions 1, now it is 2"):
        CustomerSaver(CustomerMachine(CountingSettings(window=4), partitions=2), customer_store).load()
    with pytest.raises(BadSettings, match="made with row_capacity 32768, now it is 64"):
        ItemSaver(ItemMachine(CountingSettings(window=4, row_capacity=64)), item_store).load()
    with pytest.raises(BadSettings, match="made with partition 0, now it is 1"):
        ItemSaver(ItemMachine(CountingSettings(window=4), partition=1), item_store).load()


def test_a_store_without_meta_is_replayed_from_the_start() -> None:
    """A crash in the first sweep leaves records and dictionaries, but no META."""
    settings = CountingSettings(window=4)
    customer_store, item_store, events = _saved(settings)
    del customer_store.records[META], item_store.records[META]
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    CustomerSaver(customers, customer_store).load()
    ItemSaver(items, item_store).load()
    assert customers.position == items.position == 0
    whole = CustomerMachine(settings)
    deltas = whole.apply(whole.batch(events)).deltas[0]
    customers.apply(customers.batch(events))
    for message in deltas:
        items.apply(message)
    oracle = Oracle(4).feed(events)
    check_histories([customers], lambda _: 0, oracle)
    check_counts([items], lambda _: 0, oracle)


class _FullOnce:
    """A RocksDB store whose disk is full for one write, and has room again for the next."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self._full = True

    def write(self, batch: Any, options: Any) -> None:
        if self._full:
            self._full = False
            raise Exception("IO error: No space left on device")
        self._db.write(batch, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def test_after_a_write_that_failed_nothing_is_stored_over_the_gap(tmp_path: Path) -> None:
    """The failed write marked its records as stored, so a later sweep would leave them out."""
    first, second = shop(11, 300, 30, 40), shop(12, 300, 30, 40)
    store = RocksStore(tmp_path)
    machine = CustomerMachine()
    saver = CustomerSaver(machine, store)
    machine.apply(machine.batch(first))
    saver.save_all()
    machine.apply(machine.batch(second))
    store._db = _FullOnce(store._db)
    with pytest.raises(StoreFull):
        saver.step(1.0)
    with pytest.raises(StoreFull):
        saver.save_all()
    saver.close()

    again = CustomerMachine()
    saver = CustomerSaver(again, RocksStore(tmp_path))
    saver.load()
    assert again.position == len(first)
    check_histories([again], lambda _: 0, Oracle(50).feed(first))
    again.apply(again.batch(second))
    check_histories([again], lambda _: 0, Oracle(50).feed(first + second))
    saver.close()


def test_a_damaged_record_is_named() -> None:
    customer_store, item_store, _ = _saved(CountingSettings())
    for store, saver, prefix in (
        (customer_store, CustomerSaver(CustomerMachine(), customer_store), b"H"),
        (item_store, ItemSaver(ItemMachine(), item_store), b"r"),
        (item_store, ItemSaver(ItemMachine(), item_store), b"p"),
    ):
        key, raw = next(iter(store.scan(prefix)))
        store.records[key] = raw[:-1] + bytes([raw[-1] ^ 1])
        with pytest.raises(CorruptRecord, match="record b'" + prefix.decode()):
            saver.load()
        store.records[key] = raw


def test_empty_machines_save_and_load() -> None:
    stores = MemoryStore(), MemoryStore()
    for _ in range(2):
        for saver in (CustomerSaver(CustomerMachine(), stores[0]), ItemSaver(ItemMachine(), stores[1])):
            saver.load()
            assert saver.position() == 0
            saver.step(1.0)


def test_forgotten_customers_stay_forgotten() -> None:
    store, machine = MemoryStore(), CustomerMachine()
    saver = CustomerSaver(machine, store)
    machine.apply(machine.batch([Event("ann", "tea", START_MS, event_id="e1")]))
    saver.save_all()
    machine.apply(machine.batch([Event("ann", "", START_MS, action=2)]))  # type: ignore[arg-type]
    saver.save_all()
    again = CustomerMachine()
    CustomerSaver(again, store).load()
    assert again.history("ann") == []
    assert again.customer_count == 0
