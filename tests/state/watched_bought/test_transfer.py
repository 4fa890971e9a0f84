"""Tests of transfers: killed after any part, from older and newer stores, and begun anew."""

from __future__ import annotations

import copy

import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED
from state.messages.transfer import Step, Transfer, encode_message
from state.storage.store import Store
from state.watched_bought import exchange
from state.watched_bought.machine import CrossingMachine
from tests.state.machines import START_MS
from tests.state.watched_bought.cluster import PARTITIONS, CrossingCluster
from tests.state.watched_bought.late import (
    SETTINGS,
    bought_of,
    cluster_of,
    is_silent,
    many_parts,
    publish,
    returned_last,
    watched_of,
)


@pytest.fixture(autouse=True)
def _many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    many_parts(monkeypatch)


def _asked(seed: int) -> CrossingCluster:
    """Return a cluster with purchases applied and stored but not published; partition 0 has been asked."""
    cluster = cluster_of(bought_of(seed), seed)
    publish(cluster, BOUGHT, returned_last(cluster))
    cluster.finish()
    for saver in cluster.customers[BOUGHT]:
        saver.save_all()
    publish(cluster, WATCHED, watched_of(seed))
    for p in range(PARTITIONS):
        cluster.apply_events(WATCHED, p, 1 << 30)
        cluster.cross(p, 1 << 30)
    cluster.cross(0, 1 << 30)
    assert is_silent(cluster)
    return cluster


def test_killed_after_any_part_before_it_is_stored_that_all_was_sent() -> None:
    cluster = _asked(2)
    cluster.transfer(0)
    cluster.cross(0, 1 << 30)
    parts = [
        encode_message(message)
        for message in cluster.exchanges[0].due(
            cluster.customers[BOUGHT][0].machine, cluster.crossings[0].machine
        )
    ]
    assert len(parts) > 5
    for sent in range(len(parts) + 1):
        after = copy.copy(cluster)
        after.first, after.changes = (
            [list(log) for log in logs] for logs in (cluster.first, cluster.changes)
        )
        stores: dict[str, Store] = {}
        for p in range(PARTITIONS):
            for side in (BOUGHT, WATCHED):
                stores[f"customers-{side}-{p}"] = copy.deepcopy(cluster.customers[side][p].store)
            stores[f"crossing-{p}"] = copy.deepcopy(cluster.crossings[p].store)
            stores[f"items-{p}"] = copy.deepcopy(cluster.items[p].store)
        after.open_store = stores.__getitem__
        after.first[0] += parts[:sent]
        after.customers = [[after.open_customers(side, p) for p in range(PARTITIONS)] for side in (0, 1)]
        after.crossings = [after.open_crossing(p) for p in range(PARTITIONS)]
        after.items = [after.open_items(p) for p in range(PARTITIONS)]
        after.exchanges = [after.exchange(p) for p in range(PARTITIONS)]
        assert is_silent(after)
        after.finish()
        after.check()


def test_a_store_behind_the_published_changes_and_one_ahead_of_them() -> None:
    """Another host's store, from before anything was published, goes on, and then the first one again."""
    cluster = cluster_of(bought_of(4))
    for p in range(PARTITIONS):
        cluster.apply_events(BOUGHT, p, 100)
        cluster.customers[BOUGHT][p].save_all()
    older = [copy.deepcopy(saver.store) for saver in cluster.customers[BOUGHT]]
    publish(cluster, WATCHED, watched_of(4))
    cluster.finish()
    cluster.check()
    for saver in cluster.customers[BOUGHT]:
        saver.save_all()
    newer = [saver.store for saver in cluster.customers[BOUGHT]]
    for p in range(PARTITIONS):
        cluster.swaps[p] = older[p]  # type: ignore[assignment]
        cluster.fail(p)
        cluster.apply_events(BOUGHT, p, 50)
        for _ in range(4):
            cluster.transfer(p)
            cluster.cross(p, 1 << 30)
        cluster.apply_events(BOUGHT, p, 20)
        cluster.cross(p, 1 << 30)
        assert cluster.crossings[p].machine.ends[Source(BOUGHT, p)] == 170
        cluster.swaps[p] = newer[p]  # type: ignore[assignment]
        cluster.fail(p)
        assert not cluster.customers[BOUGHT][p].machine.silent
    cluster.finish()
    cluster.check()
    assert cluster.begun == 3 * PARTITIONS


def test_nothing_but_the_transfer_that_began_last_counts() -> None:
    machine = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0), waits=True)
    machine.apply(machine.batch([Event("ann", "tea", START_MS), Event("bob", "milk", START_MS)]))
    crossing = CrossingMachine(SETTINGS)
    source = Source(BOUGHT, 0)
    (mine,) = exchange.whole(machine, crossing, 2)
    (others,) = exchange.whole(machine, crossing, 1)
    for message in (Transfer(Step.BEGIN, source, 1), Transfer(Step.BEGIN, source, 2), others):
        crossing.apply(message)
    assert (crossing.gaps_seen, crossing.crossed("ann")[1]) == (1, {})
    machine.silent = False
    (event,) = machine.apply(machine.batch([Event("ann", "rum", START_MS)])).history_changes
    crossing.apply(event)
    assert (crossing.gaps_seen, crossing.crossed("ann")[1]) == (2, {})
    crossing.apply(mine)
    assert crossing.crossed("ann")[1] == {"tea": START_MS}
    for again in (mine, others, Transfer(Step.BEGIN, source, 2)):
        crossing.apply(again)
    crossing.apply(event)
    assert crossing.crossed("ann")[1] == {"tea": START_MS, "rum": START_MS}
    assert (crossing.ends, crossing.begun, crossing.unpublished) == ({source: 3}, {}, 0)


def test_while_all_is_transferred_anew_events_do_not_count() -> None:
    """They may come from a machine that believes it publishes; the comparison would not fit the state."""
    source = Source(BOUGHT, 0)
    events = [
        Event("ann", "milk", START_MS), Event("ann", "rum", START_MS),
        Event("ann", "rum", START_MS, action=Action.RETURN),
    ]  # fmt: skip
    gone, here = (CustomerMachine(SETTINGS, publishes_as=source) for _ in range(2))
    (milk,), (rum,) = (gone.apply(gone.batch([event])).history_changes for event in events[:2])
    here.apply(here.batch(events))
    crossing = CrossingMachine(SETTINGS)
    crossing.apply(milk)
    crossing.apply(Transfer(Step.BEGIN, source, 1))
    (last,) = exchange.whole(here, crossing, 1)
    for message in (rum, last, rum):
        crossing.apply(message)
    assert crossing.crossed("ann")[1] == {"milk": START_MS}
    assert crossing.ends == {source: 3}
