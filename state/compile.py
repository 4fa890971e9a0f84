"""Small loads that call every kernel of `state` with the types that it is used with.

A kernel is compiled when it is first called with its types. `streams.compile` first calls the kernels of
customers and those of items in two processes, so that each is compiled once, and then all with `exercise`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.core import event

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.popularity_changes import PopularityChanges
from state.items.saver import ItemSaver
from state.memory.item_ids import ItemIds
from state.memory.murmur2 import hashes
from state.messages.deltas import Source, decode, encode, nothing
from state.messages.history_changes import BOUGHT, WATCHED, decode_history_changes, encode_history_changes
from state.messages.pair_changes import Buyers, PairChanges, Pairs, Sizes, decode_pairs, encode_pairs
from state.popularity.bestsellers import Bestsellers
from state.popularity.view import PopularityView
from state.settings import CountingSettings
from state.storage.store import MemoryStore
from state.watched_bought.machine import CrossingMachine

START_MS = 1_500_000_000_000
SETTINGS = CountingSettings(window=3, row_capacity=8, list_length=4)
EVENTS = [
    *(
        Event(
            f"customer-{c}", f"item-{(7 * c + i * i) % 30}", START_MS + 60_000 * (c + i), event_id=f"{c}-{i}"
        )
        for c in range(20)
        for i in range(12)
    ),
    Event("customer-1", "item-7", START_MS, action=Action.RETURN),
    Event("customer-2", "", START_MS, action=Action.FORGET),
]


def exercise() -> int:
    """Run a small load through every kernel of `state`; return how many items have a list."""
    customers, items = CustomerMachine(SETTINGS), ItemMachine(SETTINGS)
    stores = MemoryStore(), MemoryStore()
    savers = CustomerSaver(customers, stores[0]), ItemSaver(items, stores[1])
    for deltas in customers.apply(customers.batch(EVENTS)).deltas[0]:
        items.apply(decode(encode(deltas)))
    _cross(ItemMachine(SETTINGS))
    hashes([event.customer_id.encode() for event in EVENTS])
    lists = items.rank(np.arange(items.row_count), exact=True)
    _best(items)
    PopularityChanges(items).take()
    items.mark_published(lists)
    for saver in savers:
        saver.save_all()
    CustomerSaver(CustomerMachine(SETTINGS), stores[0]).load()
    ItemSaver(ItemMachine(SETTINGS), stores[1]).load()
    return int(np.count_nonzero(lists.length))


def exercise_customers() -> CustomerMachine:
    """Call the kernels of histories and of history changes; return a machine with customers."""
    customers, store = CustomerMachine(SETTINGS), MemoryStore()
    saver = CustomerSaver(customers, store)
    customers.apply(customers.batch(EVENTS))
    saver.save_all()
    CustomerSaver(CustomerMachine(SETTINGS), store).load()
    _cross(None)
    return customers


def exercise_items() -> ItemMachine:
    """Call the kernels of items, and none of customers; return a machine in which one pair is counted."""
    items, store = ItemMachine(SETTINGS), MemoryStore()
    saver = ItemSaver(items, store)
    items.mark_published(items.rank(np.arange(0), exact=True))
    items.others.view = PopularityView(ItemIds())
    items.apply(decode(encode(nothing(Source(0, 0), 1))))
    items.take_in()
    items.apply_pairs(decode_pairs(encode_pairs(_one_pair())))
    hashes([b"customer-1"])
    _best(items)
    PopularityChanges(items).take()
    saver.save_all()
    ItemSaver(ItemMachine(SETTINGS), store).load()
    return items


def _one_pair() -> PairChanges:
    """Return the changes after one customer watched tea and then bought milk."""
    offset, (tea, milk), one = np.zeros(1, np.uint32), np.arange(2, dtype=np.uint32).reshape(2, 1), np.ones(1)
    return PairChanges(
        Source(1, 0), 0, 1, 1, 0, ["tea", "milk"], np.zeros(2, np.uint16),
        Buyers(offset, milk, one.astype(np.int8), np.array([START_MS])),
        Sizes(offset, tea, -one.astype(np.int32), one.astype(np.int32)),
        Pairs(offset, tea, milk, one.astype(np.int8), np.array([START_MS // 60_000], np.uint32)),
    )  # fmt: skip


def _cross(items: ItemMachine | None) -> None:
    """Apply the same events as watches and as purchases that follow them."""
    crossing = CrossingMachine(SETTINGS)
    for side in (BOUGHT, WATCHED):
        machine = CustomerMachine(SETTINGS, publishes_as=Source(side, 0))
        for message in machine.apply(machine.batch(EVENTS)).history_changes:
            for changes in crossing.apply(decode_history_changes(encode_history_changes(message)))[0]:
                if items is not None:
                    items.apply_pairs(decode_pairs(encode_pairs(changes)))


def _best(items: ItemMachine) -> None:
    """Call the kernels of bestsellers."""
    Bestsellers().update(items.popularity, items.items, np.ones(5, np.int32))


class _Compiled(event.Listener):  # type: ignore[misc]
    """Counts the kernels that numba compiles because its cache does not have them."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        self.count += 1

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def counting_compilations() -> Iterator[_Compiled]:
    """Count the kernels that are compiled in the block, in the attribute `count`."""
    compiled = _Compiled()
    with event.install_listener("numba:compile", compiled):
        yield compiled
