"""Which popularity is due is compared with a comparison of everything, in plain Python."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from state.items.machine import ItemMachine
from state.items.popularity_changes import PopularityChanges
from state.messages.deltas import Availability, Source
from state.popularity import counts as pop
from state.settings import CountingSettings
from tests.state.machines import Run, shop

CATALOGUE = Source(1, 0)


def _now(machine: ItemMachine) -> list[tuple[Any, ...]]:
    """Return all that is published of each row, with the purchases of every day of the window."""
    p = machine.popularity
    newest = int(p.totals[pop.WATERMARK_MS]) // pop.DAY_MS
    window = range(newest - pop.DAYS + 1, newest + 1)
    return [
        (
            int(p.buyers[item]), int(p.first_days[item]), float(p.recent_buyers[item]),
            p.repeats[item].tolist(), int(p.available[item]),
            {day: int(p.days[item, day % pop.DAYS]) for day in window if p.days[item, day % pop.DAYS]},
        )
        for item in machine.tables.item_of[: machine.row_count].tolist()
    ]  # fmt: skip


def _differ(was: tuple[Any, ...], now: tuple[Any, ...], newest: int) -> bool:
    days = {day: n for day, n in was[-1].items() if day > newest - pop.DAYS}
    return (*was[:-1], days) != now


@pytest.mark.parametrize("seed", range(6))
def test_the_items_that_are_due_are_those_of_which_something_differs(seed: int) -> None:
    rng = random.Random(seed)
    run = Run.new(CountingSettings(window=5), 2, 2)
    changes = [PopularityChanges(machine) for machine in run.items]
    was: list[list[tuple[Any, ...]]] = [[] for _ in run.items]
    events, done, hidden, none_due = shop(seed, 2_500, 40, 60), 0, 0, 0
    while done < len(events):
        step = rng.choice((0, 1, 3, 200))
        run.apply(events[done : done + step])
        done += step
        if rng.random() < 0.2:
            machine = rng.choice(run.items)
            name = f"i-{rng.randrange(60)}"
            machine.apply_availability(
                Availability(CATALOGUE, hidden, hidden + 1, [name], np.array([rng.random() < 0.5], np.uint8))
            )
            hidden += 1
        for number, (machine, changes_of) in enumerate(zip(run.items, changes, strict=True)):
            if rng.random() < 0.3:
                continue
            now, before = _now(machine), was[number]
            newest = int(machine.popularity.totals[pop.WATERMARK_MS]) // pop.DAY_MS
            new = range(len(before), len(now))
            due = [row for row, one in enumerate(before) if _differ(one, now[row], newest)] + [*new]
            assert changes_of.take().tolist() == due
            none_due += not due
            for row in due:  # what was published of the others stays as it was, without the days that passed
                before[row:] = [now[row], *before[row + 1 :]]
    assert none_due
