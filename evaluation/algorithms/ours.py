"""Ours: the machines and the ranking of production, in process, with the weights that they learn on the way.

The events are applied in order, once for all cutoffs. The visits of a chunk are tests and then training
examples; then the chunk is counted, and the lists that it changed are ranked. In a live shop every visit is a
training example and no list is more than a moment old; here that is approximated as far as is affordable.
Every eight weeks of event time the chronological model is trained again on all events so far, as in a shop
that runs `alsobought train` now and then. This module implements no algorithm of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluation.models import trained
from evaluation.protocol import DAY_MS, NOTHING, Events, Ids, OnProgress, no_progress
from recommending import training_steps
from recommending.catalogue import Catalogue
from recommending.learner import HitCounts, Learner
from recommending.recommender import Recommender, Shelf
from recommending.related_lists import IdMapping, RelatedLists
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.settings import CountingSettings

TRAIN_MS = 56 * DAY_MS
CHUNK = 500  # events: a live shop counts far fewer at once, but testing visits takes time
MOST_EXAMPLES = 100  # of a chunk: nearly all visits of most shops
ROWS = 4_096  # ranked at once, some 20 MB: no more than so many are ranked after every chunk
RANKED = 8_000  # where a chunk changes more lists, they lag as those of a worker under a full load do ...
RANKED_MS = 2 * DAY_MS  # ... but not by weeks in a shop that has few events


class Ours:
    """The product itself, as an algorithm to evaluate.

    Parameters
    ----------
    chunk, most_examples
        How many events are counted at once, and how many of their visits are training examples at most.
    ranked, ranked_ms
        How many events, or how much event time, may pass before the changed lists are ranked, at the end of
        a chunk.
    at_once
        Lists are ranked earlier, after every chunk that leaves no more than so many to be ranked.
    train_ms
        The event time between two trainings of the chronological model; None: there is no model.
    """

    name = "ours"

    def __init__(
        self,
        chunk: int = CHUNK,
        most_examples: int = MOST_EXAMPLES,
        ranked: int = RANKED,
        ranked_ms: int = RANKED_MS,
        at_once: int = ROWS,
        train_ms: int | None = TRAIN_MS,
    ) -> None:
        self.progress: OnProgress = no_progress
        self._chunk, self._most_examples = chunk, most_examples
        self._ranked, self._ranked_ms, self._at_once = ranked, ranked_ms, at_once
        settings = CountingSettings()
        self._catalogue = Catalogue()
        self._known_items = 0
        self._customers, self._items = CustomerMachine(settings), ItemMachine(settings)
        self._related = RelatedLists(settings.list_length)
        self.recommender = Recommender(self._related, self._customers, self._items, self._catalogue)
        self._learner = Learner(self.recommender)
        self._to_related = IdMapping(self._items.items, self._related.items, adding=True)
        self._done = self._listed = 0
        self._train_ms, self._models = train_ms, 0

    @property
    def counted(self) -> int:
        """The number of events counted so far."""
        return self._done

    @property
    def quality(self) -> HitCounts:
        """The tests and hits so far."""
        return self._learner.quality

    def fit(self, before: Events, cutoff_ms: int) -> None:
        """Continue with the events that came since the last cutoff."""
        del cutoff_ms
        self._put_catalogue(before)
        start = self._done
        while self._done < len(before):
            stop = min(self._done + self._chunk, len(before))
            self._train(before, stop)
            self._apply(before.part(self._done, stop))
            self._done = stop
            passed_ms = before.time_ms[stop - 1] - before.time_ms[self._listed]
            if stop - self._listed >= self._ranked or passed_ms >= self._ranked_ms or stop == len(before):
                self._rank(self._items.waiting())
            elif len(waiting := self._items.waiting()) <= self._at_once:
                self._rank(waiting)
            self.progress((stop - start) / (len(before) - start))
        with self._related.lock:
            self.recommender.synchronise()

    def _train(self, events: Events, stop: int) -> None:
        """Train a model on the events counted so far, if a period ends in the next chunk."""
        if self._train_ms is None:
            return
        periods = int(events.time_ms[stop - 1] - events.time_ms[0]) // self._train_ms
        if periods > self._models:
            self._models = periods
            model = trained(events.part(0, self._done), periods, no_progress)
            if model is not None:
                self.recommender.use(model)

    def _put_catalogue(self, events: Events) -> None:
        """Put in all items from the beginning, as if the shop had published its catalogue."""
        known = events.catalogue
        if known is not None and not self._known_items:
            for n, (category, brand) in enumerate(zip(known.category, known.brand, strict=True)):
                self._catalogue.put(str(n), category or None, brand or None, None)
            self._known_items = events.n_items

    def _apply(self, events: Events) -> None:
        columns = zip(events.customer.tolist(), events.item.tolist(), events.time_ms.tolist(), strict=True)
        batch = self._customers.batch(Event(str(c), str(i), time_ms) for c, i, time_ms in columns)
        with self._related.lock:
            self.recommender.synchronise()
            tests = training_steps.before(self._learner, self._customers, batch, self._most_examples)
        applied = self._customers.apply(batch)
        with self._related.lock:
            training_steps.after(self._learner, tests, batch, applied.outcomes)
        for deltas in applied.deltas[0]:
            self._items.apply(deltas)

    def _rank(self, waiting: npt.NDArray[np.int64]) -> None:
        self._listed = self._done
        for start in range(0, len(waiting), ROWS):
            lists = self._items.rank(waiting[start : start + ROWS])
            self._related.put_lists(self._items, lists, self._items.mark_published(lists), self._to_related)

    def recommend(self, customers: Ids, k: int, *, new_only: bool) -> Ids:
        """Return what the shelf of new items, or of all items, shows."""
        shelf: Shelf = "new" if new_only else "all"
        found = np.full((len(customers), k), NOTHING, np.int32)
        with self._related.lock:
            for row, customer in zip(found, customers.tolist(), strict=True):
                shown = self.recommender.recommend(self.recommender.history(str(customer)), k, shelf)
                row[: len(shown)] = [int(one.item_id) for one in shown]
        return found
