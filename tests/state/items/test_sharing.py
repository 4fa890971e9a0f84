"""Tests of what machines know of others' items: late, in any order, and exact once all have shared."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from state.customers.events import Event
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.items.sharing import Sharing, records
from state.items.tables import BLOCK_BITS
from state.memory.item_ids import ItemIds
from state.messages.deltas import Source, decode, encode
from state.popularity import counts as pop
from state.popularity.view import PopularityView
from state.settings import CountingSettings
from state.storage.store import MemoryStore
from tests.oracles.counts import Oracle
from tests.state.items.test_lists import check_lists
from tests.state.machines import START_MS, Run, check_counts, each, shop

PARTITIONS = 3


def _run_rarely_shared(events: list[Event], rng: random.Random, shared: float) -> Run:
    """Count all events; sometimes rank lists, and sometimes let machines share what they counted."""
    run = Run.new(CountingSettings(window=4, list_length=10), PARTITIONS, 2)
    share, run.sharing.share = run.sharing.share, lambda: None  # type: ignore[method-assign]
    for start in range(0, len(events), 50):
        run.apply(events[start : start + 50])
        for machine in run.items:
            if rng.random() < 0.3:
                machine.rank(machine.waiting())
        if rng.random() < shared:
            share()
    run.sharing.share = share  # type: ignore[method-assign]
    return run


def test_lists_are_exact_once_all_have_shared_whenever_they_shared_before() -> None:
    events = shop(71, 3_000, 60, 120)
    oracle = Oracle(4).feed(events)
    for seed, shared in enumerate((0.0, 0.1, 0.7)):
        run = _run_rarely_shared(events, random.Random(seed), shared)
        run.sharing.share()
        for machine in run.items:
            machine.rank(np.arange(machine.row_count), exact=True)
        assert check_lists(run, oracle, "mix", 10) > 500
        check_counts(run.items, run.partition_of, oracle)


def test_no_list_shows_an_item_whose_id_is_not_known() -> None:
    """With many events at once, ids are sent to the items' partitions alone, and from there to all others."""
    events = shop(72, 2_000, 40, 100)
    run = Run.new(CountingSettings(window=4), PARTITIONS)
    run.sharing.share = lambda: None  # type: ignore[method-assign]
    run.apply(events)
    nameless = sum(len(machine.items) - len(machine.items.named) for machine in run.items)
    assert nameless > 50
    for machine in run.items:
        assert all(machine.items.ids(machine.tables.item_of[: machine.row_count].tolist()))
        lists = machine.rank(np.arange(machine.row_count), exact=True)
        for items, length in zip(lists.item, lists.length.tolist(), strict=True):
            assert all(machine.items.ids(items[:length].tolist()))
    Sharing.share(run.sharing)
    assert sum(int(m.rank(np.arange(m.row_count)).length.sum()) for m in run.items) > 0
    assert all(len(machine.items) == len(machine.items.named) for machine in run.items)


def test_a_machine_that_meets_an_item_later_takes_in_its_earlier_popularity() -> None:
    run = Run.new(CountingSettings(window=4), 2)
    run.partition_of = lambda name: int(name[0])
    run.customers[0].partitions_of = each(run.partition_of)
    run.apply([Event(f"c{n}", "1 milk", START_MS + n) for n in range(5)])
    (first, second) = run.items
    assert first.items.get("1 milk") is None
    run.sharing.share = lambda: None  # type: ignore[method-assign]
    run.apply([Event("c1", "0 tea", START_MS + 9)])
    assert [entry.item_id for entry in first.related("0 tea")] == ["1 milk"]
    milk = first.items.get("1 milk")
    assert first.popularity.buyers[milk] == second.popularity.buyers[second.items.get("1 milk")] == 5
    assert first.popularity.totals[pop.BUYERS] == 6


def test_a_sweep_stores_the_popularity_that_changed_and_no_more() -> None:
    machine, store = ItemMachine(CountingSettings(window=4)), MemoryStore()
    saver = ItemSaver(machine, store)
    run = Run.new(CountingSettings(window=4))
    run.items[0] = machine
    run.apply([Event(f"c{n}", f"i{n}", START_MS) for n in range(2_000)])
    saver.save_all()
    blocks = dict(store.scan(b"p"))
    assert len(blocks) == -(-2_000 // (1 << BLOCK_BITS))
    run.apply([Event("c0", "i1700", START_MS + 40 * pop.DAY_MS)])
    saver.save_all()
    changed = [key for key, raw in store.scan(b"p") if raw != blocks[key]]
    number = machine.items.get("i1700")
    assert number is not None
    assert changed == [b"p" + (number >> BLOCK_BITS).to_bytes(4, "big")]
    again = ItemMachine(CountingSettings(window=4))
    ItemSaver(again, store).load()
    for column in ("buyers", "recent", "days", "first_days", "recent_buyers", "repeats"):
        ours, theirs = (getattr(m.popularity, column)[:2_000] for m in (machine, again))
        np.testing.assert_array_equal(ours, theirs, column)
    assert again.popularity.recent[:2_000].sum() == 1
    assert again.purchases == machine.purchases == 2_001


def test_only_a_machines_own_popularity_is_stored() -> None:
    events = shop(73, 1_500, 40, 100)
    run = Run.over(events, CountingSettings(window=4), partitions=2)
    for machine in run.items:
        machine.take_in()
        store = MemoryStore()
        ItemSaver(machine, store).save_all()
        alone = ItemMachine(CountingSettings(window=4), machine.partition)
        ItemSaver(alone, store).load()
        own = alone.tables.row_of[: len(alone.items)] >= 0
        assert not alone.popularity.buyers[: len(own)][~own].any()
        assert alone.popularity.totals[pop.BUYERS] == machine.popularity.buyers[: len(own)][own].sum()


def test_messages_from_before_a_restart_are_not_sent_with_other_content() -> None:
    """The record of an erased customer is gone: a replay from before it finds a customer without history."""
    run = Run.new(CountingSettings(window=4), PARTITIONS)
    (customers,) = run.customers
    events = shop(74, 400, 8, 40, forgets=0.05)
    for start in range(0, len(events), 20):
        for message in (
            m for to in customers.apply(customers.batch(events[start : start + 20])).deltas for m in to
        ):
            assert message.first == start
            decode(encode(message))
    customers.position, customers.sent_to = 0, 300  # as if it was started again on what was stored then
    customers.included[:] = -1
    messages = [m for to in customers.apply(customers.batch(events)).deltas for m in to]
    assert messages
    for message in messages:
        assert int(message.words[: message.events].min()) + message.first >= 300


class _Lock:
    """A lock that knows whether it is held."""

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_exc: object) -> None:
        self.depth -= 1


class _Guarded(PopularityView[ItemIds]):
    """A store of shared popularity that may be read and changed only with its lock held."""

    def __init__(self) -> None:
        super().__init__(ItemIds())
        self.held = _Lock()
        self.lock = self.held  # type: ignore[assignment]
        self.taken = 0

    @property
    def popularity(self) -> pop.Popularity:
        assert self.held.depth > 0
        self.taken += 1
        return super().popularity

    def move_on(self, time_ms: int) -> None:
        assert self.held.depth > 0
        super().move_on(time_ms)


def test_machines_take_shared_popularity_with_its_lock_held() -> None:
    """The machines of one process run in several threads."""
    run = Run.new(CountingSettings(window=4), PARTITIONS)
    view = _Guarded()
    for machine in run.items:
        machine.others.view = view
    for start in range(0, 1_000, 100):
        run.apply(shop(73, 1_000, 40, 100)[start : start + 100])
        with view.lock:
            for machine in run.items:
                view.put(records(machine, np.arange(machine.row_count)))
        before = view.taken
        for machine in run.items:
            machine.rank(machine.waiting(), exact=start % 200 == 0)
            machine.take_in()
        assert view.taken > before


def test_sources_that_are_shared_are_whole_whenever_somebody_looks() -> None:
    view = PopularityView(ItemIds())
    seen: list[object] = []

    class Noted(dict[int, list[tuple[Source, int, int]]]):
        def values(self) -> Any:
            for value in super().values():
                seen.append(view._sources)  # what another thread would see meanwhile
                yield value

    for partition in range(3):
        view.note(partition, START_MS, [(Source(0, 0), partition, 5)])
    view._noted = Noted(view._noted)
    assert view.sources == {Source(0, 0): (2, 5)}
    assert seen == [None] * 3
