"""Events a second from Kafka to published lists: a year of purchases, one worker, all on this machine.

    python bench/end_to_end.py [--limit N] [--json]

The clock runs from the start of publishing until every purchase is counted, and until every list in Kafka
is exactly up to date (`drain`). Then 3,000 more purchases at a modest rate show the time from a purchase to
its lists.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from alsobought.commands_publish import run as publish
from alsobought.draining import drain
from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from alsobought.stack import Stack
from streams.messages import decode_progress
from streams.publishing import Record
from streams.settings import Settings
from streams.topics import PROGRESS, PURCHASES
from streams.views import Follower

HELD_BACK = 3_000
RATE = 200.0
DRAIN_S = 1_800.0


class Watch:
    """Follows progress and the memory of the stack's workers until the block ends."""

    def __init__(self, bootstrap: str, pids: list[int]) -> None:
        self._follower = Follower(bootstrap, PROGRESS)
        self._workers = [psutil.Process(pid) for pid in pids]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak_mib = 0.0
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
            for row in self._follower.poll(300):
                progress = decode_progress(row.value or b"")
                if progress.task.startswith("pair-deltas"):
                    if self.counted.get(progress.task, (0, 0.0))[0] != progress.events:
                        self.counted[progress.task] = progress.events, time.monotonic()
                    if progress.latency_p50_ms >= 0:
                        self.p50.append(progress.latency_p50_ms)
                        self.p99.append(progress.latency_p99_ms)
                        self.staleness.append(progress.staleness_ms)


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
                drain(stack.bootstrap, DRAIN_S, lambda _lag: None)
                listed_s = time.monotonic() - begin
            with Watch(stack.bootstrap, stack.worker_pids) as calm:
                publish(stack.bootstrap, PURCHASES, iter([held]), rate=RATE)
                drain(stack.bootstrap, DRAIN_S, lambda _lag: None)
            counted_s = max(at for _, at in bulk.counted.values()) - begin
    result = {
        "events": n,
        "published_per_s": round(n / published.seconds),
        "counted_per_s": round(n / counted_s),
        "listed_per_s": round(n / listed_s),
        "worker_peak_mib": round(max(bulk.peak_mib, calm.peak_mib)),
        "bulk_staleness_max_ms": round(max(bulk.staleness)),
        "calm_rate": RATE,
        "calm_p50_ms": round(statistics.median(calm.p50), 1),
        "calm_p99_ms": round(statistics.median(calm.p99), 1),
    }
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:24}{v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
