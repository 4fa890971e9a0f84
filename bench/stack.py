"""The whole system on this machine, as a user runs it: Kafka, workers, recommenders, and the API beside them.

Each is a process of its own, and so is the publisher; this process only observes.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from alsobought.draining import drain
from alsobought.local.stack import Stack
from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from bench.processes import Processes
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import ends
from streams.kafka.publishing import Record
from streams.kinds import listed_of
from streams.settings import Settings
from streams.topics import PURCHASES, TopicSpec

DRAIN_S = 3_600.0
WAIT_S = 120.0
POLL_S = 0.005


@dataclass
class Running:
    """A running stack, with the observer of its processes."""

    folder: Path
    settings: Settings
    stack: Stack
    processes: Processes

    @property
    def bootstrap(self) -> Bootstrap:
        """Kafka's address."""
        return self.stack.bootstrap

    def publish_year(self, limit: int) -> None:
        """Publish the first n purchases with the user's command."""
        _command("publish", "purchases", NAME, "--limit", str(limit), "--kafka", self.bootstrap.servers)

    def publishing(self, records: Sequence[Record], rate: float | None = None) -> subprocess.Popen[bytes]:
        """Start to publish records from a file, at a rate if one is given; return the publishing process."""
        file = self.folder / f"purchases-{time.monotonic_ns()}.jsonl"
        file.write_bytes(b"".join(value + b"\n" for _, value in records))
        paced = [] if rate is None else ["--rate", str(rate)]
        return _start("publish", "purchases", str(file), "--kafka", self.bootstrap.servers, *paced)

    def drain(self) -> None:
        """Wait until everything published is counted, listed and recommended from."""
        drain(self.bootstrap, listed_of(self.settings), DRAIN_S, lambda _left: None)

    def topic_bytes(self) -> dict[str, int]:
        """Return the bytes of each topic's log on the broker's disk, without what was compacted away."""
        found: dict[str, int] = {}
        for file in (self.folder / "broker" / "data").glob("*-*/*.log"):
            topic, dash, partition = file.parent.name.rpartition("-")
            if dash and partition.isdecimal():
                found[topic] = found.get(topic, 0) + file.stat().st_size
        return found


@contextlib.contextmanager
def running(*, workers: int = 1, **settings: object) -> Iterator[Running]:
    """Run a stack with an empty state in a temporary folder until the block ends."""
    with tempfile.TemporaryDirectory(prefix="alsobought-bench-") as folder, Processes() as processes:
        chosen = Settings(data_dir=Path(folder), kafka=None, **settings)  # type: ignore[arg-type]
        with Stack(chosen, port=0, workers=workers, recommenders=workers, say=lambda _text: None) as stack:
            # a session of its own, as a service has, so that the whole session can lower its priority
            api = _start("serve", "--port", "0", "--kafka", stack.bootstrap.servers, start_new_session=True)
            try:
                yield Running(Path(folder), chosen, stack, processes)
            finally:
                api.terminate()
                api.wait()


class Arrivals:
    """Watches the arrival of records in a topic, by asking many times a second how many it has."""

    def __init__(self, bootstrap: Bootstrap, spec: TopicSpec = PURCHASES) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap.servers)
        self._partitions = [TopicPartition(spec.name, partition) for partition in ends(bootstrap, spec)]
        self.begin = self.count()

    def __enter__(self) -> Arrivals:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._consumer.close()

    def count(self) -> int:
        """Return how many records the topic has had."""
        return sum(self._consumer.end_offsets(self._partitions).values())

    def first(self) -> float:
        """Wait for the first record after this object was made; return when it was there (time.monotonic)."""
        wait_for(lambda: self.count() > self.begin, "the first record", pause_s=POLL_S)
        return time.monotonic()


def wait_for(
    condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S, pause_s: float = 0.05
) -> None:
    """Wait until a condition is true; raise a TimeoutError that says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(pause_s)


def purchases(limit: int | None) -> list[Record]:
    """Return the year's purchases as records, in their order, or the first n of them."""
    records: list[Record] = []
    for batch in open_purchases(NAME).records():
        records += batch
        if limit is not None and len(records) >= limit:
            break
    return records[:limit]


def finished(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command, which must not fail."""
    if status := process.wait():
        raise subprocess.CalledProcessError(status, process.args)


def _start(*arguments: str, start_new_session: bool = False) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "alsobought.cli", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=start_new_session
    )


def _command(*arguments: str) -> None:
    finished(_start(*arguments))
