"""Purchases are published late: none while nobody watches, and then all, through any crashes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest

from state.customers.events import Action, Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.errors import BadDelta
from state.items.saver import CLOCK
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED, HistoryChanges
from state.messages.transfer import Step, Transfer, decode_message, encode_message
from state.settings import CountingSettings
from state.storage.saving import META
from state.storage.store import MemoryStore, Store
from state.watched_bought import exchange
from state.watched_bought.machine import CrossingMachine
from tests.state.machines import START_MS, shop
from tests.state.watched_bought.cluster import PARTITIONS, CrossingCluster

DAY_MS = 86_400_000
SETTINGS = CountingSettings(window=3, list_length=5)
LATE_MS = 5 * DAY_MS
LAST_MS = START_MS + 400 * DAY_MS


@pytest.fixture(autouse=True)
def _many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PART_EFFECTS", 7)


def _memory() -> Callable[[str], Store]:
    stores: dict[str, MemoryStore] = {}

    def open_store(name: str) -> Store:
        return stores.setdefault(name, MemoryStore())

    return open_store


def _bought(seed: int, events: int = 1_200) -> list[Event]:
    return shop(seed, events, 40, 60, late_ms=LATE_MS, forgets=0.01)


def _watched(seed: int, events: int = 900) -> list[Event]:
    return shop(seed + 1000, events, 40, 60, returns=0.05, late_ms=LATE_MS)


def _cluster(
    bought: list[Event], seed: int = 1, budgets: tuple[int | None, ...] = (None,)
) -> CrossingCluster:
    return CrossingCluster(bought, [], SETTINGS, 2, random.Random(seed), _memory(), budgets)


def _come(cluster: CrossingCluster, side: int, events: list[Event]) -> None:
    """Publish further events."""
    cluster.events[side].extend(events)
    for event in events:
        cluster.logs[side][cluster.partition_of(event.customer_id)].append(event)


def _of_partition(cluster: CrossingCluster, events: list[Event], p: int) -> list[Event]:
    return [event for event in events if cluster.partition_of(event.customer_id) == p]


def _returned_last(cluster: CrossingCluster) -> list[Event]:
    """Return the newest purchases, and their return or erasure, so that only the newest time remains of
    them.
    """
    customers = [next(f"x{n}" for n in range(99) if cluster.partition_of(f"x{n}") == p) for p in range(2)]
    return [
        event
        for n, (customer, action) in enumerate(zip(customers, (Action.RETURN, Action.FORGET), strict=True))
        for event in (
            Event(customer, f"i{n}", LAST_MS + n),
            Event(customer, f"i{n}", LAST_MS + n, action=action),
        )
    ]


def _silent(cluster: CrossingCluster) -> bool:
    machines = [saver.machine for saver in cluster.customers[BOUGHT]]
    return all(machine.silent for machine in machines)


# ---------------------------------------------------------------------- nothing


@pytest.mark.parametrize("seed", range(2))
def test_purchases_that_nobody_watched_cost_nothing(seed: int) -> None:
    cluster = _cluster(_bought(seed), seed, (None, 20_000))
    cluster.run()
    assert cluster.crashes > 3
    assert cluster.first == cluster.changes == [[]] * PARTITIONS
    for saver in (*cluster.crossings, *cluster.items):
        saver.save_all()
        assert isinstance(saver.store, MemoryStore)
        assert not saver.store.records.keys() - {META, CLOCK}
    assert _silent(cluster)
    assert not any(saver.machine.row_count or len(saver.machine.items) for saver in cluster.items)


def test_purchases_after_a_first_watch_are_published_as_they_come() -> None:
    """A machine that has applied nothing has nothing to transfer."""
    cluster = _cluster([])
    _come(cluster, WATCHED, _watched(3))
    cluster.finish()
    assert not any(cluster.changes[p] == [] for p in range(PARTITIONS))
    _come(cluster, BOUGHT, _bought(3))
    cluster.finish()
    cluster.check()
    assert cluster.begun == 0
    assert not _silent(cluster)


# ---------------------------------------------------------------------- everything


@pytest.mark.parametrize("watching", [(0,), (1,), (0, 1)])
def test_purchases_first_and_then_watches(watching: tuple[int, ...]) -> None:
    """This holds also if somebody watches in one partition only, because buyers and popularity are over
    all.
    """
    cluster = _cluster(_bought(5))
    _come(cluster, BOUGHT, _returned_last(cluster))
    cluster.finish()
    assert cluster.first == [[]] * PARTITIONS
    _come(cluster, WATCHED, [e for p in watching for e in _of_partition(cluster, _watched(5), p)])
    cluster.finish()
    assert cluster.begun == PARTITIONS
    cluster.check()
    assert cluster.oracle().watermark_ms() == LAST_MS + 1
    assert len(cluster.oracle().pairs()) > 50
    _come(cluster, BOUGHT, _bought(6))
    _come(cluster, WATCHED, _watched(6))
    forgotten = {event.customer_id for event in cluster.events[BOUGHT][::50]}
    _come(cluster, BOUGHT, [Event(c, "", START_MS, action=Action.FORGET) for c in sorted(forgotten)])
    cluster.finish()
    cluster.check()
    assert cluster.begun == PARTITIONS


def test_it_is_as_if_all_had_been_published_from_the_beginning() -> None:
    """Every list of the two clusters is the same, with its scores."""
    late, early = (_cluster([]) for _ in range(2))
    bought, watched = _bought(8), _watched(8)
    _come(early, WATCHED, watched)
    early.finish()
    _come(early, BOUGHT, bought)
    _come(late, BOUGHT, bought)
    for cluster in (late, early):
        cluster.finish()
    _come(late, WATCHED, watched)
    late.finish()
    assert (late.begun, early.begun) == (PARTITIONS, 0)
    for ours, theirs in zip(late.items, early.items, strict=True):
        for item in ours.machine.items:
            found, expected = ours.machine.related(item), theirs.machine.related(item)
            assert [(r.item_id, r.together) for r in found] == [(r.item_id, r.together) for r in expected]
            assert [r.score for r in found] == pytest.approx([r.score for r in expected])


@pytest.mark.parametrize("seed", range(8))
def test_any_interleaving_with_crashes_and_other_stores_is_the_oracle(seed: int) -> None:
    """Purchases come long before the first watch, and faults at any time."""
    bought, budgets = _bought(seed, 2_000), (None, 3_000, 20_000) if seed % 2 else (None,)
    cluster = _cluster(bought[:1_200], seed, budgets)
    cluster.run()
    assert cluster.first == [[]] * PARTITIONS
    _come(cluster, BOUGHT, _returned_last(cluster))
    _come(cluster, BOUGHT, bought[1_200:])
    watched = _watched(seed)
    _come(cluster, WATCHED, _of_partition(cluster, watched, seed % 2))
    cluster.run()
    cluster.check()
    _come(cluster, WATCHED, _of_partition(cluster, watched, 1 - seed % 2))
    _come(cluster, BOUGHT, _bought(seed + 100, 300))
    cluster.run()
    cluster.check()
    assert len(cluster.oracle().pairs()) > 100


def _asked(seed: int) -> CrossingCluster:
    """Return a cluster whose purchases are applied and stored but not published; partition 0 has been
    asked.
    """
    cluster = _cluster(_bought(seed), seed)
    _come(cluster, BOUGHT, _returned_last(cluster))
    cluster.finish()
    for saver in cluster.customers[BOUGHT]:
        saver.save_all()
    _come(cluster, WATCHED, _watched(seed))
    for p in range(PARTITIONS):
        cluster.apply_events(WATCHED, p, 1 << 30)
        cluster.cross(p, 1 << 30)
    cluster.cross(0, 1 << 30)
    assert _silent(cluster)
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
        assert _silent(after)
        after.finish()
        after.check()


def test_a_store_behind_the_published_changes_and_one_ahead_of_them() -> None:
    """Another host's store, from before anything was published, goes on, and then the first one again."""
    cluster = _cluster(_bought(4))
    for p in range(PARTITIONS):
        cluster.apply_events(BOUGHT, p, 100)
        cluster.customers[BOUGHT][p].save_all()
    older = [copy.deepcopy(saver.store) for saver in cluster.customers[BOUGHT]]
    _come(cluster, WATCHED, _watched(4))
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
    """They may come from a machine that believes it publishes; then the comparison would not fit the
    state.
    """
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


# ---------------------------------------------------------------------- stores


def test_a_stores_first_record_says_how_it_began() -> None:
    store = MemoryStore()

    def opened() -> CustomerSaver[CustomerMachine]:
        saver = CustomerSaver(CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0), waits=True), store)
        saver.load()
        return saver

    saver = opened()
    machine = saver.machine
    assert machine.silent
    machine.apply(machine.batch([Event(f"c{n}", "tea", START_MS + n) for n in range(100)]))
    saver.step(0.0)
    assert saver.sweeping
    again = opened().machine  # it is killed in its first sweep
    assert (again.silent, again.position, again.newest_ms) == (True, 0, START_MS + 99)
    saver.save_all()
    again = opened().machine
    assert (again.silent, again.published_from, again.newest_ms) == (True, 0, START_MS + 99)
    assert not again.is_new
    again.apply(again.batch([Event("ann", "tea", START_MS + 500)]))
    again.silent = False
    CustomerSaver(again, store).save_all()
    assert (opened().machine.silent, opened().machine.published_from) == (False, 0)
    # after it was switched off for a while, it remembers that it published nothing
    off = CustomerMachine(SETTINGS)
    off.recall({"silent": True, "published_from": 0})
    assert off.noted()["silent"]


def test_stores_from_before_late_publishing_go_on_publishing() -> None:
    published_all = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0))
    waits = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0), waits=True)
    waits.recall(published_all.noted())
    assert not waits.silent
    # a crossing machine that got watches still has to ask; if it got purchases, they are wanted
    crossing = CrossingMachine(SETTINGS)
    crossing.recall({"applied": 7, "ends": [[WATCHED, 0, 5]]})
    assert (crossing.watched, crossing.asked, crossing.wanted) == (True, False, False)
    crossing.recall({"applied": 7, "ends": [[BOUGHT, 0, 5]]})
    assert (crossing.watched, crossing.asked, crossing.wanted) == (False, False, True)
    crossing.begun[Source(BOUGHT, 0)] = 9
    again = CrossingMachine(SETTINGS)
    again.recall(crossing.noted() | {"unsettled_at": 3})
    assert (again.begun, again.ends, again.unsettled_at) == (crossing.begun, crossing.ends, 3)


def test_messages_decode_to_the_encoded_values() -> None:
    machine = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 3), waits=True)
    machine.apply(machine.batch([Event("änn", "tea", START_MS)]))
    (last,) = exchange.whole(machine, CrossingMachine(SETTINGS), 1 << 62)
    for message in (Transfer(Step.ASK, Source(WATCHED, 2)), Transfer(Step.BEGIN, Source(BOUGHT, 3), 5), last):
        again = decode_message(encode_message(message))
        assert isinstance(again, Transfer)
        assert again[:3] == message[:3]
    assert isinstance(again, Transfer)
    assert isinstance(again.changes, HistoryChanges)
    assert (again.changes.customers, again.changes.item_ids, again.changes.end) == (["änn"], ["tea"], 1)
    raw = encode_message(last)
    for damaged, error in (
        (raw[:12], "no whole header"),
        (raw[:2] + b"\x09" + raw[3:], "layout 9"),
        (raw[:3] + b"\x09" + raw[4:], "step 9"),
        (raw[:16], "not a first-events message"),
        (b"XX" + raw[2:], "not a first-events message"),
    ):
        with pytest.raises(BadDelta, match=error):
            decode_message(damaged)
