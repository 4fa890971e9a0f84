"""Compile every kernel into numba's cache, so that no first purchase waits: `python -m state.compile`.

A kernel is compiled when it is first called with its types. Two processes call different ones: this one those
of customers and of recommending, another those of items, which it calls with nothing to count. Then all are
called once more, with what is in the cache by then.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.core import event

from recommending.catalogue import Catalogue, Filter
from recommending.learner import Learner
from recommending.list_view import ListView, Translation
from recommending.recommender import Recommender
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.ids import ItemIds
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.memory.murmur2 import hashes
from state.messages.deltas import Source, decode, encode, nothing
from state.messages.events import Event, Kind
from state.messages.first_events import BOUGHT, WATCHED, decode_first, encode_first
from state.messages.pair_changes import decode_pairs, encode_pairs, no_pairs
from state.popularity.bestsellers import Bestsellers
from state.popularity.changes import PopularityChanges
from state.popularity.view import ItemPopularity, PopularityView
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
    Event("customer-1", "item-7", START_MS, kind=Kind.RETURN),
    Event("customer-2", "", START_MS, kind=Kind.FORGET),
]
ITEMS = "items"


def exercise() -> int:
    """Run a small load through every kernel of `state`; returns how many items have a list."""
    customers, items = CustomerMachine(SETTINGS), ItemMachine(SETTINGS)
    stores = MemoryStore(), MemoryStore()
    savers = CustomerSaver(customers, stores[0]), ItemSaver(items, stores[1])
    for deltas in customers.apply(customers.batch(EVENTS)).deltas[0]:
        items.apply(decode(encode(deltas)))
    _cross(ItemMachine(SETTINGS))
    hashes([event.customer_id.encode() for event in EVENTS])
    lists = items.rank(np.arange(items.row_count), exact=True)
    _recommend(customers, items)
    items.mark_published(lists)
    for saver in savers:
        saver.save_all()
    CustomerSaver(CustomerMachine(SETTINGS), stores[0]).load()
    ItemSaver(ItemMachine(SETTINGS), stores[1]).load()
    return int(np.count_nonzero(lists.length))


def _exercise_customers() -> None:
    """Histories, their first events, and recommending to a customer where no item has a list."""
    customers, store = CustomerMachine(SETTINGS), MemoryStore()
    saver = CustomerSaver(customers, store)
    customers.apply(customers.batch(EVENTS))
    saver.save_all()
    CustomerSaver(CustomerMachine(SETTINGS), store).load()
    _cross(None)
    _recommend(customers, ItemMachine(SETTINGS))


def _exercise_items() -> None:
    """Ranking, counting, and saving rows, of messages in which nothing happened."""
    items, store = ItemMachine(SETTINGS), MemoryStore()
    saver = ItemSaver(items, store)
    items.mark_published(items.rank(np.arange(0), exact=True))
    items.others.view = PopularityView(ItemIds())
    items.apply(decode(encode(nothing(Source(0, 0), 1))))
    items.take_in()
    items.apply_pairs(decode_pairs(encode_pairs(no_pairs(Source(1, 0), 1))))
    _best(items)
    saver.save_all()
    ItemSaver(ItemMachine(SETTINGS), store).load()


def _cross(items: ItemMachine | None) -> None:
    """The same as watches, and as what was then bought."""
    crossing = CrossingMachine(SETTINGS)
    for side in (BOUGHT, WATCHED):
        machine = CustomerMachine(SETTINGS, publishes_as=Source(side, 0))
        for message in machine.apply(machine.batch(EVENTS)).first_events:
            for changes in crossing.apply(decode_first(encode_first(message)))[0]:
                if items is not None:
                    items.apply_pairs(decode_pairs(encode_pairs(changes)))


def _recommend(customers: CustomerMachine, items: ItemMachine) -> None:
    """One case, and one recommendation of each kind."""
    view, catalogue = ListView(4), Catalogue()
    catalogue.put("item-7", "tea", "Assam & Co", 3.5)
    lists = items.rank(np.arange(items.row_count))
    numbers = Translation(items.items, view.items, adding=True)
    view.put_lists(items, lists, np.arange(len(lists.row)), numbers)
    recommender = Recommender(view, customers, items, catalogue)
    learner = Learner(recommender)
    with view.lock:
        recommender.synchronise()
        history = recommender.history("customer-3")
        learner.after(learner.before(history), np.arange(3, dtype=np.int32), START_MS)
        for wanted in (None, Filter(categories=frozenset(["tea"]))):
            recommender.recommend(history, 6, "all", wanted)
    _best(items)
    PopularityChanges(items).take()
    popular = PopularityView(view.items)
    popular.put([ItemPopularity("item-7", START_MS, 1, 2, 17_000, [1, 2], 16_000, 1.5, (1, 1, 60), 9)])
    popular.move_on(START_MS + 1)


def _best(items: ItemMachine) -> None:
    """What is bought most."""
    Bestsellers().update(items.popularity, items.items, np.ones(5, np.int32))


class _Compiled(event.Listener):  # type: ignore[misc]
    """Counts what numba compiles, and does not find in its cache."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        self.count += 1

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def counting_compilations() -> Iterator[_Compiled]:
    """Count in `count` what is compiled in the block."""
    compiled = _Compiled()
    with event.install_listener("numba:compile", compiled):
        yield compiled


def main() -> None:
    """Compile in two processes, and then see that nothing is missing."""
    if sys.argv[1:] == [ITEMS]:
        _exercise_items()
        return
    with counting_compilations() as compiled:
        exercise_apart = subprocess.Popen([sys.executable, "-m", "state.compile", ITEMS])
        _exercise_customers()
        if status := exercise_apart.wait():
            raise subprocess.CalledProcessError(status, exercise_apart.args)
        mine = compiled.count
        lists = exercise()
    print(f"compiled: {mine} here, {compiled.count - mine} that neither process had; {lists} lists")


if __name__ == "__main__":
    main()
