"""The machines are compared with the oracle, number for number."""

from __future__ import annotations

import random

import pytest

from state.customers import pairing
from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.errors import NoMessage
from state.items.machine import ItemMachine
from state.messages.deltas import Source
from state.popularity import counts as pop
from state.settings import CountingSettings
from tests.oracles.counts import Oracle
from tests.state.machines import START_MS, Run, check_counts, check_histories, shop


def check(events: list[Event], window: int, partitions: int = 1, sources: int = 1, chunk: int = 500) -> None:
    run = Run.over(
        events, CountingSettings(window=window), partitions=partitions, sources=sources, chunk=chunk
    )
    oracle = Oracle(window).feed(events)
    check_histories(run.customers, run.source_of, oracle)
    check_counts(run.items, run.partition_of, oracle)


@pytest.mark.parametrize(
    ("window", "partitions", "sources", "customers", "chunk"),
    [(1, 1, 1, 20, 500), (3, 2, 3, 30, 97), (5, 3, 1, 10, 1000), (50, 4, 3, 200, 333), (250, 2, 2, 5, 500)],
)
def test_counts_are_the_oracles(
    window: int, partitions: int, sources: int, customers: int, chunk: int
) -> None:
    check(shop(window, 4000, customers, 300), window, partitions, sources, chunk)


@pytest.mark.parametrize("window", [1, 3, 50])
def test_one_customer_buys_more_than_the_window(window: int) -> None:
    check(shop(11, 1500, 1, 300, forgets=0.0), window, partitions=2)


def test_one_item() -> None:
    check(shop(12, 500, 40, 1), 5, partitions=2, sources=2)


def test_one_event_a_batch_counts_as_one_batch_of_all() -> None:
    events = shop(13, 400, 12, 40, forgets=0.02)
    check(events, 4, chunk=1)
    check(events, 4, chunk=400)


def test_mostly_returns_and_erasures() -> None:
    check(shop(14, 3000, 25, 30, returns=0.45, forgets=0.03), 3, partitions=2, sources=2)


def test_duplicates_change_nothing() -> None:
    events = shop(15, 1500, 30, 100, duplicates=0.5)
    check(events, 5, sources=2)
    once = list({event.event_id: event for event in reversed(events)}.values())[::-1]
    assert len(once) < 0.6 * len(events)


def test_only_the_last_128_event_ids_are_remembered() -> None:
    first = Event("ann", "tea", START_MS, event_id="first")
    others = [Event("ann", "milk", START_MS, event_id=f"e{n}") for n in range(128)]
    for between, quantity in ((127, 1), (128, 2)):
        machine = CustomerMachine()
        machine.apply(machine.batch([first, *others[:between], first]))
        assert machine.history("ann")[0].quantity == quantity


def test_events_without_an_id_are_never_duplicates() -> None:
    events = [Event("ann", "tea", START_MS)] * 3
    machine = CustomerMachine()
    machine.apply(machine.batch(events))
    assert machine.history("ann")[0].quantity == 3


def test_events_months_late() -> None:
    check(shop(16, 2000, 30, 100, late_ms=40 * 86_400_000), 10, partitions=2)


def test_a_return_undoes_its_purchase() -> None:
    """Counts after a return equal counts of a log that never had the purchase."""
    events = shop(17, 600, 15, 60, returns=0.0, forgets=0.0, duplicates=0.0)
    rng = random.Random(17)
    bought: dict[tuple[str, str], int] = {}
    for event in events:
        bought[event.customer_id, event.item_id] = (
            bought.get((event.customer_id, event.item_id), 0) + event.quantity
        )
    taken_back = {pair for pair in bought if rng.random() < 0.3}
    back = [
        Event(customer, item, START_MS, bought[customer, item], Action.RETURN)
        for customer, item in taken_back
    ]
    kept = [e for e in events if (e.customer_id, e.item_id) not in taken_back]
    run = Run.over([*events, *back], CountingSettings(window=4), partitions=2)
    oracle = Oracle(4).feed(kept)
    oracle.newest_ms = max(e.time_ms for e in events)  # the clock does not go back
    check_counts(run.items, run.partition_of, oracle)


def test_erasing_everybody_leaves_no_count() -> None:
    events = shop(18, 800, 10, 80, forgets=0.0)
    erased = [Event(f"c{n}", "", START_MS, action=Action.FORGET) for n in range(10)]
    run = Run.over([*events, *erased], CountingSettings(window=7), partitions=2)
    for machine in run.items:
        machine.take_in()  # this includes what it expected of others' items
        assert machine.customers == 0
        assert not machine.tables.sizes.any()
        popularity = machine.tables.popularity
        assert popularity.totals[[pop.BUYERS, pop.PURCHASES]].tolist() == [0, 0]
        for counts in (popularity.buyers, popularity.recent, popularity.days, popularity.recent_buyers):
            assert not counts.any()
        assert not popularity.first_days.any()
        assert not popularity.repeats.any()
        assert not machine.tables.rows.heads[:, 2].any()  # the number of neighbours
        assert not machine.tables.rows.heads[:, 4:6].any()  # mass, and the mass of F without rounding errors
        assert all(not machine.related(name) for name in machine.items)


def test_outcomes_are_those_of_each_event() -> None:
    machine = CustomerMachine()

    def event(action: Action, quantity: int = 1, event_id: str | None = None) -> Event:
        return Event("ann", "tea", START_MS, quantity, action, event_id)

    steps = [
        (event(Action.RETURN), pairing.NOT_OWNED),
        (event(Action.PURCHASE, 2, "a"), pairing.NEW),
        (event(Action.PURCHASE, 2, "a"), pairing.DUPLICATE),
        (event(Action.PURCHASE, 3, "b"), pairing.REPEAT),
        (event(Action.RETURN, 6), pairing.NOT_OWNED),
        (event(Action.RETURN, 4), pairing.PART_RETURNED),
        (event(Action.RETURN, 1), pairing.GONE),
        (event(Action.RETURN, 1), pairing.NOT_OWNED),
        (event(Action.FORGET), pairing.EMPTIED),
        (event(Action.PURCHASE, 1, "a"), pairing.NEW),
        (event(Action.FORGET), pairing.GONE),
    ]
    outcomes = machine.apply(machine.batch(e for e, _ in steps)).outcomes.tolist()
    assert outcomes == [outcome for _, outcome in steps]


def test_messages_again_change_nothing() -> None:
    settings = CountingSettings(window=5)
    customers = CustomerMachine(settings)
    messages = []
    for part in (shop(19, 300, 10, 40), shop(20, 300, 10, 40)):
        messages += customers.apply(customers.batch(part)).deltas[0]
    once, often = ItemMachine(settings), ItemMachine(settings)
    for message in messages:
        once.apply(message)
    for message in [*messages[:1], *messages, *messages]:
        often.apply(message)
    assert [once.related(name) for name in once.items] == [often.related(name) for name in often.items]
    assert once.purchases == often.purchases


def test_messages_after_a_missing_one_are_dropped_until_it_comes() -> None:
    customers = CustomerMachine(source=Source(0, 3))
    made = [
        customers.apply(customers.batch([Event("ann", name, START_MS)])).deltas[0][0]
        for name in ("tea", "milk", "bread")
    ]
    items = ItemMachine()
    for message in (made[1], made[0], made[2], made[1]):  # as if sending the first two had failed in part
        items.apply(message)
    assert items.gaps_seen == 2
    assert [related.item_id for related in items.related("tea")] == ["milk"]
    for message in made:
        items.apply(message)
    assert items.gaps_seen == 2
    assert sorted(related.item_id for related in items.related("tea")) == ["bread", "milk"]
    with pytest.raises(NoMessage, match="ids and their hashes do not fit together"):
        items.apply(made[2]._replace(new_ids=["cake"]))


def test_a_log_may_begin_anywhere() -> None:
    """If its beginning was cut off, the first message brings the first ids."""
    customers = CustomerMachine(source=Source(0, 3))
    customers.position = 700
    items = ItemMachine()
    for name in ("tea", "milk"):
        items.apply(customers.apply(customers.batch([Event("ann", name, START_MS)])).deltas[0][0])
    assert items.gaps_seen == 0
    assert [related.item_id for related in items.related("tea")] == ["milk"]


def test_a_second_run_gives_the_same_bytes() -> None:
    events = shop(21, 1500, 30, 150)
    first, second = (Run.over(events, CountingSettings(window=6), partitions=2, sources=2) for _ in range(2))
    for one, other in zip(first.items, second.items, strict=True):
        assert list(one.items) == list(other.items)
        assert one.tables.rows.heads.tobytes() == other.tables.rows.heads.tobytes()
        end = int(one.tables.rows.free[-1])
        assert one.tables.rows.arena[:end].tobytes() == other.tables.rows.arena[:end].tobytes()


def test_quantities_do_not_overflow() -> None:
    machine = CustomerMachine()
    machine.apply(machine.batch([Event("ann", "tea", START_MS, 0xFFFFFFFF)] * 2))
    assert machine.history("ann")[0].quantity == 0xFFFFFFFF


def test_history_of_nobody_is_empty() -> None:
    machine = CustomerMachine()
    assert machine.history("nobody") == []
    assert ItemMachine().related("nothing") == []
