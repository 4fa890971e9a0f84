"""A broker and workers of their own, driven with plain kafka-python. Helpers of test_pipeline.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from state.deltas import encode_settle
from streams.messages import Progress, decode_progress
from streams.topics import ITEMS, PAIR_DELTAS, PROGRESS, PURCHASES, RELATED_ITEMS

PARTITIONS = 4
WAIT_S = 120.0
BATCH_BYTES = 256 << 10


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The condition's value once it is true."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s for {what}"
    return value


class Worker:
    """A worker process: `faust -A streams.app worker`."""

    def __init__(self, bootstrap: str, data_dir: Path, **settings: str) -> None:
        self.log = data_dir / f"worker-{time.monotonic_ns()}.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "ALSOBOUGHT_KAFKA": bootstrap,
            "ALSOBOUGHT_DATA_DIR": str(data_dir),
            **{f"ALSOBOUGHT_{name.upper()}": value for name, value in settings.items()},
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", "streams.app", "worker", "--without-web", "-l", "info"],
                env=environment, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, and wait for its end; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)


class Wires:
    """Publishing and reading with kafka-python."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap, acks="all", linger_ms=5, batch_size=BATCH_BYTES
        )
        self.progress = KafkaConsumer(bootstrap_servers=bootstrap)
        self.progress.assign([TopicPartition(PROGRESS.name, p) for p in range(PARTITIONS)])
        self.progress.seek_to_beginning()
        self.tasks: dict[str, Progress] = {}

    def close(self) -> None:
        """Close the clients."""
        self.producer.close()
        self.progress.close()

    def publish(self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Send keys and values, and wait until Kafka has them."""
        sent = [self.producer.send(topic, key=key, value=value) for key, value in records]
        self.producer.flush()
        for future in sent:
            future.get(0)  # raises what failed

    def ends(self, topic: str) -> dict[int, int]:
        """End offset per partition."""
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        return {tp.partition: end for tp, end in self.progress.end_offsets(tps).items()}

    def poll_progress(self) -> list[tuple[Progress, int]]:
        """What tasks reported since the last call, and when, ms since 1970; `tasks` has the newest."""
        polled = self.progress.poll(timeout_ms=200).values()
        told = [(decode_progress(r.value), r.timestamp) for records in polled for r in records]
        self.tasks.update({task.task: task for task, _ in told})
        return told

    def _reached(self, topic: str, field: str, targets: dict[int, int]) -> bool:
        self.poll_progress()
        states = {p: self.tasks.get(f"{topic}-{p}") for p in targets}
        return all(s is not None and getattr(s, field) >= targets[p] for p, s in states.items())

    def drain(self) -> None:
        """Wait until everything published is counted and listed."""
        for topic in (PURCHASES.name, ITEMS.name):
            targets = self.ends(topic)
            until(lambda t=topic, to=targets: self._reached(t, "applied", to), f"{topic} applied")  # type: ignore[misc]
        markers = {
            p: self.producer.send(PAIR_DELTAS.name, value=encode_settle(), partition=p).get(30).offset + 1
            for p in range(PARTITIONS)
        }
        until(lambda: self._reached(PAIR_DELTAS.name, "listed", markers), "lists")

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic."""
        ends = self.ends(topic)
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        consumer.assign([TopicPartition(topic, p) for p in ends])
        consumer.seek_to_beginning()
        records: list[Any] = []

        def done() -> bool:
            for some in consumer.poll(timeout_ms=200).values():
                records.extend(some)
            return all(consumer.position(TopicPartition(topic, p)) >= end for p, end in ends.items())

        until(done, f"all of {topic}")
        consumer.close()
        return records

    def lists(self) -> dict[str, dict[str, Any]]:
        """The current list of every item, as JSON."""
        newest = {record.key: record.value for record in self.read(RELATED_ITEMS.name)}
        return {key.decode(): json.loads(value) for key, value in newest.items() if value is not None}
