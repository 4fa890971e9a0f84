"""If two hosts restart completely, every unit goes back to the host that has its store."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.settings import Settings
from streams.topics import PURCHASES
from tests.streams.pipeline import PARTITIONS, TOPICS, Wires, Worker, until

STARTING_MS = 3_000
"""Kafka's own default: how long a new group waits for members that start together."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.timeout(240)
def test_hosts_that_start_again_go_on_with_their_own_units(tmp_path: Path) -> None:
    places = [tmp_path / "red", tmp_path / "blue"]
    with EmbeddedKafka(
        tmp_path / "kafka",
        cache_dir=Settings.model_validate({}).cache_dir,
        properties={"group.initial.rebalance.delay.ms": str(STARTING_MS)},
    ) as kafka:
        create_topics(kafka.bootstrap, TOPICS, PARTITIONS, 1)
        wires = Wires(kafka.bootstrap)

        def owners(ports: list[int]) -> dict[str, int]:
            """Return which host has each task of purchases, once workers at these ports share all of them."""

            def shared() -> dict[str, int]:
                wires.poll_progress()
                found = {
                    name: int(task.worker.rpartition(":")[2])
                    for name, task in wires.tasks.items()
                    if name.startswith(f"{PURCHASES.name}-")
                }
                whole = len(found) == PARTITIONS and set(found.values()) == set(ports)
                return {name: ports.index(port) for name, port in found.items()} if whole else {}

            return until(shared, "both workers to have reported")  # type: ignore[no-any-return]

        def started(ports: list[int], order: list[int]) -> list[Worker]:
            return [Worker(kafka.bootstrap, places[n], web_port=str(ports[n])) for n in order]

        ports = [free_port(), free_port()]
        workers = started(ports, [0, 1])
        try:
            before = owners(ports)
            wires.publish(
                PURCHASES.name,
                [
                    (b"c%d" % c, b'{"customer_id":"c%d","item_id":"i%d","timestamp":1700000000000}' % (c, i))
                    for c in range(40)
                    for i in range(5)
                ],
            )
            wires.drain()
            for worker in workers:
                assert "keep their stores in different places" in worker.log.read_text()
            # at once, because otherwise units move to the remaining worker without need
            for worker in workers:
                worker.process.send_signal(signal.SIGTERM)
            assert [worker.process.wait(60) for worker in workers] == [0, 0]
            # the order and the places in the group differ: members have new names at every start
            ports = [free_port(), free_port()]
            workers = started(ports, [1, 0])
            assert owners(ports) == before
            for worker in workers:
                text = worker.log.read_text()
                opened = [line for line in text.splitlines() if ": opened at offset" in line]
                assert any(f"{PURCHASES.name}-" in line for line in opened)
                assert not any(f"{PURCHASES.name}-" in line and "offset 0 " in line for line in opened)
        finally:
            for worker in workers:
                worker.stop()
            wires.close()
