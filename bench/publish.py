"""How fast purchases are published: complete-journey, to an embedded broker on a free port.

    python -m bench.publish [--partitions 4] [--rate EVENTS_PER_SECOND] [--json]

The clock runs from the first row read to the last acknowledgement (acks=all); broker and publisher share the
machine. `reading` is the time it takes to read the rows and encode the messages alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from alsobought.sources import open_purchases
from streams import topics
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.publishing import publish
from streams.settings import Settings

SOURCE = "complete-journey"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rate", type=float, default=None, help="events per second at most")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = measure(options.partitions, options.rate)
    if options.json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{width}}  {value:>12,}")


def measure(partitions: int, rate: float | None) -> dict[str, float]:
    """Publish all events once."""
    begin = time.perf_counter()
    read = sum(map(len, open_purchases(SOURCE).records()))
    reading_s = time.perf_counter() - begin
    settings = Settings.model_validate({})
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedKafka(Path(folder), cache_dir=settings.cache_dir, kafka_home=settings.kafka_home) as broker,
    ):
        create_topics(broker.bootstrap, [topics.PURCHASES], partitions, replication=1)
        cpu = time.process_time()
        report = asyncio.run(
            publish(broker.bootstrap, topics.PURCHASES.name, open_purchases(SOURCE).records(), rate=rate)
        )
        cpu = time.process_time() - cpu
        log_bytes = sum(
            file.stat().st_size for file in Path(folder).rglob(f"{topics.PURCHASES.name}-*/*.log")
        )
    if not read == report.records == sum(report.end_offsets.values()):
        raise SystemExit(f"read {read} events, but {report.records} are acknowledged: {report.end_offsets}")
    return {
        "events": report.records,
        "partitions": partitions,
        "cpus": os.cpu_count() or 0,
        "seconds": round(report.seconds, 2),
        "events_per_second": round(report.records / report.seconds),
        "publisher_cpu_seconds": round(cpu, 2),
        "log_bytes": log_bytes,
        "reading_seconds": round(reading_s, 2),
        "reading_events_per_second": round(read / reading_s),
    }


if __name__ == "__main__":
    main()
