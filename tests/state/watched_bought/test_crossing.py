"""Watched, then bought: machines are compared with the oracle, in any order of events and over crashes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.errors import BadDelta, BadSettings
from state.items.machine import ItemMachine
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED, decode_history_changes, encode_history_changes
from state.messages.pair_changes import PairChanges
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.store import MemoryStore, Store
from state.watched_bought.machine import CrossingMachine
from tests.state.machines import START_MS, shop
from tests.state.watched_bought.cluster import PARTITIONS, SIDES, CrossingCluster

DAY_MS = 86_400_000
SETTINGS = CountingSettings(window=3, list_length=5)
LATE_MS = 5 * DAY_MS


def _logs(seed: int, events: int = 1_500) -> tuple[list[Event], list[Event]]:
    bought = shop(seed, events, 40, 60, late_ms=LATE_MS)
    watched = shop(seed + 1000, events, 40, 60, returns=0.05, late_ms=LATE_MS)
    return bought, watched


def _memory() -> Callable[[str], Store]:
    stores: dict[str, MemoryStore] = {}

    def open_store(name: str) -> Store:
        return stores.setdefault(name, MemoryStore())

    return open_store


def _cluster(seed: int, days: int = 2, budgets: tuple[int | None, ...] = (None,)) -> CrossingCluster:
    rng = random.Random(seed)
    return CrossingCluster(*_logs(seed), SETTINGS, days, rng, _memory(), budgets)


def _whole(cluster: CrossingCluster, side: int) -> None:
    for p in range(PARTITIONS):
        cluster.apply_events(side, p, 1 << 30)


def _finish(cluster: CrossingCluster) -> None:
    cluster.finish()
    assert cluster.done


@pytest.mark.parametrize("seed", range(8))
def test_any_interleaving_with_crashes_is_the_oracle(seed: int) -> None:
    cluster = _cluster(seed, days=1 + seed % 4, budgets=(None, 3_000, 20_000) if seed % 2 else (None,))
    cluster.run()
    cluster.check()
    assert cluster.crashes > 10
    assert len(cluster.oracle().pairs()) > 200
    assert any(sizes[6] for sizes in cluster.oracle().sizes().values())  # beyond twice the window, too


@pytest.mark.parametrize("order", [(BOUGHT, WATCHED), (WATCHED, BOUGHT)])
def test_one_log_after_the_other(order: tuple[int, int]) -> None:
    cluster = _cluster(77)
    for side in order:
        _whole(cluster, side)
    _finish(cluster)
    cluster.check()


def test_through_rocksdb(tmp_path: Path) -> None:
    def open_store(name: str) -> Store:
        return RocksStore(tmp_path / name)

    cluster = CrossingCluster(*_logs(5, 700), SETTINGS, 3, random.Random(5), open_store, (None, 20_000))
    cluster.run()
    for saver in (*cluster.crossings, *cluster.items, *(s for some in cluster.customers for s in some)):
        saver.save_all()
    for p in range(PARTITIONS):
        for which in range(3):
            cluster.crash(which, p, 0)
        cluster.transfer(p)
    assert cluster.done
    cluster.check()
    for saver in (*cluster.crossings, *cluster.items, *(s for some in cluster.customers for s in some)):
        saver.close()


def test_lists_are_the_oracles() -> None:
    cluster = _cluster(9, days=3)
    for side in SIDES:
        _whole(cluster, side)
    _finish(cluster)
    oracle = cluster.oracle()
    expected, watchers = oracle.lists(5), oracle.watched.buyers()
    found = {}
    for saver in cluster.items:
        machine = saver.machine
        rows = np.arange(machine.row_count)
        lists = machine.rank(rows, exact=True)
        for row in rows.tolist():
            name = machine.items.id(int(machine.tables.item_of[row]))
            assert lists.buyers[row] == watchers[name]
            found[name] = machine.related(name)
    assert {item for item, related in found.items() if related} == {x for x, best in expected.items() if best}
    for item, best in expected.items():
        # the split of opportunities between nodes errs by a part in a thousand
        np.testing.assert_allclose([r.score for r in found[item]], [s for _, s in best], rtol=0.02, atol=0.02)
        assert all(r.together == r.after == oracle.pairs()[item, r.item_id] for r in found[item])


def test_everything_undone_leaves_nothing() -> None:
    cluster = _cluster(3)
    for side, log in enumerate(cluster.events):
        for customer in {event.customer_id for event in log}:
            forget = Event(customer, "", START_MS, action=Action.FORGET)
            log.append(forget)
            cluster.logs[side][cluster.partition_of(customer)].append(forget)
    cluster.run()
    cluster.check()
    for saver in cluster.crossings:
        saver.save_all()
        assert len(saver.machine.customers) == 0
        assert not list(saver.store.scan(b"H"))
    for items in cluster.items:
        machine = items.machine
        assert machine.row_count > 10
        assert not machine.tables.sizes.any()
        assert not machine.tables.popularity.buyers.any()
        assert not any(len(machine.neighbours(row)[0]) for row in range(machine.row_count))


def test_the_time_between_decides() -> None:
    """A purchase counts from the watch itself to the last millisecond, by event time, in any order."""
    watch = Event("ann", "film", START_MS)
    times = {"before": -1, "at once": 0, "last": 2 * DAY_MS, "late": 2 * DAY_MS + 1}
    bought = [Event("ann", item, START_MS + after_ms) for item, after_ms in times.items()]
    bought.append(Event("ann", "film", START_MS + 5))  # the watched item itself counts, too
    # it had been bought before, so this brought nothing in
    bought.append(Event("ann", "before", START_MS + 5))
    for order in (SIDES, SIDES[::-1]):
        cluster = CrossingCluster(bought, [watch], SETTINGS, 2, random.Random(0), _memory())
        for side in order:
            _whole(cluster, side)
        _finish(cluster)
        cluster.check()
        assert {y for _, y in cluster.oracle().pairs()} == {"at once", "last", "film"}


def test_a_message_after_a_missing_one_is_dropped_until_both_come() -> None:
    machine = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0))
    messages = [
        message
        for n in range(3)
        for message in machine.apply(machine.batch([Event("ann", f"i{n}", START_MS)])).history_changes
    ]
    crossing = CrossingMachine(SETTINGS, days=2)
    assert crossing.apply(messages[1]) == [[]]  # the very first message failed
    assert crossing.gaps_seen == 1
    for message in messages:
        assert len(crossing.apply(message)[0]) == 1
    assert crossing.apply(messages[1]) == [[]]
    assert (crossing.applied, crossing.gaps_seen, crossing.unpublished) == (3, 1, 0)


def test_a_source_that_published_nothing_before_is_followed_from_where_it_begins() -> None:
    """This covers stores from before this relation, and a relation that was switched off for a while."""
    bought, _ = _logs(4, 300)
    silent = CustomerMachine(SETTINGS, Source(0, 0))
    silent.apply(silent.batch(bought[:100]))
    assert silent.apply(silent.batch(bought[100:200])).history_changes == []
    assert "published_from" not in silent.noted()
    publishing = CustomerMachine(SETTINGS, Source(0, 0), publishes_as=Source(BOUGHT, 0))
    publishing.position = 200
    publishing.recall(silent.noted())
    crossing = CrossingMachine(SETTINGS, days=2)
    messages = publishing.apply(publishing.batch(bought[200:])).history_changes
    assert [message.since for message in messages] == [200] * len(messages)
    assert crossing.apply(messages[0])[0]
    assert (crossing.gaps_seen, crossing.unpublished) == (0, 200)
    again = CustomerMachine(SETTINGS, Source(0, 0), publishes_as=Source(BOUGHT, 0))
    again.position = 250
    again.recall(publishing.noted())
    assert again.published_from == 200


def test_other_days_are_refused() -> None:
    cluster = _cluster(1)
    _whole(cluster, WATCHED)
    cluster.cross(0, 5)
    cluster.crossings[0].save_all()
    cluster.days += 1
    with pytest.raises(BadSettings, match="watched_bought_days 2, now it is 3"):
        cluster.open_crossing(0)


def test_history_changes_of_another_layout_or_cut_short_are_refused() -> None:
    machine = CustomerMachine(SETTINGS, publishes_as=Source(WATCHED, 3))
    (message,) = machine.apply(machine.batch([Event("ann", "tea", START_MS)])).history_changes
    raw = encode_history_changes(message)
    again = decode_history_changes(raw)
    assert again[:6] == (Source(WATCHED, 3), 0, 1, 0, ["ann"], ["tea"])
    assert [column.tolist() for column in again[6:]] == [[0], [0], [0], [1], [START_MS]]
    for damaged, said in (
        (raw[:-16], "ends after"),
        (b"AD" + raw[2:], "not a first-events message"),
        (raw[:2] + b"\x09" + raw[3:], "layout 9"),
        (raw[:20], "not a first-events message"),
    ):
        with pytest.raises(BadDelta, match=said):
            decode_history_changes(damaged)


def _again() -> list[Event]:
    """Return changes (bought, returned, bought again) whose result differs if they are applied twice."""
    actions = Action.PURCHASE, Action.RETURN, Action.PURCHASE, Action.PURCHASE
    items = ["tea", "tea", "tea", "milk"]
    return [
        Event("ann", item, START_MS + n, action=action)
        for n, (item, action) in enumerate(zip(items, actions, strict=True))
    ]


def test_of_a_message_known_in_part_the_rest_counts() -> None:
    """A source that replays may combine other events than before."""
    events = _again()
    first, replayed = (CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0)) for _ in range(2))
    (start,) = first.apply(first.batch(events[:3])).history_changes
    (whole,) = replayed.apply(replayed.batch(events)).history_changes
    crossing = CrossingMachine(SETTINGS, days=2)
    crossing.apply(start)
    ((rest,),) = crossing.apply(whole)
    assert (rest.first, rest.end, rest.buyers.changes.tolist()) == (3, 4, [1])
    assert crossing.crossed("ann")[1] == {"tea": START_MS + 2, "milk": START_MS + 3}


def test_of_pair_changes_known_in_part_the_rest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay may divide them elsewhere, because buffers fill up depending on who is in memory."""
    watched = [Event("ann", item, START_MS) for item in ("film", "show", "play")]
    watcher = CustomerMachine(SETTINGS, publishes_as=Source(WATCHED, 0))
    buyer = CustomerMachine(SETTINGS, publishes_as=Source(BOUGHT, 0))
    first = [
        *watcher.apply(watcher.batch(watched)).history_changes,
        *buyer.apply(buyer.batch(_again())).history_changes,
    ]
    whole: list[PairChanges] = []
    cut: list[PairChanges] = []
    for room, messages in ((1_000, whole), (1, cut)):
        monkeypatch.setattr("state.watched_bought.machine.ROOM", room)
        crossing = CrossingMachine(SETTINGS, days=2)
        for message in first:
            messages += crossing.apply(message)[0]
    assert len(whole) == 2 < len(cut)
    expected, found = ItemMachine(SETTINGS), ItemMachine(SETTINGS)
    for change in whole:
        expected.apply_pairs(change)
    for change in [*cut[:-1], *whole, cut[-1]]:  # whole[1] is known but for its end
        found.apply_pairs(change)
    assert [found.related(x) for x in ("film", "show")] == [expected.related(x) for x in ("film", "show")]
    np.testing.assert_array_equal(found.tables.sizes[:3], expected.tables.sizes[:3])
    assert found.purchases == expected.purchases == 2  # changes of what ann still has
    film = found.tables.row_of[found.items.number("film")]
    assert sorted(found.neighbours(int(film))[1].tolist()) == [1, 1]
