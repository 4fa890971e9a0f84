"""Events a second from Kafka to published lists: a year of purchases, one worker, all on this machine.

    python bench/end_to_end.py [--limit N] [--json]

The clock runs from the start of publishing until every purchase is counted, and until every list in Kafka
is exactly up to date (`drain`). A while later 3,000 more purchases at a modest rate show the time from a
purchase to its lists ("calm"), and to its customer's new recommendations ("offers").
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from alsobought.commands_publish import run as publish
from alsobought.draining import drain
from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from alsobought.stack import Stack
from streams.kinds import listed_of
from streams.messages import decode_progress
from streams.publishing import Record
from streams.settings import Settings
from streams.topics import PROGRESS, PURCHASES, RECOMMENDATIONS, TopicSpec
from streams.views import Follower

HELD_BACK = 3_000
RATE = 200.0
DRAIN_S = 1_800.0
SETTLE_S = 15.0  # state of the load is still written, and all its customers recommended to


class Watch:
    """Follows progress and the memory of the stack's workers until the block ends."""

    def __init__(self, bootstrap: str, pids: list[int]) -> None:
        self._follower = Follower(bootstrap, PROGRESS)
        self._workers = [psutil.Process(pid) for pid in pids]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak_mib = 0.0
        self.cpu_s = 0.0  # that the workers have used since they were started
        self.counted: dict[str, tuple[int, float]] = {}  # task: events, when it got there
        self.p50: list[float] = []
        self.p99: list[float] = []
        self.staleness: list[float] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._follower.__exit__()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.peak_mib = max([self.peak_mib, *(w.memory_info().rss / 2**20 for w in self._workers)])
            self.cpu_s = sum(sum(worker.cpu_times()[:2]) for worker in self._workers)
            for row in self._follower.poll(300):
                progress = decode_progress(row.value or b"")
                if progress.task.startswith("pair-deltas"):
                    if self.counted.get(progress.task, (0, 0.0))[0] != progress.events:
                        self.counted[progress.task] = progress.events, time.monotonic()
                    if progress.latency_p50_ms >= 0:
                        self.p50.append(progress.latency_p50_ms)
                        self.p99.append(progress.latency_p99_ms)
                        self.staleness.append(progress.staleness_ms)


class Offers:
    """When each customer's purchases and recommendations came to Kafka while the block runs, by its clock."""

    def __init__(self, bootstrap: str) -> None:
        self._followers = {spec: Follower(bootstrap, spec) for spec in (PURCHASES, RECOMMENDATIONS)}
        self._came: dict[TopicSpec, dict[bytes, list[int]]] = {s: defaultdict(list) for s in self._followers}

    def __enter__(self) -> Offers:
        return self

    def __exit__(self, *_exc: object) -> None:
        for spec, follower in self._followers.items():
            while rows := follower.poll(1_000):
                for row in rows:
                    self._came[spec][row.key or b""].append(row.timestamp_ms)
            follower.__exit__()

    def delays_ms(self) -> list[int]:
        """From each purchase to the next recommendations of its customer."""
        bought, offered = self._came[PURCHASES], self._came[RECOMMENDATIONS]
        nexts = (
            (at, next((t for t in offered[key] if t >= at), None)) for key in bought for at in bought[key]
        )
        return [then - at for at, then in nexts if then is not None]


def _split(limit: int | None) -> tuple[list[Sequence[Record]], list[Record]]:
    records: list[Record] = []
    for batch in open_purchases(NAME).records():
        records += batch
        if limit is not None and len(records) >= limit:
            break
    records = records[:limit]
    load = records[:-HELD_BACK]
    return [load[at : at + 10_000] for at in range(0, len(load), 10_000)], records[-HELD_BACK:]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="only the first so many purchases")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    batches, held = _split(arguments.limit)
    n = sum(map(len, batches))

    def ready() -> Iterator[Sequence[Record]]:
        yield from batches

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), kafka=None)
        with Stack(settings, port=0, workers=1, say=lambda _text: None) as stack:
            with Watch(stack.bootstrap, stack.worker_pids) as bulk:
                begin = time.monotonic()
                published = publish(stack.bootstrap, PURCHASES, ready())
                drain(stack.bootstrap, listed_of(settings), DRAIN_S, lambda _lag: None)
                listed_s = time.monotonic() - begin
            time.sleep(SETTLE_S)
            offers = Offers(stack.bootstrap)
            with Watch(stack.bootstrap, stack.worker_pids) as calm, offers:
                publish(stack.bootstrap, PURCHASES, iter([held]), rate=RATE)
                drain(stack.bootstrap, listed_of(settings), DRAIN_S, lambda _lag: None)
            counted_s = max(at for _, at in bulk.counted.values()) - begin
    delays = offers.delays_ms()
    result = {
        "events": n,
        "published_per_s": round(n / published.seconds),
        "counted_per_s": round(n / counted_s),
        "listed_per_s": round(n / listed_s),
        "worker_cpu_us_per_event": round(1e6 * bulk.cpu_s / n, 1),
        "worker_peak_mib": round(max(bulk.peak_mib, calm.peak_mib)),
        "bulk_staleness_max_ms": round(max(bulk.staleness)),
        "calm_rate": RATE,
        "calm_p50_ms": round(statistics.median(calm.p50), 1),
        "calm_p99_ms": round(statistics.median(calm.p99), 1),
        "offers_p50_ms": round(statistics.median(delays)),
        "offers_p99_ms": round(statistics.quantiles(delays, n=100)[98]),
    }
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:24}{v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
