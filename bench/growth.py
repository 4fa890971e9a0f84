"""Measures the cost of an event in process as partitions, items and customers grow, in one thread.

    python -m bench.growth [--limit N] [--per-customer 4]

Partitions: the year of purchases through 4, 16 and 64 of them. Items and customers: a seeded stream
(`bench.zipf`) with as many events a customer at every size, so that histories are alike and an event has as
many neighbours; the rate is that of the last fifth of each stream, when its state is largest.
"""

from __future__ import annotations

import argparse
from itertools import islice

from bench.machines import Machines, year
from bench.results import Result, parser, run
from bench.zipf import zipf

PARTITIONS = (4, 16, 64)
SIZES = ((10_000, 50_000), (100_000, 500_000), (1_000_000, 5_000_000))
SEED = 13
LAST = 0.2


def measure(options: argparse.Namespace) -> Result:
    """Measure all sizes once."""
    figures: dict[str, float] = {}
    series: dict[str, list[float]] = {
        name: [] for name in ("partitions", "us_per_event", "items", "customers", "counted_per_s")
    }
    for partitions in PARTITIONS:
        machines = Machines(partitions)
        machines.feed(year(options.limit))
        machines.finish()
        us = 1e6 / machines.spent.per_s
        figures[f"us_per_event_at_{partitions}_partitions"] = us
        series["partitions"].append(partitions)
        series["us_per_event"].append(us)
    figures["partitions_cost"] = series["us_per_event"][-1] / series["us_per_event"][0]
    for items, customers in SIZES:
        rate, neighbours = _rate(items, customers, options)
        figures[f"counted_per_s_at_{items}_items"] = rate
        figures[f"neighbours_per_event_at_{items}_items"] = neighbours
        series["items"].append(items)
        series["customers"].append(customers)
        series["counted_per_s"].append(rate)
    figures["catalogue_rate"] = series["counted_per_s"][-1] / series["counted_per_s"][0]
    return Result(figures, 1e6 / series["us_per_event"][0], series)


def _rate(items: int, customers: int, options: argparse.Namespace) -> tuple[float, float]:
    """Return events/s in the last fifth of a stream, and neighbours an event there."""
    n = customers * options.per_customer
    if options.limit is not None:
        n = min(n, options.limit)
    events = zipf(n, items, customers, SEED)
    machines = Machines(PARTITIONS[0])
    machines.feed(islice(events, int(n * (1 - LAST))))
    spent = machines.spent
    before = spent.events, spent.counting_s, spent.neighbours
    machines.feed(events)
    machines.finish()
    counted = spent.events - before[0]
    return counted / (spent.counting_s - before[1]), (spent.neighbours - before[2]) / counted


def main() -> None:
    """Run the bench."""
    options = parser(__doc__)
    options.add_argument("--per-customer", type=int, default=4, help="events a customer of the streams")
    run("growth", options.parse_args(), measure)


if __name__ == "__main__":
    main()
