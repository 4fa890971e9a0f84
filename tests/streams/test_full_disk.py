"""A worker whose disk is full ends and says why, and has lost nothing when it is started again."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.topics import PURCHASES
from tests.events import as_event, purchases
from tests.oracles.counts import Oracle
from tests.streams.pipeline import WAIT_S, Wires, Worker, until
from tests.streams.test_pipeline import check, keyed

FULL_BYTES = 64 << 10  # limit of a file: more than the worker's log, less than its stores


@pytest.mark.timeout(600)
def test_a_worker_with_a_full_disk_ends_and_goes_on(
    kafka: EmbeddedKafka, wires: Wires, tmp_path: Path
) -> None:
    events = purchases(1, customers=150, items=2_000, events=6_000)
    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        wires.publish(PURCHASES.name, keyed(events[:1_000]))
        wires.drain()
        limit = (FULL_BYTES, resource.RLIM_INFINITY)
        psutil.Process(worker.process.pid).rlimit(resource.RLIMIT_FSIZE, limit)
        wires.publish(PURCHASES.name, keyed(events[1_000:]))
        assert worker.process.wait(WAIT_S) != 0
        log = worker.log.read_text()
        assert "the disk is full, cannot write to " + str(tmp_path / "data" / "state") in log
        assert "Free some space there" in log

        worker = Worker(kafka.bootstrap, tmp_path / "data")
        until(lambda: "Worker ready" in worker.log.read_text(), "the second worker")
        wires.drain()
        check(wires.lists(), Oracle(50).feed(as_event(event) for event in events))
    finally:
        if worker.process.poll() is None:
            worker.stop()
