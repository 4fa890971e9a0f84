"""Returned and erased purchases are in no number any more: bestsellers, trends, popularity, repeats."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.items.machine import ItemMachine
from state.popularity import counts as pop
from state.popularity.bestsellers import EVERYTHING, Bestseller, BestsellerList, Bestsellers
from state.settings import CountingSettings
from tests.events import as_event, real_slice
from tests.oracles.counts import Oracle
from tests.state.machines import START_MS, Run, check_counts, check_histories, shop

CASES = Path(__file__).parent / "cases"
DAY_MS = pop.DAY_MS


def case(name: str) -> list[Event]:
    """Return the events of a file."""
    kinds = {"": Action.PURCHASE, "return": Action.RETURN}
    with (CASES / name).open(encoding="utf-8") as file:
        return [
            Event(
                row["customer_id"], row["item_id"],
                round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
                int(row.get("quantity") or 1), kinds[row.get("type") or ""],
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def forget(customer: str) -> Event:
    return Event(customer, "", START_MS, action=Action.FORGET)


def lists_of(machine: ItemMachine) -> dict[BestsellerList, list[Bestseller]]:
    lists = Bestsellers()
    lists.update(machine.tables.popularity, machine.items, np.zeros(len(machine.items), np.int32))
    return lists.lists


def check(run: Run, events: list[Event]) -> None:
    oracle = Oracle(run.customers[0].settings.window).feed(events)
    check_histories(run.customers, run.source_of, oracle)
    check_counts(run.items, run.partition_of, oracle)


def test_of_an_erased_bot_and_a_return_nothing_is_left_among_the_bestsellers() -> None:
    events = case("t11b-erased-and-returned.csv")
    run = Run.over(events, CountingSettings())
    (machine,) = run.items
    assert lists_of(machine)[BestsellerList(EVERYTHING, False)] == [Bestseller("fgitem", 43)]
    run.apply([forget("fgbot")])
    assert lists_of(machine)[BestsellerList(EVERYTHING, False)] == [Bestseller("fgitem", 3)]
    assert lists_of(machine)[BestsellerList(EVERYTHING, True)] == [Bestseller("fgitem", 3, 3.0)]
    assert machine.purchases == 3
    check(run, [*events, forget("fgbot")])


def test_of_the_only_purchase_erased_nothing_is_left() -> None:
    run = Run.over(case("t11c-one-purchase.csv"), CountingSettings())
    (machine,) = run.items
    assert lists_of(machine)[BestsellerList(EVERYTHING, False)] == [Bestseller("secret-gift", 1)]
    run.apply([forget("ann")])
    assert lists_of(machine) == {}
    p = machine.tables.popularity
    assert (machine.purchases, p.totals[pop.BUYERS], int(p.days.sum()), int(p.recent.sum())) == (0, 0, 0, 0)
    assert not p.first_days.any()
    assert not p.recent_buyers.any()


def test_a_return_in_part_takes_back_nothing_but_the_quantity() -> None:
    bought = [Event("ann", "tea", START_MS + n * DAY_MS, 2) for n in range(3)]
    run = Run.over(bought, CountingSettings())
    (machine,) = run.items
    for quantity, left in ((5, 3), (1, 0)):
        run.apply([Event("ann", "tea", START_MS, quantity, Action.RETURN)])
        p = machine.tables.popularity
        assert (machine.purchases, int(p.recent[0]), int(p.buyers[0])) == (left, left, left > 0)
    assert not p.repeats.any()


def test_purchases_of_the_same_day_are_taken_back_one_by_one() -> None:
    """This holds also for more of them than one record of the log can count."""
    events = [Event("ann", "tea", START_MS + n) for n in range(70_000)]
    events += [Event("bob", "tea", START_MS + n * DAY_MS) for n in range(60)]
    run = Run.over(events, CountingSettings(), chunk=20_000)
    (machine,) = run.items
    assert machine.purchases == 70_060
    run.apply([forget("ann")])
    assert machine.purchases == 60
    assert machine.tables.popularity.days[0].tolist() == [1] * pop.DAYS
    run.apply([forget("bob")])
    assert machine.purchases == 0
    assert not machine.tables.popularity.days.any()


@pytest.mark.parametrize(("seed", "late_days", "step"), [(1, 1, 1), (2, 20, 4), (3, 45, 10), (4, 3, 30)])
def test_returns_and_erasures_of_months(seed: int, late_days: int, step: int) -> None:
    """The test covers many windows and events later than one, so most days are long gone."""
    events = [
        replace(e, time_ms=START_MS + step * (e.time_ms - START_MS))
        for e in shop(seed, 3_000, 25, 60, returns=0.25, forgets=0.02, late_ms=late_days * DAY_MS)
    ]
    run = Run.new(CountingSettings(window=3), partitions=2, sources=2)
    for start in range(0, len(events), 600):
        run.apply(events[start : start + 600])
        check(run, events[: start + 600])


def test_real_purchases_with_returns_and_erasures() -> None:
    rng = random.Random(5)
    events = []
    bought: list[Event] = []
    for event in map(as_event, real_slice(30_000)):
        events.append(event)
        bought.append(event)
        dice = rng.random()
        if dice < 0.1:
            events.append(replace(rng.choice(bought[-3_000:]), action=Action.RETURN, event_id=None))
        elif dice < 0.103:
            events.append(forget(rng.choice(bought).customer_id))
    run = Run.over(events, CountingSettings(window=5), partitions=2, sources=2, chunk=2_000)
    check(run, events)
    removed = [e for e in events if e.action != Action.PURCHASE]
    assert len(removed) > 2_500
    for customer in {e.customer_id for e in bought}:
        run.apply([forget(customer)])
    for machine in run.items:
        machine.take_in()
        p = machine.tables.popularity
        assert machine.purchases == 0
        for counts in (p.buyers, p.recent, p.days, p.first_days, p.recent_buyers, p.repeats):
            assert not counts.any()
