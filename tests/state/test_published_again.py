"""If sources are published again, nothing is counted twice, whatever happens in between."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from state.customers import event_sources as es
from state.customers import pairing
from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.settings import CountingSettings
from state.storage.store import MemoryStore
from tests.oracles.counts import Oracle
from tests.state.cluster import Cluster
from tests.state.machines import START_MS, Run, check_counts, check_histories, shop
from tests.state.published import NAMES, first_deliveries, published


def unnamed(seed: int, events: int, customers: int, items: int) -> list[Event]:
    """Return events without ids, so that only their source reveals a second delivery."""
    made = shop(seed, events, customers, items, duplicates=0.0, returns=0.1, forgets=0.01)
    return [replace(event, event_id=None) for event in made]


def test_a_second_publication_changes_nothing() -> None:
    events = [replace(e, source="year.csv", sequence=n) for n, e in enumerate(unnamed(1, 3_000, 40, 120))]
    settings = CountingSettings(window=4)
    run = Run.over([*events, *events[:700], *events], settings, partitions=2, sources=2)
    oracle = Oracle(4).feed([replace(e, source=None, sequence=None) for e in events])
    check_histories(run.customers, run.source_of, oracle)
    check_counts(run.items, run.partition_of, oracle)
    assert sum(machine.position for machine in run.customers) == 6_700


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budgets", [(None,), (0, 4_000, None)])
def test_interleaved_sources_with_crashes_at_any_moment(seed: int, budgets: tuple[int | None, ...]) -> None:
    """There are two partitions, with erasures, returns and replays in between."""
    rng = random.Random(seed)
    log = published(rng, unnamed(seed, 1_200, 12, 60))
    stores: dict[str, MemoryStore] = {}
    cluster = Cluster(
        log, CountingSettings(window=3), rng, lambda name: stores.setdefault(name, MemoryStore()), budgets
    )
    cluster.run()
    assert cluster.crashes
    counted = first_deliveries(log)
    assert 1_000 < len(counted) < 0.7 * len(log)
    cluster.check(counted)  # as if they had been published once, without a source
    cluster.check(log)
    for p, saver in enumerate(cluster.customers):
        saver.save_all()
        noted = saver.machine.event_sources.noted()
        again = CustomerMachine(CountingSettings(window=3), saver.machine.source, 2)
        CustomerSaver(again, stores[f"customers-{p}"]).load()
        assert [tuple(one) for one in again.event_sources.noted()] == noted
        assert {name for name, _, _ in noted} == set(NAMES)


def test_an_erased_customer_stays_erased_when_the_source_comes_again() -> None:
    machine = CustomerMachine()
    saver = CustomerSaver(machine, store := MemoryStore())
    bought = [Event("ann", item, START_MS, source="f", sequence=n) for n, item in enumerate(("tea", "milk"))]
    machine.apply(machine.batch([*bought, Event("ann", "", START_MS, action=Action.FORGET)]))
    outcomes = machine.apply(machine.batch(bought)).outcomes.tolist()
    assert outcomes == [pairing.DUPLICATE] * 2
    assert machine.history("ann") == []
    assert "ann" not in machine.customers.numbers
    saver.save_all()
    assert not any(b"ann" in key + value for key, value in store.records.items())
    # what the source had not sent before is counted
    more = Event("ann", "rice", START_MS, source="f", sequence=2)
    assert machine.apply(machine.batch([*bought, more])).outcomes.tolist() == [*outcomes, pairing.NEW]
    assert [b.item_id for b in machine.history("ann")] == ["rice"]


def test_an_event_that_is_refused_or_returned_counts_as_met() -> None:
    machine = CustomerMachine()
    back = Event("ann", "tea", START_MS, 1, Action.RETURN, source="f", sequence=0)
    tea = Event("ann", "tea", START_MS, source="f", sequence=1)
    events = [back, tea, back, tea, replace(back, sequence=5), tea]
    assert machine.apply(machine.batch(events)).outcomes.tolist() == [
        pairing.NOT_OWNED, pairing.NEW, pairing.DUPLICATE, pairing.DUPLICATE, pairing.GONE, pairing.DUPLICATE,
    ]  # fmt: skip


def test_the_newest_sources_are_remembered_wherever_batches_end() -> None:
    """The memory is compared with a plain list of sources, ordered by their newest events."""
    rng = random.Random(3)
    names = [f"s{n}" for n in range(es.MOST_SOURCES + 300)]
    events = [Event("ann", "tea", START_MS, source=name, sequence=5) for name in names]
    for _ in range(3_000):
        name = names[min(int(rng.expovariate(1 / 900)), len(names) - 1)]
        events.append(Event("ann", "tea", START_MS, source=name, sequence=rng.randrange(4, 8)))
    plain: dict[str, int] = {}
    expected = []
    for event in events:
        assert event.source is not None
        assert event.sequence is not None
        before = plain.pop(event.source, -1)
        if before < 0 and len(plain) == es.MOST_SOURCES:
            del plain[next(iter(plain))]
        expected.append(event.sequence <= before)
        plain[event.source] = max(before, event.sequence)
    assert any(expected)
    noted = []
    for most in (7_500, 311):
        machine = CustomerMachine()
        outcomes = []
        for start in range(0, len(events), most):
            outcomes += machine.apply(machine.batch(events[start : start + most])).outcomes.tolist()
        assert [outcome == pairing.DUPLICATE for outcome in outcomes] == expected
        noted.append(sorted(machine.event_sources.noted()))
        assert {name: highest for name, highest, _ in noted[-1]} == plain
    assert noted[0] == noted[1]


def test_names_of_sources_that_are_not_remembered_are_dropped() -> None:
    machine = CustomerMachine()
    for start in range(0, 3 * es.MOST_SOURCES, 1_000):
        machine.apply(
            machine.batch(
                Event("ann", "tea", START_MS, source=f"s{n}", sequence=1) for n in range(start, start + 1_000)
            )
        )
    assert len(machine.event_sources.noted()) == es.MOST_SOURCES
    assert machine.event_sources.number("one more") <= 2 * es.MOST_SOURCES + 1_001
