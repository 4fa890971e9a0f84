"""Measures how fast events are published to an embedded broker on a free port, as `alsobought publish` does
it.

    python -m bench.publish [FILE] [--partitions 4] [--limit N] [--rate EVENTS_PER_SECOND] [--json]

FILE is complete-journey, or a file of purchases. The clock runs from opening the file to the last
acknowledgement (acks=all), and includes reading, checking, sorting and encoding. Broker and publisher share
the machine. `first_seconds` is the time until the first records are acknowledged; `reading` is the time
without Kafka.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alsobought.commands.publish import first, run
from alsobought.sources import numbered, open_purchases
from alsobought.sources.complete_journey import NAME
from streams import topics
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.kafka.publishing import Record
from streams.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", nargs="?", default=NAME)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--limit", type=int, default=None, help="only so many events")
    parser.add_argument("--rate", type=float, default=None, help="events per second at most")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = measure(options.file, options.partitions, options.limit, options.rate)
    if options.json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{width}}  {value:>12,}")


@contextmanager
def records(file: str, limit: int | None) -> Iterator[Iterator[list[Record]]]:
    """Yield the records of a file as they are sent."""
    source = open_purchases(file)
    identity = source.content_id(by_time=True)
    with source.ordered() as batches:
        yield (list(batch) for batch in first(numbered(batches, identity), limit))


def measure(file: str, partitions: int, limit: int | None, rate: float | None) -> dict[str, float]:
    """Publish all events once."""
    begin = time.perf_counter()
    with records(file, limit) as batches:
        read = sum(map(len, batches))
    reading_s = time.perf_counter() - begin
    settings = Settings.model_validate({})
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedKafka(Path(folder), cache_dir=settings.cache_dir, kafka_home=settings.kafka_home) as broker,
    ):
        create_topics(broker.bootstrap, [topics.PURCHASES], partitions, replication=1)
        acknowledged: list[float] = []

        def on_progress(_count: int) -> None:
            if not acknowledged:
                acknowledged.append(time.perf_counter())

        cpu, begin = time.process_time(), time.perf_counter()
        with records(file, limit) as batches:
            report = run(broker.bootstrap, topics.PURCHASES, batches, rate, on_progress)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        log_bytes = sum(
            part.stat().st_size for part in Path(folder).rglob(f"{topics.PURCHASES.name}-*/*.log")
        )
    if not read == report.records == sum(report.end_offsets.values()):
        raise SystemExit(f"read {read} events, but {report.records} are acknowledged: {report.end_offsets}")
    return {
        "events": report.records,
        "partitions": partitions,
        "cpus": os.cpu_count() or 0,
        "first_seconds": round(acknowledged[0] - begin, 2) if acknowledged else 0,
        "seconds": round(seconds, 2),
        "events_per_second": round(report.records / seconds),
        "publisher_cpu_seconds": round(cpu, 2),
        "log_bytes": log_bytes,
        "reading_seconds": round(reading_s, 2),
        "reading_events_per_second": round(read / reading_s),
    }


if __name__ == "__main__":
    main()
