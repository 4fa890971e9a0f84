"""Compile every kernel into numba's cache, so that no first purchase waits: `python -m state.compile`."""

from __future__ import annotations

import numpy as np

from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import decode, encode
from state.events import Event, Kind
from state.item_saver import ItemSaver
from state.items import ItemMachine
from state.settings import CountingSettings
from state.store import MemoryStore

START_MS = 1_500_000_000_000


def exercise() -> int:
    """Run a small load through every kernel of `state`; returns how many items have a list."""
    settings = CountingSettings(window=3, row_capacity=8, list_length=4)
    stores = MemoryStore(), MemoryStore()
    customers, items = CustomerMachine(settings), ItemMachine(settings)
    savers = CustomerSaver(customers, stores[0]), ItemSaver(items, stores[1])
    events = [
        Event(
            f"customer-{c}", f"item-{(7 * c + i * i) % 30}", START_MS + 60_000 * (c + i), event_id=f"{c}-{i}"
        )
        for c in range(20)
        for i in range(12)
    ]
    events += [Event("customer-1", "item-7", START_MS, kind=Kind.RETURN)]
    events += [Event("customer-2", "", START_MS, kind=Kind.FORGET)]
    for deltas in customers.apply(customers.batch(events)).deltas[0]:
        items.apply(decode(encode(deltas)))
    lists = items.rank(np.arange(items.row_count), exact=True)
    items.mark_published(lists)
    for saver in savers:
        saver.save_all()
    CustomerSaver(CustomerMachine(settings), stores[0]).load()
    ItemSaver(ItemMachine(settings), stores[1]).load()
    return int(np.count_nonzero(lists.length))


if __name__ == "__main__":
    print(f"compiled; {exercise()} lists")
