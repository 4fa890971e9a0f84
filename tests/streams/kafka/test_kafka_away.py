"""Processes that are stopped while Kafka is away end, and have lost nothing when they start again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.topics import PURCHASES
from tests.events import as_event, purchases
from tests.oracles.counts import Oracle
from tests.streams.pipeline import WAIT_S, Recommender, Wires, Worker, until
from tests.streams.test_pipeline import check, keyed


@pytest.mark.timeout(600)
def test_a_worker_and_a_recommender_end_without_kafka_and_the_next_go_on(
    kafka: EmbeddedKafka, wires: Wires, tmp_path: Path
) -> None:
    events = purchases(7, customers=200, items=300, events=6_000)
    worker, recommender = (of(kafka.bootstrap, tmp_path / of.app) for of in (Worker, Recommender))
    again: Worker | None = None
    try:
        wires.publish(PURCHASES.name, keyed(events[:4_000]))
        wires.drain()
        until(lambda: "Worker ready" in recommender.log.read_text(), "the recommender")
        wires.publish(PURCHASES.name, keyed(events[4_000:]))  # some of it may still be on its way
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)
        for process in (worker, recommender):
            process.process.send_signal(signal.SIGTERM)
        for process in (worker, recommender):
            # a process that had nothing on its way to Kafka may end as usual
            gave_up = process.process.wait(WAIT_S) != 0
            assert gave_up == ("Kafka has not answered for" in process.log.read_text())

        assert kafka.wait(WAIT_S)
        kafka.stop()  # the guard of the broker
        kafka.start()
        again = Worker(kafka.bootstrap, tmp_path / Worker.app)
        wires.drain()
        check(wires.lists(), Oracle(50).feed(as_event(event) for event in events))
    finally:
        for left in (worker, recommender, again):
            if left is not None and left.process.poll() is None:
                left.stop(signal.SIGKILL)
