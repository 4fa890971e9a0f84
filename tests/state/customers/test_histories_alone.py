"""A customer machine that builds no deltas keeps the same histories as one that does."""

from __future__ import annotations

import numpy as np

from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.settings import CountingSettings
from state.storage.store import MemoryStore
from tests.state.machines import shop


def test_histories_and_outcomes_are_the_same_without_deltas() -> None:
    events = shop(6, 2_000, 40, 80)
    paired, alone = CustomerMachine(CountingSettings(window=7)), CustomerMachine(pairs=False)
    saver = CustomerSaver(alone, store := MemoryStore())
    for start in range(0, len(events), 300):
        some = events[start : start + 300]
        theirs, ours = paired.apply(paired.batch(some)), alone.apply(alone.batch(some))
        assert np.array_equal(theirs.outcomes, ours.outcomes)
        assert (ours.deltas, ours.history_changes) == ([[]], [])
        saver.step(0.3)
    saver.save_all()
    again = CustomerMachine(pairs=False)
    CustomerSaver(again, store).load()
    customers = {event.customer_id for event in events}
    assert sum(bool(paired.history(customer)) for customer in customers) > 20
    for customer in customers:
        assert alone.history(customer) == paired.history(customer)
        assert again.history(customer) == paired.history(customer)
    # a worker's store and its checkpoint have the same histories
    CustomerSaver(paired, theirs_too := MemoryStore()).save_all()
    from_worker = CustomerMachine(CountingSettings(window=7), pairs=False)
    CustomerSaver(from_worker, theirs_too).load()
    assert all(from_worker.history(customer) == paired.history(customer) for customer in customers)
    more = shop(7, 200, 40, 80)
    assert np.array_equal(
        from_worker.apply(from_worker.batch(more)).outcomes, alone.apply(alone.batch(more)).outcomes
    )
    assert again.position == paired.position == len(events)
