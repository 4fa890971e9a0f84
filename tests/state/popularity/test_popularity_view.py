"""The view of popularity is compared with machines that counted the events; tests of which items are due."""

from __future__ import annotations

import random

import numpy as np
import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.items.machine import ItemMachine
from state.items.popularity_changes import PopularityChanges
from state.memory.entries import decay_weight
from state.memory.ids import Dictionary
from state.messages.deltas import Availability, Source
from state.popularity import counts as pop
from state.popularity.view import ItemPopularity, PopularityView
from state.settings import CountingSettings
from tests.state.machines import Run, shop

PARTITIONS = 3
CATALOGUE = Source(1, 0)


def record(machine: ItemMachine, item: int) -> ItemPopularity:
    """Return the record that the owner of an item publishes, in plain Python."""
    p = machine.popularity
    newest = int(p.totals[pop.WATERMARK_MS]) // pop.DAY_MS
    days = [int(p.days[item, day % pop.DAYS]) for day in range(newest, newest - pop.DAYS, -1)]
    return ItemPopularity(
        machine.items.id(item), machine.watermark_ms, machine.position, int(p.buyers[item]), newest, days,
        int(p.first_days[item]), float(p.recent_buyers[item] / decay_weight(machine.watermark_ms // 60_000)),
        tuple(p.repeats[item].tolist()), machine.customers,
    )  # fmt: skip


def said(machine: ItemMachine, changes: PopularityChanges) -> list[ItemPopularity]:
    """Return the records of a machine's own items that are due."""
    return [record(machine, int(machine.tables.item_of[row])) for row in changes.take()]


def check(view: PopularityView[Dictionary], machines: list[ItemMachine]) -> None:
    """Check that every number of the view is the one that the item's machine counted."""
    newest_ms = max(machine.watermark_ms for machine in machines)
    view.move_on(newest_ms)
    total = 0
    for machine in machines:
        machine.take_in()  # the view's own window moves on, too
        items = machine.tables.item_of[: machine.row_count]
        numbers = [view.items.number(name) for name in machine.items.ids(items.tolist())]
        for column in ("buyers", "recent", "days", "first_days", "repeats"):
            theirs = getattr(machine.popularity, column)[items]
            assert np.array_equal(getattr(view.popularity, column)[numbers], theirs), column
        recent_buyers = machine.popularity.recent_buyers[items]
        np.testing.assert_allclose(view.popularity.recent_buyers[numbers], recent_buyers, rtol=1e-9)
        total += machine.popularity.buyers[items].sum()
        assert machine.watermark_ms == newest_ms
    assert view.popularity.totals[pop.BUYERS] == total == machines[0].popularity.totals[pop.BUYERS]
    assert view.watermark_ms == newest_ms


@pytest.mark.parametrize("seed", [1, 2])
def test_records_of_all_owners_make_the_popularity_of_the_whole_catalogue(seed: int) -> None:
    run = Run.new(CountingSettings(window=5), PARTITIONS, 2)
    changes = [PopularityChanges(machine) for machine in run.items]
    view = PopularityView(Dictionary())
    events = shop(seed, 3_000, 60, 90)
    rng = random.Random(seed)
    done = 0
    while done < len(events):
        step = rng.randrange(1, 400)
        run.apply(events[done : done + step])
        done += step
        due = [said(machine, one) for machine, one in zip(run.items, changes, strict=True)]
        for some in rng.sample(due, len(due)):  # partitions are read in any order
            view.put(some)
        check(view, run.items)
    assert view.customers == run.items[0].customers > 0


def test_only_changed_items_are_due_and_passing_days_are_no_change() -> None:
    run = Run.new(CountingSettings(window=5))
    machine, changes = run.items[0], PopularityChanges(run.items[0])
    run.apply(shop(3, 400, 30, 40, late_ms=0))
    assert len(changes.take()) == machine.row_count
    assert len(changes.take()) == 0
    last = shop(4, 1, 1, 1, returns=0, forgets=0, duplicates=0, late_ms=0)[0]
    one = last.__class__("c-new", "i-new", machine.watermark_ms + 40 * pop.DAY_MS)
    before = machine.row_count
    run.apply([one])
    rows = changes.take()  # all days of the other items have left the window
    assert rows.tolist() == [before]
    assert machine.items.id(int(machine.tables.item_of[rows[0]])) == "i-new"
    machine.apply_availability(Availability(CATALOGUE, 0, 1, ["i-new"], np.zeros(1, np.uint8)))
    assert changes.take().tolist() == [before]
    changes.forget(np.array([0]))
    assert changes.take().tolist() == [0]
    changes.forget()
    assert len(changes.take()) == machine.row_count


def test_an_older_record_does_not_replace_a_newer_one_and_a_removed_item_begins_anew() -> None:
    view = PopularityView(Dictionary())
    day = 20_000
    newer = ItemPopularity("tea", day * pop.DAY_MS, 9, 5, day, [4], 5 * (day - 3), 4.5, (1, 1, 60), 7)
    older = newer._replace(version=8, buyers=4, purchases=[3])
    view.put([newer, older])
    assert (view.popularity.buyers[0], view.popularity.recent[0]) == (5, 4)
    view.remove("tea")
    view.remove("unheard of")
    assert (view.popularity.buyers[0], view.popularity.recent[0]) == (0, 0)
    assert (view.popularity.first_days[0], view.popularity.recent_buyers[0]) == (0, 0)
    assert view.popularity.totals[pop.BUYERS] == 0
    view.put([older])  # after a rebuild, versions may have any value
    assert view.popularity.buyers[0] == 4


def test_availability_is_independent_of_popularity() -> None:
    view = PopularityView(Dictionary())
    assert not view.offer("tea", available=True)
    assert len(view.items) == 0
    assert view.offer("tea", available=False)
    assert not view.offer("tea", available=False)
    day = 20_000
    view.put([ItemPopularity("tea", day * pop.DAY_MS, 1, 5, day, [4], day, 0.1, (0, 0, 0), 7)])
    assert view.popularity.available[0] == 0
    assert view.offer("tea", available=True)


def test_items_that_others_bring_into_the_dictionary_have_room() -> None:
    items = Dictionary()
    view = PopularityView(items)
    for n in range(5_000):
        items.number(f"i{n}")
    p = view.popularity
    assert all(len(column) >= 5_000 for column in p[1:])
    assert p.available[4_999] == 1


def test_a_late_record_counts_days_still_in_the_window() -> None:
    view, day = PopularityView(Dictionary()), 20_000
    view.move_on(day * pop.DAY_MS)
    late = day - 20
    view.put([ItemPopularity("tea", late * pop.DAY_MS, 1, 9, late, list(range(1, 29)), 3, 2.0, (0, 0, 0), 7)])
    assert pop.purchases_of(view.popularity, 0, day, pop.DAYS) == sum(range(1, 9))
    assert view.popularity.recent[0] == 0
    assert view.watermark_ms == day * pop.DAY_MS


def test_buyers_of_other_days_with_the_same_sum_are_a_change() -> None:
    run = Run.new(CountingSettings(window=5))
    machine, changes = run.items[0], PopularityChanges(run.items[0])
    begin = 17_000 * pop.DAY_MS
    run.apply([Event("ann", "tea", begin + 10 * pop.DAY_MS), Event("bob", "tea", begin + 20 * pop.DAY_MS)])
    run.apply([Event("cleo", "milk", begin + 60 * pop.DAY_MS)])
    assert len(changes.take()) == 2
    first_days, recent_buyers = machine.popularity.first_days[0], machine.popularity.recent_buyers[0]
    for name in ("ann", "bob"):
        run.apply(
            [
                Event(name, "tea", begin + 60 * pop.DAY_MS, action=Action.RETURN),
                Event(name, "tea", begin + 15 * pop.DAY_MS),
            ]
        )
    assert machine.popularity.first_days[0] == first_days
    assert machine.popularity.recent_buyers[0] < 0.99 * recent_buyers
    assert changes.take().tolist() == [0]
