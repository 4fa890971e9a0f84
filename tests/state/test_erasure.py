"""A forgotten customer leaves nothing in memory or in the store, and is counted anew after coming back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from state.customers.actions import Action
from state.customers.events import Event, event_hash
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.store import MemoryStore, Store
from tests.oracles.counts import Oracle
from tests.state.cluster import Cluster
from tests.state.machines import START_MS, shop
from tests.state.storage.stored_bytes import bytes_in

ANN = "ann.of.green.gables@example.org"
EVENT = "order-4711-of-ann"
FORGET = Event(ANN, "", START_MS, action=Action.FORGET)
MARKED_MS = 1_234_567_890_123
"""A time that only Ann's events have."""
TRACES = (
    ANN.encode(),
    EVENT.encode(),
    event_hash(EVENT).to_bytes(8, "little"),
    MARKED_MS.to_bytes(8, "little"),
)


def traces(raw: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in raw]


def in_memory(thing: Any, seen: dict[int, Any] | None = None) -> Iterator[bytes]:
    """Return every string and array that a machine holds, as bytes; of arenas only the used beginning."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # the objects are kept, because Python gives a freed object's id to another
    if isinstance(thing, str):
        yield thing.encode()
    elif isinstance(thing, bytes):
        yield thing
    elif isinstance(thing, np.ndarray):
        yield thing.ravel()[:100_000].tobytes()
    elif isinstance(thing, dict):
        for pair in thing.items():
            yield from in_memory(pair, seen)
    elif isinstance(thing, list | tuple | set):
        for one in thing:
            yield from in_memory(one, seen)
    elif hasattr(thing, "__dict__") and not isinstance(thing, RocksStore):
        yield from in_memory(vars(thing), seen)


def bought(n: int = 300) -> list[Event]:
    """Return purchases of others and of Ann, who has so many items that her blocks grow several times."""
    rng = random.Random(1)
    events = shop(1, n, 20, 100, forgets=0.0)
    for item in range(60):
        event_id = EVENT if item == 0 else f"a{item}"
        event = Event(ANN, f"i{item}", MARKED_MS, event_id=event_id)
        events.insert(rng.randrange(len(events)), event)
    return events


def all_bytes(store: Store, path: Path) -> bytes:
    if isinstance(store, MemoryStore):
        return b"".join(part for record in store.records.items() for part in record)
    return bytes_in(path)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("budget", [None, 0, 5_000])
def test_nothing_is_left_of_a_forgotten_customer(
    tmp_path: Path, budget: int | None, *, on_disk: bool
) -> None:
    store: Store = RocksStore(tmp_path) if on_disk else MemoryStore()
    machine = CustomerMachine(CountingSettings(window=3), budget_bytes=budget)
    saver = CustomerSaver(machine, store)
    events = bought()
    for start in range(0, len(events), 50):
        machine.apply(machine.batch(events[start : start + 50]))
        saver.shrink()
        saver.step(0.2)
    saver.save_all()
    assert len(traces(all_bytes(store, tmp_path))) >= 3  # the event's id is stored nowhere, only its hash
    machine.history(ANN)
    assert len({t for raw in in_memory(machine) for t in traces(raw)}) >= 3
    machine.apply(machine.batch([FORGET]))
    saver.step(0.0)
    saver.save_all()
    assert traces(all_bytes(store, tmp_path)) == []
    assert [t for raw in in_memory(saver) for t in traces(raw)] == []
    assert machine.history(ANN) == []
    store.close()
    assert on_disk is False or traces(all_bytes(store, tmp_path)) == []


def test_a_customer_who_comes_back_in_the_same_batch_begins_anew(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    machine = CustomerMachine()
    saver = CustomerSaver(machine, store)
    machine.apply(machine.batch(bought()))
    saver.save_all()
    before = machine.customer_count
    machine.apply(machine.batch([FORGET, Event(ANN, "tea", START_MS), Event("new", "tea", START_MS)]))
    saver.save_all()
    left = all_bytes(store, tmp_path)
    assert traces(left) == [ANN.encode()]
    again = CustomerMachine()
    CustomerSaver(again, store).load()
    for one in (machine, again):
        assert [p.item_id for p in one.history(ANN)] == ["tea"]
        assert one.customer_count == before + 1
    store.close()


def test_without_a_store_nothing_is_kept_of_the_forgotten() -> None:
    machine = CustomerMachine()
    machine.apply(machine.batch([*bought(), FORGET]))
    assert [t for raw in in_memory(machine) for t in traces(raw)] == []


def test_forgetting_a_stranger_changes_nothing() -> None:
    machine = CustomerMachine()
    saver = CustomerSaver(machine, store := MemoryStore())
    machine.apply(machine.batch([Event("bob", "tea", START_MS), FORGET, FORGET]))
    saver.save_all()
    assert machine.customer_count == 1
    assert traces(all_bytes(store, Path())) == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("budgets", [(None,), (0, 4_000, None)])
def test_erasures_with_crashes_at_any_moment(seed: int, budgets: tuple[int | None, ...]) -> None:
    """Few customers are forgotten often and come back at once, so replays find them gone, or back again."""
    events = shop(seed, 900, 5, 40, forgets=0.08, returns=0.2, duplicates=0.15)
    stores: dict[str, MemoryStore] = {}
    cluster = Cluster(
        events, CountingSettings(window=3), random.Random(seed + 100),
        lambda name: stores.setdefault(name, MemoryStore()), budgets,
    )  # fmt: skip
    cluster.run()
    cluster.check(events)
    oracle = Oracle(3).feed(events)
    for p, saver in enumerate(cluster.customers):
        saver.save_all()
        here = {c for c in oracle.histories if cluster.partition_of(c) == p}
        assert saver.machine.customer_count == sum(bool(oracle.histories[c]) for c in here)
        saver.close()
        again = cluster._open_customers(p).machine
        assert again.customer_count == saver.machine.customer_count
        raw = all_bytes(stores[f"customers-{p}"], Path())
        for customer in here:
            erased = not oracle.histories[customer] and not oracle.seen[customer]
            assert (customer.encode() in raw) != erased
