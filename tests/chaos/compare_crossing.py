"""Compare watched-bought, as stored and as published, with the oracle over both logs."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.messages.deltas import Source
from state.popularity.counts import DAY_MS, DAYS
from state.settings import CountingSettings
from state.watched_bought.machine import CrossingMachine
from streams.kinds import WATCHED_BOUGHT as KIND
from streams.messages.partitioning import partition_for
from streams.tasks.customers import item_partitions
from tests.chaos.compare import Differences, newest_store
from tests.oracles.watched_bought import CrossingOracle
from tests.streams.pipeline import PARTITIONS


def compare_crossing(
    disks: list[Path], ends: dict[str, dict[int, int]], oracle: CrossingOracle, differences: Differences
) -> None:
    """Compare the stored histories, pairs, opportunity sizes, buyers and popularity."""

    def same(what: str, found: dict[Any, Any], expected: dict[Any, Any]) -> None:
        differences.all(f"{KIND.name}: {what}", found, expected)

    histories: dict[str, Any] = {}
    sides = oracle.watched.histories, oracle.bought.histories
    names = set(chain(*sides))
    for partition in range(PARTITIONS):
        store = newest_store(disks, f"{KIND.events.name}-{partition}", ends[KIND.events.name][partition])
        crossing = CrossingMachine(
            CountingSettings(), Source(0, partition), PARTITIONS,
            lambda items: item_partitions(PARTITIONS, items),
        )  # fmt: skip
        crossing_saver = CustomerSaver(crossing, store)
        crossing_saver.load()
        for name in names:
            if partition_for(name.encode(), PARTITIONS) == partition:
                histories[name] = crossing.crossed(name)
        crossing_saver.close()
    same(
        "histories", histories,
        {name: tuple({b.item: b.first_ms for b in side.get(name, ())} for side in sides) for name in names},
    )  # fmt: skip

    buyers, recent, sizes = oracle.bought.buyers(), oracle.recent(), oracle.sizes()
    by_day, first_days = oracle.by_day(), oracle.bought.first_days()
    newest = oracle.watermark_ms() // DAY_MS
    window = range(newest - DAYS + 1, newest + 1)
    pairs: dict[tuple[str, str], tuple[int, int]] = {}
    found_sizes: dict[str, Any] = {}
    expected_sizes: dict[str, Any] = {}
    for partition in range(PARTITIONS):
        store = newest_store(disks, f"{KIND.deltas.name}-{partition}", ends[KIND.deltas.name][partition])
        machine = ItemMachine(CountingSettings(), partition)
        saver = ItemSaver(machine, store)
        saver.load()
        tables, items = machine.tables, list(machine.items)
        same(
            "totals",
            {
                "customers": machine.customers, "watermark": machine.watermark_ms,
                "purchases": machine.purchases,
            },
            {
                "customers": oracle.customers(), "watermark": oracle.watermark_ms(),
                "purchases": by_day.total(),
            },
        )  # fmt: skip
        same(
            "buyers, popularity, by day",
            {
                n: (
                    int(tables.popularity.buyers[i]),
                    int(tables.popularity.recent[i]),
                    int(tables.popularity.first_days[i]),
                    [int(tables.popularity.days[i, day % DAYS]) for day in window],
                )
                for i, n in enumerate(items)
            },
            {n: (buyers[n], recent[n], first_days[n], [by_day[n, day] for day in window]) for n in items},
        )
        assert set(buyers) <= set(items), "items that no item machine knows"
        for row in range(machine.row_count):
            name = items[int(tables.item_of[row])]
            cells = np.zeros_like(tables.sizes[row])
            for size, count in sizes[name].items():
                cells[0, machine.cells.of_size[size]] += count
                cells[1, machine.cells.of_size[size]] += count * machine.cells.above[size]
            found_sizes[name], expected_sizes[name] = tables.sizes[row].tolist(), cells.tolist()
            for other, after, before, _ in zip(*machine.neighbours(row), strict=True):
                pairs[name, items[int(other)]] = int(after), int(before)
        saver.close()
    same("opportunity sizes", found_sizes, expected_sizes)
    assert {item for item, some in sizes.items() if some} <= found_sizes.keys(), "watched items without a row"
    same("pairs (after, before)", pairs, {pair: (n, 0) for pair, n in oracle.pairs().items()})


def compare_crossing_lists(
    lists: dict[str, dict[str, Any]], oracle: CrossingOracle, differences: Differences
) -> None:
    """Compare the counts in every published list; check that all lists exist, and no others."""
    watchers, pairs = oracle.watched.buyers(), oracle.pairs()
    wanted = {item for item, entries in oracle.lists(100).items() if entries}
    differences.all(f"{KIND.name}: lists", dict.fromkeys(lists, True), dict.fromkeys(wanted, True))
    found: dict[Any, Any] = {}
    expected: dict[Any, Any] = {}
    for item, message in lists.items():
        found[item], expected[item] = (
            (message["kind"], message["buyers"]),
            (KIND.name, watchers[item]),
        )
        for entry in message["related"]:
            key = item, entry["item_id"]
            found[key], expected[key] = (entry["together"], entry["after"]), (pairs[key], pairs[key])
    differences.all(f"{KIND.name}: counts in lists", found, expected)
