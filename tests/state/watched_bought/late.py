"""Clusters whose purchases are published late. Helpers of the tests in this folder."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.messages.history_changes import BOUGHT
from state.settings import CountingSettings
from state.storage.store import MemoryStore, Store
from state.watched_bought import exchange
from tests.state.machines import START_MS, shop
from tests.state.watched_bought.cluster import CrossingCluster

DAY_MS = 86_400_000
SETTINGS = CountingSettings(window=3, list_length=5)
LATE_MS = 5 * DAY_MS
LAST_MS = START_MS + 400 * DAY_MS


def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transfers have many parts."""
    monkeypatch.setattr(exchange, "PART_EFFECTS", 7)


def memory() -> Callable[[str], Store]:
    """Return a function that opens stores in memory, by name."""
    stores: dict[str, MemoryStore] = {}

    def open_store(name: str) -> Store:
        return stores.setdefault(name, MemoryStore())

    return open_store


def bought_of(seed: int, events: int = 1_200) -> list[Event]:
    """Return purchases; the same for the same seed."""
    return shop(seed, events, 40, 60, late_ms=LATE_MS, forgets=0.01)


def watched_of(seed: int, events: int = 900) -> list[Event]:
    """Return watches; the same for the same seed."""
    return shop(seed + 1000, events, 40, 60, returns=0.05, late_ms=LATE_MS)


def cluster_of(
    bought: list[Event], seed: int = 1, budgets: tuple[int | None, ...] = (None,)
) -> CrossingCluster:
    """Return a cluster to which purchases were published, and no watches."""
    return CrossingCluster(bought, [], SETTINGS, 2, random.Random(seed), memory(), budgets)


def publish(cluster: CrossingCluster, side: int, events: list[Event]) -> None:
    """Publish further events."""
    cluster.events[side].extend(events)
    for event in events:
        cluster.logs[side][cluster.partition_of(event.customer_id)].append(event)


def of_partition(cluster: CrossingCluster, events: list[Event], p: int) -> list[Event]:
    """Return the events of a partition's customers."""
    return [event for event in events if cluster.partition_of(event.customer_id) == p]


def returned_last(cluster: CrossingCluster) -> list[Event]:
    """Return the newest purchases with their return or erasure, so that only the newest time remains."""
    customers = [next(f"x{n}" for n in range(99) if cluster.partition_of(f"x{n}") == p) for p in range(2)]
    return [
        event
        for n, (customer, action) in enumerate(zip(customers, (Action.RETURN, Action.FORGET), strict=True))
        for event in (
            Event(customer, f"i{n}", LAST_MS + n),
            Event(customer, f"i{n}", LAST_MS + n, action=action),
        )
    ]


def is_silent(cluster: CrossingCluster) -> bool:
    """Return whether all customer machines of purchases are silent."""
    machines = [saver.machine for saver in cluster.customers[BOUGHT]]
    return all(machine.silent for machine in machines)
