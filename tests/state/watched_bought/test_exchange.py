"""Purchases are published late: none while nobody watches, and then all, through any crashes."""

from __future__ import annotations

import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.errors import BadDelta
from state.items.saver import CLOCK
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED, HistoryChanges
from state.messages.transfer import Step, Transfer, decode_message, encode_message
from state.storage.saving import META
from state.storage.store import MemoryStore
from state.watched_bought import exchange
from state.watched_bought.machine import CrossingMachine
from tests.state.machines import START_MS
from tests.state.watched_bought.cluster import PARTITIONS
from tests.state.watched_bought.late import (
    LAST_MS,
    SETTINGS,
    bought_of,
    cluster_of,
    is_silent,
    many_parts,
    of_partition,
    publish,
    returned_last,
    watched_of,
)


@pytest.fixture(autouse=True)
def _many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    many_parts(monkeypatch)


# ---------------------------------------------------------------------- nothing


@pytest.mark.parametrize("seed", range(2))
def test_purchases_that_nobody_watched_cost_nothing(seed: int) -> None:
    cluster = cluster_of(bought_of(seed), seed, (None, 20_000))
    cluster.run()
    assert cluster.crashes > 3
    assert cluster.first == cluster.changes == [[]] * PARTITIONS
    for saver in (*cluster.crossings, *cluster.items):
        saver.save_all()
        assert isinstance(saver.store, MemoryStore)
        assert not saver.store.records.keys() - {META, CLOCK}
    assert is_silent(cluster)
    assert not any(saver.machine.row_count or len(saver.machine.items) for saver in cluster.items)


def test_purchases_after_a_first_watch_are_published_as_they_come() -> None:
    """A machine that has applied nothing has nothing to transfer."""
    cluster = cluster_of([])
    publish(cluster, WATCHED, watched_of(3))
    cluster.finish()
    assert not any(cluster.changes[p] == [] for p in range(PARTITIONS))
    publish(cluster, BOUGHT, bought_of(3))
    cluster.finish()
    cluster.check()
    assert cluster.begun == 0
    assert not is_silent(cluster)


# ---------------------------------------------------------------------- everything


@pytest.mark.parametrize("watching", [(0,), (1,), (0, 1)])
def test_purchases_first_and_then_watches(watching: tuple[int, ...]) -> None:
    """This holds also if somebody watches in one partition only, as buyers and popularity are over all."""
    cluster = cluster_of(bought_of(5))
    publish(cluster, BOUGHT, returned_last(cluster))
    cluster.finish()
    assert cluster.first == [[]] * PARTITIONS
    publish(cluster, WATCHED, [e for p in watching for e in of_partition(cluster, watched_of(5), p)])
    cluster.finish()
    assert cluster.begun == PARTITIONS
    cluster.check()
    assert cluster.oracle().watermark_ms() == LAST_MS + 1
    assert len(cluster.oracle().pairs()) > 50
    publish(cluster, BOUGHT, bought_of(6))
    publish(cluster, WATCHED, watched_of(6))
    forgotten = {event.customer_id for event in cluster.events[BOUGHT][::50]}
    publish(cluster, BOUGHT, [Event(c, "", START_MS, action=Action.FORGET) for c in sorted(forgotten)])
    cluster.finish()
    cluster.check()
    assert cluster.begun == PARTITIONS


def test_it_is_as_if_all_had_been_published_from_the_beginning() -> None:
    """Every list of the two clusters is the same, with its scores."""
    late, early = (cluster_of([]) for _ in range(2))
    bought, watched = bought_of(8), watched_of(8)
    publish(early, WATCHED, watched)
    early.finish()
    publish(early, BOUGHT, bought)
    publish(late, BOUGHT, bought)
    for cluster in (late, early):
        cluster.finish()
    publish(late, WATCHED, watched)
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
    bought, budgets = bought_of(seed, 2_000), (None, 3_000, 20_000) if seed % 2 else (None,)
    cluster = cluster_of(bought[:1_200], seed, budgets)
    cluster.run()
    assert cluster.first == [[]] * PARTITIONS
    publish(cluster, BOUGHT, returned_last(cluster))
    publish(cluster, BOUGHT, bought[1_200:])
    watched = watched_of(seed)
    publish(cluster, WATCHED, of_partition(cluster, watched, seed % 2))
    cluster.run()
    cluster.check()
    publish(cluster, WATCHED, of_partition(cluster, watched, 1 - seed % 2))
    publish(cluster, BOUGHT, bought_of(seed + 100, 300))
    cluster.run()
    cluster.check()
    assert len(cluster.oracle().pairs()) > 100


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
