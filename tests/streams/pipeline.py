"""A broker and workers for one test, driven with plain kafka-python. Helpers of test_pipeline.py."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from faust.types import TP
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from state.messages.delta_types import encode_settle
from streams.connections.bootstrap import Bootstrap
from streams.kafka.blocking_reader import BlockingReader
from streams.kinds import BOUGHT, LISTED, CrossKind, Kind, topics_of_kinds
from streams.messages.schema import COUNTED, SETTLE, Progress, decode_progress
from streams.topics import ITEMS, PROGRESS, TopicSpec
from tests.streams.forked import Forked

PARTITIONS = 4
TOPICS = topics_of_kinds(LISTED)
WAIT_S = 120.0
LOOK_S = 0.02
BATCH_BYTES = 256 << 10
SETTINGS = {"progress_ms": "200", "session_ms": "6000"}
"""Of every worker, unless a test says otherwise: what is waited for most comes soon."""


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Wait until a condition's value is true; return the value."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(LOOK_S)  # otherwise looking takes the core from what is waited for
    return value


class Worker:
    """A worker process, `faust -A streams.app worker`, forked from a process that has imported everything."""

    app = "streams.app"

    def __init__(self, bootstrap: Bootstrap, data_dir: Path, **settings: str) -> None:
        self.log = data_dir / f"{self.app}-{time.monotonic_ns()}.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "ALSOBOUGHT_KAFKA": bootstrap.servers,
            "ALSOBOUGHT_DATA_DIR": str(data_dir),
            **{f"ALSOBOUGHT_{name.upper()}": value for name, value in {**SETTINGS, **settings}.items()},
        }
        quiet = ["--quiet"] if settings.get("log_format") == "json" else []  # as `alsobought worker` does
        command = [*quiet, "-A", self.app, "worker", "--without-web", "-l", "info"]
        self.process = Forked(command, environment, self.log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)


class Recommender(Worker):
    """A recommender process, `faust -A streams.recommending.app worker`."""

    app = "streams.recommending.app"


DEAF_S = 20.0
ASKED = 3  # successive readers, because one may receive nothing more


class EmptyTopics:
    """A stand-in for a `TopicReader`, for tasks without Kafka: nothing was ever written."""

    async def end_of(self, _tp: TP) -> int:
        """Return 0, because topics are empty."""
        return 0

    async def keys(self, _tp: TP, _start: int, _end: int) -> set[bytes]:
        """Return nothing, because topics are empty."""
        return set()

    async def newest(self, _tp: TP, _key: bytes, _start: int, _end: int) -> None:
        """Return nothing, because topics are empty."""


class Keys(EmptyTopics):
    """A stand-in for a `TopicReader` in which every partition has records with these keys."""

    def __init__(self, keys: list[bytes]) -> None:
        self.all = keys

    async def end_of(self, _tp: TP) -> int:
        """Return the offset behind the last record."""
        return len(self.all)

    async def keys(self, _tp: TP, start: int, end: int) -> set[bytes]:
        """Return some of the keys."""
        return {*self.all[start:end]}


class Wires:
    """Publishes and reads with kafka-python."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self.bootstrap = bootstrap
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap.servers, acks="all", linger_ms=5, batch_size=BATCH_BYTES
        )
        self.progress = self._reader()
        self.tasks: dict[str, Progress] = {}

    def _reader(self) -> Any:
        self._heard = time.monotonic()
        reader = KafkaConsumer(bootstrap_servers=self.bootstrap.servers)
        reader.assign([TopicPartition(PROGRESS.name, p) for p in range(PARTITIONS)])
        reader.seek_to_beginning()
        return reader

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer of the reader of `progress`.

        kafka-python may wait for ever, or receive nothing more, when its broker is killed. A reader that does
        not answer is abandoned and replaced.
        """
        box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def ask(reader: Any) -> None:
            try:
                box.put((question(reader), None))
            except BaseException as error:
                box.put((None, error))

        threading.Thread(target=ask, args=(self.progress,), daemon=True).start()
        try:
            answer, error = box.get(timeout=DEAF_S)
        except queue.Empty:
            self.progress = self._reader()
            raise KafkaTimeoutError(f"no answer in {DEAF_S:g} s") from None
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """Close the clients."""
        self.producer.close()
        self.progress.close()

    def publish(self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Send keys and values, and wait until Kafka has them."""
        sent = [self.producer.send(topic, key=key, value=value) for key, value in records]
        self.producer.flush()
        for future in sent:
            future.get(0)  # raises the error of a failed send

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition."""
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        for _ in range(ASKED):
            with contextlib.suppress(KafkaTimeoutError):
                return {tp.partition: end for tp, end in self._ask(lambda r: r.end_offsets(tps)).items()}
        raise KafkaTimeoutError(f"{ASKED} readers gave no answer, each in {DEAF_S:g} s")

    def poll_progress(self) -> list[tuple[Progress, int]]:
        """Return the reports since the last call, with times in ms since 1970; `tasks` has the newest."""
        try:
            polled = self._ask(lambda reader: reader.poll(timeout_ms=200)).values()
        except KafkaTimeoutError:
            return []
        if polled:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > DEAF_S:
            self.progress = self._reader()
        found = [(decode_progress(r.value), r.timestamp) for records in polled for r in records if r.value]
        self.tasks.update({task.task: task for task, _ in found})
        return found

    def forget_reports(self) -> None:
        """Forget earlier reports, while no worker runs, as they are about state that was discarded since."""
        while self.poll_progress():
            pass
        self.tasks.clear()

    def reached(self, field: str, targets: dict[str, int]) -> bool:
        """Return whether every task reports that it has got so far."""
        self.poll_progress()
        return all(t in self.tasks and getattr(self.tasks[t], field) >= end for t, end in targets.items())

    def _counted(self, topics: Iterable[str]) -> None:
        targets = {f"{topic}-{p}": end for topic in topics for p, end in self.ends(topic).items()}
        until(lambda: self.reached("applied", targets), f"{', '.join(topics)} applied")

    def drain(self, kinds: Sequence[Kind] = LISTED) -> None:
        """Wait until everything published is counted and listed."""
        self._counted([*(kind.events.name for kind in kinds if not isinstance(kind, CrossKind)), ITEMS.name])
        if first := [kind.events.name for kind in kinds if isinstance(kind, CrossKind)]:
            self._counted(first)
            self._counted(first)  # history changes may ask other partitions for more
        number = time.time_ns() // 1_000_000
        sent = {
            f"{kind.deltas.name}-{p}": self.producer.send(
                kind.deltas.name, value=encode_settle(number), partition=p
            )
            for kind in kinds
            for p in range(PARTITIONS)
        }
        markers = {task: future.get(30).offset + 1 for task, future in sent.items()}
        until(lambda: self.reached("listed", markers), "lists")

    def read(self, topic: str) -> list[Any]:
        """Return every record of a topic."""
        records: list[Any] = []
        with BlockingReader(self.bootstrap, topic, PARTITIONS) as reader:  # kafka-python lacks codecs
            ends = reader.ends()

            def done() -> bool:
                for some in reader.poll(200).values():
                    records.extend(some)
                return reader.reached(ends) == ends.keys()

            until(done, f"all of {topic}")
        return records

    def lists(self, kind: Kind = BOUGHT) -> dict[str, dict[str, Any]]:
        """Return the current list of every item, as JSON."""
        return self.newest(kind.lists)

    def newest(self, spec: TopicSpec) -> dict[str, dict[str, Any]]:
        """Return the newest message of every key of a topic, as JSON, without tombstones."""
        newest = {record.key: record.value for record in self.read(spec.name)}
        return {
            key.decode(): json.loads(value)
            for key, value in newest.items()
            if value is not None and key not in (SETTLE, COUNTED)
        }
