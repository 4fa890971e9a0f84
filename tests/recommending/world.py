"""A shop for these tests: machines, related lists and a recommender, and the same in plain Python."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from recommending.catalogue import Catalogue
from recommending.recommender import Recommender
from recommending.related_lists import Entry, IdMapping, RelatedLists, landmark_weight
from state.customers.events import Event
from state.customers.machine import Purchased
from state.items.lists import Lists
from state.items.machine import ItemMachine
from state.messages.deltas import Availability, Source
from state.settings import CountingSettings
from tests.events import DAY_MS, as_event, purchases, real_slice
from tests.oracles.counts import Oracle
from tests.state.machines import Run

CATALOGUE = Source(1, 0)


@dataclass
class Listed:
    """A list, with the values that its message has."""

    as_of_ms: int
    buyers: int
    recent_mass: float
    entries: list[Entry]


@dataclass
class World:
    """All that is known about a shop.

    Attributes
    ----------
    lists
        By item id, as published.
    log
        Every event.
    gone
        Items that are not available.
    groups
        Category and brand by item id, as far as they are known.
    """

    run: Run
    related: RelatedLists
    recommender: Recommender
    log: Oracle
    gone: set[str]
    lists: dict[str, Listed] = field(default_factory=dict)
    groups: dict[str, tuple[str, str]] = field(default_factory=dict)
    _counts: Counts | None = None

    @property
    def counts(self) -> Counts:
        """Return everything counted until now."""
        if self._counts is None or self._counts.events != self.log.fed:
            self._counts = Counts.of(self)
        return self._counts

    def history(self, customer: str) -> list[Purchased]:
        return self.run.customers[0].history(customer)

    def customers(self) -> list[str]:
        """Return the customers with a history, the longest history first."""
        known = {c: len(h) for c, h in self.log.histories.items() if h}
        return sorted(known, key=lambda c: (-known[c], c))

    def some_customers(self, n: int) -> list[str]:
        """Return the customers with the longest and the shortest history, and some in between."""
        known = self.customers()
        return [known[i * (len(known) - 1) // (n - 1)] for i in range(n)]

    def publish(self, machine: ItemMachine, *, as_messages: bool) -> None:
        """Rank the waiting rows, and put the lists into the related lists and the oracle."""
        lists = machine.rank(machine.waiting(), exact=True)
        for i, item_id in enumerate(owners(machine, lists)):
            self.lists[item_id] = listed(machine, lists, i)
            if as_messages:
                put(self.related, item_id, self.lists[item_id])
        if not as_messages:
            numbers = IdMapping(machine.items, self.related.items, adding=True)
            self.related.put_lists(machine, lists, np.arange(len(lists.row)), numbers)

    def apply(self, events: Sequence[Event]) -> None:
        """Apply further events, and publish the lists that they change."""
        self.run.apply(events)
        self.log.feed(events)
        for machine in self.run.items:
            self.publish(machine, as_messages=machine.partition > 0)
        self.recommender.synchronise()

    def take_away(self, names: Iterable[str], *, available: bool = False) -> None:
        """Make items unavailable in the machines only; the lists stay until they are published."""
        ids = sorted(names)
        flags = np.full(len(ids), available, np.uint8)
        for machine in self.run.items:
            first = machine.sources[CATALOGUE].end if CATALOGUE in machine.sources else 0
            machine.apply_availability(Availability(CATALOGUE, first, first + 1, ids, flags))
        for item in ids:
            self.run.sharing.view.offer(item, available=available)
        if available:
            self.gone -= set(ids)
        else:
            self.gone |= set(ids)


@dataclass
class Counts:
    """The sums over the whole log and all lists."""

    events: int
    now_ms: int
    customers: int
    buyers: Counter[str]
    recent: dict[tuple[int, int], Counter[str]]  # (days, days before the newest)
    first_days: Counter[str]
    recent_buyers: dict[str, float]  # as of now
    repeats: dict[str, list[int]]
    mass: dict[str, float]  # recent_mass as of now
    of_groups: tuple[Counter[str], Counter[str]]  # buyers by category, by brand

    @staticmethod
    def of(world: World) -> Counts:
        log = world.log
        now = log.watermark_ms()
        buyers, weight = log.buyers(), landmark_weight(now)
        of_groups: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        for item, groups in world.groups.items():
            for of_group, group in zip(of_groups, groups, strict=True):
                of_group[group] += buyers[item]
        windows = (3, 0), (7, 0), (14, 0), (21, 7)
        return Counts(
            log.fed, now, log.customers(), buyers, {w: log.recent(*w) for w in windows},
            log.first_days(), {item: n / weight for item, n in log.recent_buyers().items()}, log.repeats(),
            {y: as_of(m.recent_mass, m.as_of_ms, now) for y, m in world.lists.items()}, of_groups,
        )  # fmt: skip


def owners(machine: ItemMachine, lists: Lists) -> list[str]:
    """Return the items that have lists."""
    return machine.items.ids(machine.tables.item_of[lists.row].tolist())


def listed(machine: ItemMachine, lists: Lists, i: int) -> Listed:
    """Return one of several lists, with the values that its message has."""
    n = int(lists.length[i])
    names = machine.items.ids(lists.item[i, :n].tolist())
    columns = (c[i, :n].tolist() for c in (lists.together, lists.after, lists.recent, lists.expected))
    entries = [
        Entry(name, together, after, recent, expected)
        for name, together, after, recent, expected in zip(names, *columns, strict=True)
    ]
    buyers = machine.tables.popularity.buyers[machine.tables.item_of[lists.row[i]]]
    return Listed(machine.watermark_ms, int(buyers), float(lists.recent_mass[i]), entries)


def put(related: RelatedLists, item_id: str, message: Listed) -> None:
    """Put a list into the related lists, as a message."""
    related.put(
        item_id, message.entries, buyers=message.buyers, recent_mass=message.recent_mass,
        as_of_ms=message.as_of_ms,
    )  # fmt: skip


def events_of(name: str) -> list[Event]:
    """Return the events of one of WORLDS: seeded ones with late ones and returns, or real ones."""
    if name == "real":
        return [as_event(message) for message in real_slice(60_000)]
    return seeded(81, customers=40, items=900, events=12_000, returns=0.02)


def seeded(seed: int, *, customers: int, items: int, events: int, returns: float) -> list[Event]:
    """Return purchases of three months, some of them days late."""
    messages = purchases(seed, customers, items, events, repeats=0.4, heavy=0.1, returns=returns)
    late = random.Random(seed)
    in_order = map(as_event, messages)
    return sorted(in_order, key=lambda e: e.time_ms + late.randrange(5) ** 4 * DAY_MS // 64)


def build(events: Sequence[Event], *, list_length: int = 100, gone: int = 3) -> World:
    """Apply most events, take the best sellers away, and apply the rest, so that lists are of two moments."""
    settings = CountingSettings(window=20, list_length=list_length, score_tolerance=0.02)
    run, related = Run.new(settings, partitions=2), RelatedLists(list_length)
    catalogue = Catalogue()
    world = World(run, related, Recommender(related, run.customers[0], run.sharing.view), Oracle(20), set())
    some = len(events) * 4 // 5
    world.apply(events[:some])
    world.take_away(item for item, _ in world.log.recent().most_common(gone))
    for item in world.lists:
        if int(item.removeprefix("i")) % 7:  # unknown for the others
            world.groups[item] = f"category {len(item)} {item[-1]}", f"brand {item[-2:]}"
            catalogue.put(item, *world.groups[item], None)
    world.run.apply(events[some:])
    world.log.feed(events[some:])
    for machine in run.items:
        world.publish(machine, as_messages=machine.partition > 0)
    world.recommender = Recommender(related, run.customers[0], run.sharing.view, catalogue)
    world.recommender.synchronise()
    return world


@lru_cache(maxsize=2)
def world_of(name: str) -> World:
    """Return one of WORLDS; tests that change it must build their own."""
    return build(events_of(name), list_length=40 if name == "shop" else 100)


WORLDS = ("shop", "real")


def as_of(value: float, then_ms: int, now_ms: int) -> float:
    """Return F of one moment, decayed to another one."""
    return value * math.exp((then_ms // 60_000 - now_ms // 60_000) / (30 * 24 * 60))
