"""The events of a log that hold are compared with the histories of the machine that workers use."""

from __future__ import annotations

import numpy as np
import pytest

from alsobought.holding import holding
from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.settings import CountingSettings

KINDS = [Action.PURCHASE] * 6 + [Action.RETURN] * 3 + [Action.FORGET]


@pytest.mark.parametrize("seed", range(20))
def test_events_that_hold_are_the_machines_histories(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 600
    customers, items = rng.integers(0, 6, n), rng.integers(0, 9, n)
    kinds = np.array(KINDS)[rng.integers(0, len(KINDS) + 5, n) % len(KINDS)]
    quantities = rng.integers(1, 4, n)
    machine = CustomerMachine(CountingSettings())
    events = [
        Event(f"c{customers[i]}", f"i{items[i]}" if kinds[i] != Action.FORGET else "", 1_000 * i,
              action=Action(kinds[i]), quantity=int(quantities[i]))
        for i in range(n)
    ]  # fmt: skip
    machine.apply(machine.batch(events))
    signed = np.where(kinds == Action.RETURN, -quantities, quantities)
    kept = holding(customers, items, signed, kinds == Action.FORGET)
    assert (np.diff(kept) > 0).all()
    first: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], int] = {}
    for i in kept.tolist():
        assert kinds[i] == Action.PURCHASE
        pair = f"c{customers[i]}", f"i{items[i]}"
        first.setdefault(pair, 1_000 * i)
        last[pair] = 1_000 * i
    had = {(name, b.item_id): b for name in machine.customers for b in machine.history(name)}
    assert {pair: b.first_ms for pair, b in had.items()} == first
    assert {pair: b.last_ms for pair, b in had.items()} == last


def test_nothing_holds_of_nothing() -> None:
    none = np.zeros(0, np.int64)
    assert holding(none, none, none, none > 0).tolist() == []
