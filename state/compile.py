"""Compile every kernel into numba's cache, so that no first purchase waits: `python -m state.compile`."""

from __future__ import annotations

import numpy as np

from state.bestsellers import Bestsellers
from state.crossing import CrossingMachine
from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import Source, decode, encode
from state.events import Event, Kind
from state.first_events import BOUGHT, WATCHED, decode_first, encode_first
from state.item_saver import ItemSaver
from state.items import ItemMachine
from state.murmur2 import hashes
from state.pair_changes import decode_pairs, encode_pairs
from state.popularity_changes import PopularityChanges
from state.popularity_view import ItemPopularity, PopularityView
from state.recommending.catalogue import Catalogue, Filter
from state.recommending.learner import Learner
from state.recommending.list_view import ListView, Translation
from state.recommending.recommender import Recommender
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
    _cross(settings, events)
    hashes([event.customer_id.encode() for event in events])
    lists = items.rank(np.arange(items.row_count), exact=True)
    _recommend(customers, items)
    items.mark_published(lists)
    for saver in savers:
        saver.save_all()
    CustomerSaver(CustomerMachine(settings), stores[0]).load()
    ItemSaver(ItemMachine(settings), stores[1]).load()
    return int(np.count_nonzero(lists.length))


def _cross(settings: CountingSettings, events: list[Event]) -> None:
    """The same as watches, and as what was then bought."""
    crossing, items = CrossingMachine(settings), ItemMachine(settings)
    for side in (BOUGHT, WATCHED):
        machine = CustomerMachine(settings, tells_as=Source(side, 0))
        for told in machine.apply(machine.batch(events)).first_events:
            for changes in crossing.apply(decode_first(encode_first(told)))[0]:
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
    Bestsellers().update(items.popularity, items.items, np.ones(5, np.int32))
    PopularityChanges(items).take()
    popular = PopularityView(view.items)
    popular.put([ItemPopularity("item-7", START_MS, 1, 2, 17_000, [1, 2], 16_000, (1, 1, 60), 9)])
    popular.move_on(START_MS + 1)


if __name__ == "__main__":
    print(f"compiled; {exercise()} lists")
