"""Hostile events at the machines: what they cost is bounded, and nobody else's counts suffer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from recommending.id_table import IdTable, probes
from state.customers import history_memory, pairing
from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.memory import item_ids
from state.memory.ids import Dictionary
from state.memory.item_ids import ItemIds
from state.memory.mixing import keys
from state.messages.deltas import decode, encode
from state.popularity.counts import DAYS
from state.settings import CountingSettings
from streams.topics import PAIR_DELTAS
from tests.oracles.counts import DAY_MS, Oracle
from tests.state.machines import START_MS, Run, check_counts, shop

Hashes = npt.NDArray[np.uint64]
HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
SEEDS = (1, 2, 3, 0xDEADBEEF)


def _homes(low: Hashes, high: Hashes, key: Hashes, start: int, places: int) -> Hashes:
    """Return where a table with these keys has the entries of two halves of a word."""
    mixed = key[start] + key[start + 1] * low + key[start + 2] * high
    homes: Hashes = (mixed >> HALF) & np.uint64(places - 1)
    return homes


def _colliding(n: int, seed: int, places: int) -> Hashes:
    """Return hashes that all want one of a few places in a table with this seed."""
    found = np.random.default_rng(1).integers(0, 1 << 63, 1 << 22).astype(np.uint64)
    homes = _homes(found & LOW, found >> HALF, keys(seed, 3), 0, places)
    return found[homes < 16][:n]


def _cost(hashes: Hashes, seed: int) -> tuple[int, int]:
    items = ItemIds(seed)
    assert items.numbers(hashes).tolist() == list(range(len(hashes)))
    total, most = item_ids.probes(items._table, items._keys)
    return int(total), int(most)


def test_items_chosen_to_collide_do_not() -> None:
    """Whoever knew the seed could make each look-up walk past all others; nobody does."""
    n = 2_000
    items = ItemIds(0)
    items.numbers(np.arange(n, dtype=np.uint64))
    places = len(items._table) // 2
    chosen = _colliding(n, 0, places)
    assert len(chosen) == n
    total, most = _cost(chosen, 0)
    assert total > 100 * n  # so the attack is one
    for seed in SEEDS:
        total, most = _cost(chosen, seed)
        assert total < 2 * n
        assert most < 40


def test_ids_of_lists_chosen_to_collide_do_not() -> None:
    numbers = np.arange(100_000, 500_000)
    raw = np.array([b"%06d" % n for n in numbers.tolist()])
    padded = raw.astype("S8").view(np.uint64)
    key = keys(0, 128)
    places = 1 << 12
    mixed = key[:1] + key[1:2] * np.uint64(6) + key[2] * (padded & LOW) + key[3] * (padded >> HALF)
    chosen = numbers[((mixed >> HALF) & np.uint64(places - 1)) < 8][:900]
    costs = []
    for seed in (0, *SEEDS):
        names = Dictionary()
        for number in chosen.tolist():
            names.number(f"{number:06}")
        costs.append([int(n) for n in probes(IdTable(names, seed).up_to_date())])
    total, most = costs[0]
    assert total > 20 * len(chosen)
    for total, most in costs[1:]:
        assert total < 2 * len(chosen)
        assert most < 40


def test_a_process_seeds_its_tables() -> None:
    from streams.process.seed import TABLE_SEED

    assert TABLE_SEED > 0xFFFF


@pytest.mark.parametrize("items", [200, 20_000])
def test_an_event_of_a_customer_with_many_items_costs_no_more_than_the_window(items: int) -> None:
    machine = CustomerMachine(CountingSettings(window=5))
    machine.apply(machine.batch([Event("robot", f"i{n}", START_MS + n) for n in range(items)]))
    (message,) = machine.apply(machine.batch([Event("robot", "tea", START_MS + items)])).deltas[0]
    assert len(encode(message)) < 400
    assert message.near == 5


def _with_history(n: int) -> CustomerMachine:
    """Return a machine whose one customer has n items; applying as many events would take a minute."""
    machine = CustomerMachine(CountingSettings(window=2))
    machine.batch([Event("robot", f"{item}", START_MS) for item in range(n)])
    machine.make_room()
    times, ones = np.full(n, START_MS), np.ones(n, np.uint32)
    history_memory.write(
        machine.histories, machine.customers.number("robot"), np.arange(n, dtype=np.uint32), ones, times,
        times, ones, ones.astype(np.float32), np.zeros(0, np.uint64), 0, np.zeros(0, np.uint64),
    )  # fmt: skip
    machine.customer_count = 1
    return machine


def test_the_largest_history_is_bounded_and_its_erasure_fits_into_a_message() -> None:
    """One item more is refused; whatever takes the history back is in one message that Kafka takes."""
    most = pairing.MOST_ITEMS
    machine = _with_history(most - 1)
    events = [Event("robot", f"new {n}", START_MS) for n in range(3)]
    outcomes = machine.apply(machine.batch(events)).outcomes.tolist()
    assert outcomes == [pairing.NEW, pairing.FULL, pairing.FULL]
    assert len(machine.history("robot")) == most
    # what the customer has can be bought again
    again = machine.apply(machine.batch([Event("robot", "7", START_MS + 1)]))
    assert again.outcomes.tolist() == [pairing.REPEAT]
    returned = machine.apply(machine.batch([Event("robot", "9", START_MS, action=Action.RETURN)]))
    erased = machine.apply(machine.batch([Event("robot", "", START_MS, action=Action.FORGET)]))
    for messages in (returned.deltas[0], erased.deltas[0]):
        assert all(len(encode(message)) < PAIR_DELTAS.max_message_bytes // 4 for message in messages)
    assert machine.customer_count == 0


def test_an_item_that_everybody_buys_is_exact() -> None:
    events = [Event(f"c{n}", item, START_MS + n) for n in range(400) for item in ("bag", f"i{n % 90}")]
    oracle = Oracle(3).feed(events)
    run = Run.over(events, CountingSettings(window=3, row_capacity=128), partitions=2)
    check_counts(run.items, run.partition_of, oracle)
    owner = run.items[run.partition_of("bag")]
    number = owner.items.get("bag")
    assert number is not None
    assert owner.popularity.buyers[number] == 400


def test_two_ids_of_one_hash_do_not_stop_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    real = item_ids.item_hash
    monkeypatch.setattr(item_ids, "item_hash", lambda name: real("tea" if name == "forged" else name))
    events = [Event("ann", "tea", START_MS), Event("bob", "forged", START_MS), Event("bob", "jam", START_MS)]
    run = Run.over(events, CountingSettings(window=3))
    items = run.items[0]
    assert items.items.clashes == 1
    assert items.items.clash == ("tea", "forged")
    assert [related.item_id for related in items.related("jam")] == ["tea"]


@pytest.mark.parametrize("ahead_ms", [0, DAY_MS])
def test_one_clock_a_day_ahead_ages_other_purchases_by_one_day(ahead_ms: int) -> None:
    """More than a day ahead is no event (`streams.messages.checks`), so one day is all that it can do."""
    machine = CustomerMachine()
    people = [Event(f"c{n}", "tea", START_MS - (DAYS - 2) * DAY_MS + n) for n in range(30)]
    people += [Event(f"d{n}", "jam", START_MS + n) for n in range(30)]
    items = ItemMachine()
    for event in (*people, Event("clock", "cake", START_MS + ahead_ms)):
        for message in machine.apply(machine.batch([event])).deltas[0]:
            items.apply(decode(encode(message)))
    tea, jam = items.items.get("tea"), items.items.get("jam")
    assert tea is not None
    assert jam is not None
    assert items.popularity.days[tea].sum() == 30
    assert items.popularity.recent[jam] == 30
    assert items.watermark_ms // DAY_MS <= (START_MS + DAY_MS) // DAY_MS


def test_hostile_shares_of_everything_together_are_exact() -> None:
    """Robots, an item that everybody buys, and late events beside a shop's own."""
    robot = [Event("robot", f"i{n % 40}", START_MS + 700 * n, event_id=f"r{n}") for n in range(600)]
    events = [event for pair in zip(robot, shop(9, 600, 30, 50, returns=0.1), strict=False) for event in pair]
    settings = CountingSettings(window=4, most_a_day=60)
    oracle = Oracle(4, most_a_day=60).feed(events)
    assert len(oracle.limited) > 300
    run = Run.over(events, settings, partitions=2, sources=2)
    check_counts(run.items, run.partition_of, oracle)
