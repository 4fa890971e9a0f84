"""Machines of what was watched and then bought are compared with the oracle, count by count."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np

from state.items.machine import ItemMachine
from state.popularity.counts import DAY_MS, DAYS
from state.watched_bought.machine import CrossingMachine
from tests.oracles.watched_bought import CrossingOracle


def check_crossing(
    machines: list[CrossingMachine], partition_of: Callable[[str], int], oracle: CrossingOracle
) -> None:
    """Check that the crossing machines know of every customer what the histories contain."""
    for customer in set(chain(oracle.watched.histories, oracle.bought.histories)):
        expected = tuple(
            {b.item: b.first_ms for b in side.histories.get(customer, ())}
            for side in (oracle.watched, oracle.bought)
        )
        assert machines[partition_of(customer)].crossed(customer) == expected
    assert sum(machine.customer_count for machine in machines) == oracle.customers()


def check_pairs(machines: list[ItemMachine], oracle: CrossingOracle, f_error: float = 1e-9) -> None:
    """Check that every count of the item machines equals the oracle's."""
    buyers, recent, by_day = oracle.bought.buyers(), oracle.recent(), oracle.by_day()
    first_days, newest = oracle.bought.first_days(), oracle.watermark_ms() // DAY_MS
    decayed, sizes, recent_buyers = oracle.decayed(), oracle.sizes(), oracle.bought.recent_buyers()
    found: dict[tuple[str, str], int] = {}
    counted: set[str] = set()
    for machine in machines:
        tables = machine.tables
        assert machine.customers == oracle.customers()
        assert machine.watermark_ms == oracle.watermark_ms()
        assert machine.purchases == len(oracle.gained())
        for number, name in enumerate(machine.items):
            assert tables.popularity.buyers[number] == buyers[name], name
            assert tables.popularity.recent[number] == recent[name], name
            assert tables.popularity.first_days[number] == first_days[name], name
            recently = recent_buyers[name]
            assert abs(tables.popularity.recent_buyers[number] - recently) <= f_error * recently, name
            for day in range(newest - DAYS + 1, newest + 1):
                assert tables.popularity.days[number, day % DAYS] == by_day[name, day], (name, day)
            row = int(tables.row_of[number])
            if row < 0:
                continue
            assert name not in counted
            counted.add(name)
            neighbours = machine.neighbours(row)
            expected = np.zeros_like(tables.sizes[row])
            for size, count in sizes[name].items():
                expected[0, machine.cells.of_size[size]] += count
                expected[1, machine.cells.of_size[size]] += count * machine.cells.above[size]
            np.testing.assert_array_equal(tables.sizes[row], expected, name)
            for other, after, before, f in zip(*(c.tolist() for c in neighbours), strict=True):
                assert before == 0
                pair = name, machine.items.id(other)
                found[pair] = after
                assert abs(f - decayed[pair]) <= f_error * decayed[pair], pair
    assert {item for item, some in sizes.items() if some} <= counted
    assert found == dict(oracle.pairs())
