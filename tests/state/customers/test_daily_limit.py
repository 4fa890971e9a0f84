"""At most so many purchases of a customer count on a day; counts are the oracle's, also after restarts."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from state.customers import pairing
from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.errors import BadSettings
from state.settings import CountingSettings
from state.storage import codec
from state.storage.saving import META
from state.storage.store import MemoryStore
from tests.oracles.counts import DAY_MS, Oracle
from tests.state.machines import START_MS, Run, check_counts, check_histories, shop


@pytest.mark.parametrize("most", [1, 3, 10])
def test_counts_with_a_limit_are_the_oracles(most: int) -> None:
    events = shop(17, 1200, 30, 60, returns=0.1, forgets=0.01)
    oracle = Oracle(5, most_a_day=most).feed(events)
    assert oracle.limited
    run = Run.over(events, CountingSettings(window=5, most_a_day=most), partitions=2)
    check_histories(run.customers, run.source_of, oracle)
    check_counts(run.items, run.partition_of, oracle)


def test_the_same_purchases_are_limited_whatever_the_chunks_and_restarts() -> None:
    events = shop(18, 800, 20, 30, returns=0.1, forgets=0.02)
    limited = set(Oracle(5, most_a_day=2).feed(events).limited)
    rng, settings = random.Random(3), CountingSettings(window=5, most_a_day=2)
    machine, store, done, found = CustomerMachine(settings), MemoryStore(), 0, set[int]()
    while done < len(events):
        some = events[done : done + rng.randrange(1, 90)]
        outcomes = machine.apply(machine.batch(some)).outcomes.tolist()
        found |= {done + n for n, outcome in enumerate(outcomes) if outcome == pairing.LIMITED}
        done += len(some)
        CustomerSaver(machine, store).save_all()
        machine = CustomerMachine(settings)
        CustomerSaver(machine, store).load()
    assert found == limited


def test_a_robot_moves_bestsellers_no_more_than_a_customer() -> None:
    robot = [Event("robot", "spam", START_MS + n, event_id=f"r{n}") for n in range(5_000)]
    people = [Event(f"c{n}", "tea", START_MS + n) for n in range(40)]
    run = Run.over([*robot, *people], CountingSettings(most_a_day=20))
    items = run.items[0]
    sold = Counter({name: int(items.popularity.recent[n]) for n, name in enumerate(items.items)})
    assert sold == {"tea": 40, "spam": 20}


def test_a_limit_counts_days_of_event_time_and_not_returns() -> None:
    machine = CustomerMachine(CountingSettings(most_a_day=2))
    events = [Event("ann", f"i{n}", START_MS + (n // 3) * DAY_MS) for n in range(9)]
    outcomes = machine.apply(machine.batch(events)).outcomes.tolist()
    assert outcomes == [pairing.NEW, pairing.NEW, pairing.LIMITED] * 3


@pytest.mark.parametrize("restarts", [False, True])
def test_who_has_nothing_any_more_begins_anew(restarts: bool) -> None:
    """Nothing is stored of such a customer, so the count must begin anew without a restart, too."""
    settings, store = CountingSettings(most_a_day=1), MemoryStore()
    machine = CustomerMachine(settings)
    before = [Event("ann", "tea", START_MS), Event("ann", "tea", START_MS, action=Action.RETURN)]
    after = [Event("ann", "milk", START_MS), Event("ann", "jam", START_MS)]
    outcomes = machine.apply(machine.batch(before)).outcomes.tolist()
    if restarts:
        CustomerSaver(machine, store).save_all()
        machine = CustomerMachine(settings)
        CustomerSaver(machine, store).load()
    outcomes += machine.apply(machine.batch(after)).outcomes.tolist()
    assert outcomes == [pairing.NEW, pairing.GONE, pairing.NEW, pairing.LIMITED]
    assert Oracle(50, most_a_day=1).feed([*before, *after]).limited == [3]


def test_a_store_of_another_limit_is_refused_and_one_without_counts_as_unlimited() -> None:
    store = MemoryStore()
    machine = CustomerMachine()
    machine.apply(machine.batch([Event("ann", "tea", START_MS)]))
    CustomerSaver(machine, store).save_all()
    limited = CustomerSaver(CustomerMachine(CountingSettings(most_a_day=2)), store)
    with pytest.raises(BadSettings, match="made with most_a_day 0, now it is 2"):
        limited.load()
    raw = store.get(META)
    assert raw is not None
    meta = codec.unpack_meta(META, raw)
    del meta["most_a_day"]
    store.write([(META, codec.pack_meta(meta))])
    CustomerSaver(CustomerMachine(), store).load()
    with pytest.raises(BadSettings, match="made with most_a_day 0, now it is 2"):
        limited.load()


def test_a_limit_out_of_range_is_refused() -> None:
    with pytest.raises(BadSettings, match="most_a_day is 65536"):
        CountingSettings(most_a_day=65_536)
