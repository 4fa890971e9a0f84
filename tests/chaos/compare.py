"""Compare every count of the stored state and of the published lists with the oracle over Kafka's log."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.items.sharing import Sharing
from state.memory.entries import decay_weight
from state.messages.deltas import Source
from state.popularity.bestsellers import EVERYTHING, BestsellerList
from state.popularity.counts import DAY_MS, DAYS, RECENT_DAYS
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.saving import stored_position
from streams.kinds import EventKind
from streams.messages.partitioning import partition_for
from streams.stores.folder import StoreFolder
from streams.tasks.customers import item_partitions
from tests.oracles.counts import Oracle
from tests.streams.pipeline import PARTITIONS

WINDOW = 50


class Differences:
    """The number of compared values, and the first few that differ, by kind."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.examples: list[str] = []

    def all(self, kind: str, found: dict[Any, Any], expected: dict[Any, Any]) -> None:
        """Compare two dictionaries, key by key."""
        for key in found.keys() | expected.keys():
            self.compared[kind] += 1
            if found.get(key) != expected.get(key):
                self.differing[kind] += 1
                if len(self.examples) < 20:
                    self.examples.append(
                        f"{kind} {key}: {found.get(key)!r}, the oracle has {expected.get(key)!r}"
                    )


def newest_store(disks: list[Path], task: str, end: int) -> RocksStore:
    """Return the store of a task that includes the whole log, on whichever disk it is."""
    for disk in disks:
        folder = StoreFolder(disk / "state" / task).newest()
        if folder is not None:
            store = RocksStore(folder)
            if stored_position(store) == end:
                return store
            store.close()
    raise AssertionError(f"no disk has a store of {task} up to offset {end}")


def compare_stores(
    disks: list[Path],
    kind: EventKind,
    ends: dict[str, dict[int, int]],
    oracle: Oracle,
    differences: Differences,
) -> None:
    """Compare a kind's stored histories, N_X, pairs both ways, opportunity sizes and popularity."""

    def same(what: str, found: dict[Any, Any], expected: dict[Any, Any]) -> None:
        differences.all(f"{kind.name}: {what}", found, expected)

    histories: dict[str, Any] = {}
    buyers, recent, by_day = oracle.buyers(), oracle.recent(), oracle.by_day()
    newest = oracle.watermark_ms() // DAY_MS
    sizes, after = oracle.sizes(), oracle.after()
    for partition in range(PARTITIONS):
        store = newest_store(disks, f"{kind.events.name}-{partition}", ends[kind.events.name][partition])
        customers = CustomerMachine(
            CountingSettings(), Source(0, partition), PARTITIONS,
            lambda items: item_partitions(PARTITIONS, items),
        )  # fmt: skip
        saver = CustomerSaver(customers, store)
        saver.load()
        for customer in oracle.histories:
            if partition_for(customer.encode(), PARTITIONS) == partition:
                bought = customers.history(customer)
                histories[customer] = [(b.item_id, b.quantity, b.first_ms, b.last_ms, b.days) for b in bought]
        saver.close()
    expected = {
        customer: [(b.item, b.quantity, b.first_ms, b.last_ms, b.days) for b in history]
        for customer, history in oracle.histories.items()
    }
    same("histories", histories, expected)

    pairs: dict[tuple[str, str], tuple[int, int]] = {}
    found_sizes: dict[str, Any] = {}
    expected_sizes: dict[str, Any] = {}
    savers = []
    for partition in range(PARTITIONS):
        store = newest_store(disks, f"{kind.deltas.name}-{partition}", ends[kind.deltas.name][partition])
        savers.append(ItemSaver(ItemMachine(CountingSettings(), partition), store))
        savers[-1].load()
    machines = [saver.machine for saver in savers]
    Sharing(machines).share()
    purchases = sum(machine.purchases for machine in machines)
    owned: set[str] = set()
    for machine, item_saver in zip(machines, savers, strict=True):
        machine.take_in()
        tables = machine.tables
        same(
            "totals",
            {"customers": machine.customers, "watermark": machine.watermark_ms, "purchases": purchases},
            {
                "customers": oracle.customers(), "watermark": oracle.watermark_ms(),
                "purchases": by_day.total(),
            },
        )  # fmt: skip
        names = list(machine.items)
        own = [int(item) for item in tables.item_of[: machine.row_count]]
        owned |= {names[i] for i in own}
        same(
            "buyers (N_X)", {n: int(tables.popularity.buyers[i]) for i, n in enumerate(names)},
            {n: buyers[n] for n in names},
        )  # fmt: skip
        same(
            "popularity", {n: int(tables.popularity.recent[i]) for i, n in enumerate(names)},
            {n: recent[n] for n in names},
        )  # fmt: skip
        first_days, repeats = oracle.first_days(), oracle.repeats()
        same(
            "repeats and first days",
            {
                n: (tables.popularity.repeats[i].tolist(), int(tables.popularity.first_days[i]))
                for i, n in ((i, names[i]) for i in own)
            },
            {names[i]: (repeats[names[i]], first_days[names[i]]) for i in own},
        )
        decayed, weight = oracle.recent_buyers(), decay_weight(oracle.watermark_ms() // 60_000)
        same(
            "decayed buyers, but for what was rounded",
            {
                names[i]: abs(float(tables.popularity.recent_buyers[i]) - decayed[names[i]]) < 1e-9 * weight
                for i in own
            },
            {names[i]: True for i in own},
        )
        window = range(newest - DAYS + 1, newest + 1)
        same(
            "popularity by day",
            {names[i]: [int(tables.popularity.days[i, day % DAYS]) for day in window] for i in own},
            {names[i]: [by_day[names[i], day] for day in window] for i in own},
        )
        for row in range(machine.row_count):
            name = names[int(tables.item_of[row])]
            cells = np.zeros_like(tables.sizes[row])
            for size, count in sizes[name].items():
                cells[0, machine.cells.of_size[size]] += count
                cells[1, machine.cells.of_size[size]] += count * machine.cells.above[size]
            found_sizes[name], expected_sizes[name] = tables.sizes[row].tolist(), cells.tolist()
            for neighbour, later, earlier, _ in zip(*machine.neighbours(row), strict=True):
                pairs[name, names[int(neighbour)]] = int(later), int(earlier)
        item_saver.close()
    assert set(buyers) <= owned, "items that no item machine knows"
    same("opportunity sizes", found_sizes, expected_sizes)
    both = after.keys() | {(y, x) for x, y in after}
    same("pairs (after, before)", pairs, {(x, y): (after[x, y], after[y, x]) for x, y in both})


def compare_lists(
    lists: dict[str, dict[str, Any]], kind: EventKind, oracle: Oracle, differences: Differences
) -> None:
    """Compare the counts in every published list; check that all lists exist, and no others."""
    buyers, after = oracle.buyers(), oracle.after()
    wanted = {item for item, entries in oracle.lists("mix", 100).items() if entries}
    differences.all(f"{kind.name}: lists", dict.fromkeys(lists, True), dict.fromkeys(wanted, True))
    found: dict[Any, Any] = {}
    expected: dict[Any, Any] = {}
    for item, message in lists.items():
        found[item], expected[item] = message["buyers"], buyers[item]
        found[item, "kind"], expected[item, "kind"] = message["kind"], kind.name
        for entry in message["related"]:
            key = item, entry["item_id"]
            found[key] = entry["together"], entry["after"]
            expected[key] = after[key] + after[key[::-1]], after[key]
    differences.all(f"{kind.name}: counts in lists", found, expected)


def compare_popularity(
    messages: dict[str, Any], kind: EventKind, oracle: Oracle, differences: Differences
) -> None:
    """Compare the published buyers and purchases of two weeks of every item."""
    items = {item: popular for item, popular in messages.items() if not item.startswith("\t")}
    newest = max(popular["as_of"] for popular in items.values()) // DAY_MS
    found: dict[Any, int] = {}
    for item, popular in items.items():
        first = date.fromisoformat(popular["newest_day"]).toordinal() - date(1970, 1, 1).toordinal()
        recent = sum(n for day, n in enumerate(popular["purchases"]) if first - day > newest - RECENT_DAYS)
        found |= {(item, "buyers"): popular["buyers"], (item, "recent"): recent}
    expected: dict[Any, int] = {(item, "buyers"): n for item, n in oracle.buyers().items()}
    expected |= {(item, "recent"): n for item, n in oracle.recent().items()}
    differences.all(
        f"{kind.name}: popularity",
        {key: n for key, n in found.items() if n},
        {key: n for key, n in expected.items() if n},
    )


def compare_offers(
    sellers: dict[str, Any], recommendations: dict[str, Any], kind: EventKind, oracle: Oracle,
    differences: Differences,
) -> None:  # fmt: skip
    """Compare bestsellers and trending items number for number; check that exactly the customers who have
    something get recommendations.
    """
    lists = oracle.sellers()
    for board, key in (
        (BestsellerList(EVERYTHING, False), "all"),
        (BestsellerList(EVERYTHING, True), "trending"),
    ):
        listed = sellers.get(key, {"items": []})["items"]
        found = {n: (e["item_id"], e["purchases"], _rounded(e.get("rise"))) for n, e in enumerate(listed)}
        best = {n: (s.item_id, s.purchases, _rounded(s.rise)) for n, s in enumerate(lists.get(board, []))}
        differences.all(f"{kind.name}: {key}, sold", found, best)
    wanted = {customer for customer, history in oracle.histories.items() if history}
    differences.all(
        f"{kind.name}: recommended to", dict.fromkeys(recommendations, True), dict.fromkeys(wanted, True)
    )


def _rounded(rise: float | None) -> float | None:
    return None if rise is None else round(rise, 9)
