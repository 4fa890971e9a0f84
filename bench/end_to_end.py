"""Measures the whole system on this machine: a year of purchases, from a file to lists and recommendations.

    python -m bench.end_to_end [--limit N] [--runs 3]

One worker, one recommender, the API and Kafka count the year without its last 53,000 purchases. The clock
runs from the first record in Kafka until all are counted, until every list is exactly up to date, as `drain`
asks for, and until `drain` returns, when everybody is recommended to as well. Then the last two weeks are
published, and the clock runs until `drain` again. CPU is that of the processes until the first `drain`
returns, their starting not included; memory is the highest of both parts.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from typing import NamedTuple

from bench.machines import in_process_per_s
from bench.processes import ROLES, Usage
from bench.progress_follower import ProgressFollower
from bench.results import Result, parser, run
from bench.stack import Arrivals, Running, finished, purchases, running, wait_for

TWO_WEEKS = 53_000
SETTLE_S = 15.0  # the newest counts are still written, and all customers recommended to


def measure(options: argparse.Namespace) -> Result:
    """Run the bench once."""
    first = in_process_per_s(options.limit)
    records = purchases(options.limit)
    last = min(TWO_WEEKS, len(records) // 4)
    n = len(records) - last
    with running() as system:
        before = system.processes.usage()
        loaded = load(system, n)
        after = system.processes.usage()
        sizes = system.topic_bytes()
        time.sleep(SETTLE_S)
        written = system.processes.usage()
        two_weeks_s = _two_weeks(system, records[n:])
        peaks = system.processes.usage()
    # before and after the load, because some machines are twice as fast from one minute to the next
    per_s, cpu_us = map(statistics.mean, zip(first, in_process_per_s(options.limit), strict=True))
    figures = {
        "events": float(n),
        "published_per_s": n / loaded.published_s,
        "counted_per_s": n / loaded.counted_s,
        "listed_per_s": n / loaded.listed_s,
        "listed_share": n / loaded.listed_s / per_s,
        "drained_per_s": n / loaded.drained_s,
        "two_weeks_s": two_weeks_s,
    }
    for role in ROLES:
        cpu_s = after[role].cpu_s - before[role].cpu_s
        if cpu_s > 0:
            figures[f"{role}_cpu_us_per_event"] = 1e6 * cpu_s / n
        if peaks[role].peak_mib > 0:
            figures[f"{role}_peak_mib"] = peaks[role].peak_mib
    figures["worker_cpu_multiple"] = figures["worker_cpu_us_per_event"] / cpu_us
    figures["disk_bytes_per_event"] = sum(_written(written, before, role) for role in _STORING) / n
    figures["kafka_bytes_per_event"] = sum(sizes.values()) / n
    for topic, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
        if size / n >= 1:
            figures[f"kafka_bytes_per_event_{topic}"] = size / n
    return Result(figures, per_s)


_STORING = ("worker", "recommender")


def _written(now: dict[str, Usage], before: dict[str, Usage], role: str) -> int:
    return now[role].written_bytes - before[role].written_bytes


class Loaded(NamedTuple):
    """How long a load took, in seconds from the first record in Kafka."""

    published_s: float
    counted_s: float
    listed_s: float
    drained_s: float


def load(system: Running, n: int) -> Loaded:
    """Publish the first n purchases, and drain."""
    with ProgressFollower(system.bootstrap) as follower, Arrivals(system.bootstrap) as arrivals:
        publisher = threading.Thread(target=system.publish_year, args=(n,))
        publisher.start()
        begin = arrivals.first()
        publisher.join()
        published_s = time.monotonic() - begin
        if arrivals.count() != n:
            raise RuntimeError(f"{n:,} purchases were to be published, the topic has {arrivals.count():,}")
        system.drain()
        drained_s = time.monotonic() - begin
        wait_for(follower.has_listed, "the last report")
        return Loaded(published_s, follower.counted(begin), follower.listed(begin), drained_s)


def _two_weeks(system: Running, records: list[tuple[bytes, bytes]]) -> float:
    with Arrivals(system.bootstrap) as arrivals:
        publisher = system.publishing(records)
        begin = arrivals.first()
        finished(publisher)
        system.drain()
        return time.monotonic() - begin


def main() -> None:
    """Run the bench."""
    run("end_to_end", parser(__doc__).parse_args(), measure)


if __name__ == "__main__":
    main()
