"""Events for the tests of evaluation, and simple algorithms to compare with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from evaluation.protocol import Events, ItemProperties
from streams.messages.schema import EventMessage
from tests.events import real_slice, watches


def columns(messages: Iterable[EventMessage], catalogue: ItemProperties | None = None) -> Events:
    """Return messages as columns; ids are numbered in order of appearance."""
    found = list(messages)
    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    customer = [customers.setdefault(m.customer_id, len(customers)) for m in found]
    item = [items.setdefault(m.item_id, len(items)) for m in found]
    times = np.array([m.timestamp for m in found], np.int64)
    return Events(
        np.array(customer, np.int32), np.array(item, np.int32), times, len(customers), len(items),
        catalogue,
    )  # fmt: skip


def rows(*given: tuple[int, int, float]) -> Events:
    """Return columns of events that are given as (customer, item, day), in order of time."""
    customer, item, day = zip(*given, strict=True)
    return Events(
        np.array(customer, np.int32), np.array(item, np.int32), np.array(day) * 86_400_000 // 1,
        max(customer) + 1, max(item) + 1,
    )  # fmt: skip


def groceries(n: int = 40_000) -> Events:
    """Return the purchases of the first days of complete-journey."""
    return columns(real_slice(n))


def drifting(seed: int = 0, customers: int = 300, items: int = 120, events: int = 6_000) -> Events:
    """Return watches whose popularity drifts."""
    return columns(watches(seed, customers, items, events))


def histories(events: Events) -> dict[int, list[int]]:
    """Return for each customer the distinct items in order of their first events."""
    found: dict[int, dict[int, None]] = {}
    for customer, item in zip(events.customer.tolist(), events.item.tolist(), strict=True):
        found.setdefault(customer, {})[item] = None
    return {customer: list(items) for customer, items in found.items()}
