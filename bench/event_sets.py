"""The sets of events on which `bench.generality` measures: real sets, their halves, and synthetic shops."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from alsobought.evaluating import kind_of, read
from alsobought.options import settings_of
from alsobought.sources.complete_journey import NAME as BUNDLED
from bench.shops import SHOPS
from bench.shops import events as events_of
from evaluation.protocol import Events
from streams.kinds import kinds_of

SEED = 20_240_601
Sets = dict[str, Callable[[], Events]]
"""By name what gives the events."""


def sets(watches: str | None, limit: int | None) -> Sets:
    """Return all sets: purchases, watches where a file of them is given, halves of both, and shops.

    Parameters
    ----------
    limit
        About how many events a set has. From larger sets, some random customers are taken, so that a set
        still covers the same time.
    """
    found: Sets = {}
    for name, file in {"purchases": BUNDLED, "watches": watches}.items():
        if file is not None:
            found |= halves(name, cache(partial(_of_file, file, limit)))
    return found | {name: partial(_of_shop, name, limit) for name in SHOPS}


def halves(name: str, whole: Callable[[], Events]) -> Sets:
    """Return a set, what happened before and after the middle of its
    time, and two halves of its customers.
    """
    return {
        name: whole,
        f"{name}-first-half": lambda: in_time(whole(), 0),
        f"{name}-second-half": lambda: in_time(whole(), 1),
        f"{name}-customers-a": lambda: by_customers(whole(), 0),
        f"{name}-customers-b": lambda: by_customers(whole(), 1),
    }


def in_time(events: Events, half: int) -> Events:
    """Return the events before the middle of the time (0), or from it on (1)."""
    middle_ms = int(events.time_ms[0] + events.time_ms[-1]) // 2
    if half == 0:
        return events.before(middle_ms)
    return events.between(middle_ms, int(events.time_ms[-1]) + 1)


def by_customers(events: Events, half: int) -> Events:
    """Return all events of a random half of the customers (0), or of the others (1)."""
    return _of_customers(events, np.random.default_rng(SEED).permutation(events.n_customers) % 2 == half)


def _of_file(file: str, limit: int | None) -> Events:
    kind = kind_of(file, kinds_of(settings_of()))
    events = read(file, kind, BUNDLED if file == BUNDLED else None)
    return limited(events, limit)


def _of_shop(name: str, limit: int | None) -> Events:
    return limited(events_of(SHOPS[name], SEED), limit)


def limited(events: Events, limit: int | None) -> Events:
    """Return at most about this many events: those of some random customers."""
    if limit is None or len(events) <= limit:
        return events
    counts = np.bincount(events.customer, minlength=events.n_customers)
    order = np.random.default_rng(SEED).permutation(events.n_customers)
    chosen = np.zeros(events.n_customers, np.bool_)
    chosen[order[np.cumsum(counts[order]) <= limit]] = True
    return _of_customers(events, chosen)


def _of_customers(events: Events, chosen: npt.NDArray[np.bool_]) -> Events:
    some = chosen[events.customer]
    return Events(
        events.customer[some], events.item[some], events.time_ms[some],
        events.n_customers, events.n_items, events.catalogue,
    )  # fmt: skip
