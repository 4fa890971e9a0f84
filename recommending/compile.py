"""A small load that calls every kernel of `recommending`: see `state.compile`."""

from __future__ import annotations

import numpy as np

from recommending.catalogue import Catalogue, Filter
from recommending.learner import Learner
from recommending.recommender import Recommender
from recommending.related_lists import IdMapping, RelatedLists
from state.compile import START_MS
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.popularity.view import ItemPopularity, PopularityView


def exercise(customers: CustomerMachine, items: ItemMachine) -> None:
    """Learn from one example, and recommend to one customer."""
    related, catalogue = RelatedLists(4), Catalogue()
    catalogue.put("item-7", "tea", "Assam & Co", 3.5)
    lists = items.rank(np.arange(items.row_count))
    numbers = IdMapping(items.items, related.items, adding=True)
    related.put_lists(items, lists, np.arange(len(lists.row)), numbers)
    recommender = Recommender(related, customers, items, catalogue)
    learner = Learner(recommender)
    with related.lock:
        recommender.synchronise()
        history = recommender.history("customer-3")
        learner.after(learner.before(history), np.arange(3, dtype=np.int32), START_MS)
        for wanted in (None, Filter(categories=frozenset(["tea"]))):
            recommender.recommend(history, 6, "all", wanted)
    popular = PopularityView(related.items)
    popular.put([ItemPopularity("item-7", START_MS, 1, 2, 17_000, [1, 2], 16_000, 1.5, (1, 1, 60), 9)])
    popular.move_on(START_MS + 1)
