"""Measures the command `alsobought publish purchases complete-journey`, to a Kafka on this machine.

    python -m bench.publishing [--limit N] [--runs 3]

The clock runs from the start of the command until the first record is in Kafka, and until the command has
ended, with everything read, checked, sorted, sent and acknowledged. `bench/publish.py` measures the parts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alsobought.sources.complete_journey import NAME
from bench.processes import Processes
from bench.results import Result, parser, run
from bench.stack import Arrivals, finished
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.settings import Settings
from streams.topics import PURCHASES


def measure(options: argparse.Namespace) -> Result:
    """Publish once."""
    settings = Settings.model_validate({})
    limited = [] if options.limit is None else ["--limit", str(options.limit)]
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedKafka(Path(folder), cache_dir=settings.cache_dir, kafka_home=settings.kafka_home) as broker,
    ):
        create_topics(broker.bootstrap, [PURCHASES], settings.partitions, replication=1)
        with Processes() as processes, Arrivals(broker.bootstrap) as arrivals:
            command = [sys.executable, "-m", "alsobought.cli", "publish", "purchases", NAME]
            begin = time.monotonic()
            publisher = subprocess.Popen(
                [*command, "--kafka", broker.bootstrap.servers, *limited],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            first_s = arrivals.first() - begin
            finished(publisher)
            seconds = time.monotonic() - begin
            count = arrivals.count()
            used = processes.usage()
    return Result(
        {
            "first_record_s": first_s,
            "published_per_s": count / seconds,
            "events": float(count),
            "publisher_cpu_us_per_event": 1e6 * used["publisher"].cpu_s / count,
            "publisher_peak_mib": used["publisher"].peak_mib,
            "broker_cpu_us_per_event": 1e6 * used["broker"].cpu_s / count,
        }
    )


def main() -> None:
    """Run the bench."""
    run("publishing", parser(__doc__).parse_args(), measure)


if __name__ == "__main__":
    main()
