"""A burst while a worker stands still, with everything real: memory is bounded, and all is counted."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from alsobought.draining import drain
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import LISTED
from streams.topics import PURCHASES
from tests.events import as_event, purchases
from tests.oracles.counts import Oracle
from tests.streams.pipeline import PARTITIONS, WAIT_S, Recommender, Wires, Worker, until
from tests.streams.test_pipeline import check, keyed

MIB = 1 << 20
CALM, BURST = 4_000, 40_000
PADDING = "x" * 4_000  # the size of each event, which makes a burst of 160 MB
BOUND_MIB = 80
"""What a worker may need beyond what it needed before, whatever waits in Kafka: half of the burst.

Fetched are 1 MiB a partition and what is asked for next, and as much again as chunks; the state is 2 MB.
Measured: 23 MiB.
"""


def _uncounted(task: str, said: list[str]) -> bool:
    return any(f"{task}: " in left and "not counted yet" in left for left in said)


@pytest.mark.timeout(900)
def test_a_burst_while_a_worker_stands_still(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    events = purchases(1, customers=400, items=200, events=CALM + BURST)
    for event in events:
        event.basket_id = PADDING
    worker = Worker(kafka.bootstrap, tmp_path / "data", session_ms="19000")
    recommender = Recommender(kafka.bootstrap, tmp_path / "data")
    process = psutil.Process(worker.process.pid)
    said: list[str] = []
    drained: list[Any] = []
    try:
        wires.publish(PURCHASES.name, keyed(events[:CALM]))
        wires.drain()
        before = peak = process.memory_info().rss

        process.send_signal(signal.SIGSTOP)
        wires.publish(PURCHASES.name, keyed(events[CALM:]))
        waiting = threading.Thread(
            target=lambda: drained.append(drain(kafka.bootstrap, LISTED, 4 * WAIT_S, said.append)),
            daemon=True,
        )
        waiting.start()
        until(lambda: said, "a word from drain")
        assert "no worker has reported for purchases-0" in said[0]
        process.send_signal(signal.SIGCONT)

        def done() -> bool:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            waiting.join(0.05)
            return not waiting.is_alive()

        until(done, "the burst to be counted", 5 * WAIT_S)
        assert drained[0].records[PURCHASES.name] == CALM + BURST
        assert any(_uncounted(f"{PURCHASES.name}-{p}", said) for p in range(PARTITIONS))
        check(wires.lists(), Oracle(50).feed(as_event(event) for event in events))
        assert (peak - before) / MIB < BOUND_MIB
    finally:
        if process.is_running():
            process.send_signal(signal.SIGCONT)
            worker.stop()
        recommender.stop()
