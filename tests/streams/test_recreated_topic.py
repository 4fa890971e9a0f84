"""A topic that is deleted and created again ends a running worker, and its state is not used again."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.kinds import BOUGHT, WATCHED
from streams.topics import PURCHASES, TopicSpec
from tests.streams.pipeline import PARTITIONS, WAIT_S, Wires, Worker, until
from tests.streams.test_pipeline import real_records


def create_again(kafka: EmbeddedKafka, spec: TopicSpec) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap.servers)
    admin.delete_topics([spec.name])
    until(lambda: spec.name not in admin.list_topics(), "the end of the topic")
    admin.close()
    create_topics(kafka.bootstrap, [spec], PARTITIONS, 1)


@pytest.mark.timeout(240)
def test_the_worker_ends_and_its_state_is_refused(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    records = real_records(3_000)
    worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one")
    try:
        wires.publish(PURCHASES.name, [*records[:400]])
        wires.drain()
        # nothing was ever read from this one, so that no offset shows that it is another topic
        create_again(kafka, WATCHED.events)
        assert worker.process.wait(WAIT_S) != 0
        assert "watches at 127.0.0.1" in worker.log.read_text()
        assert "was deleted and created again" in worker.log.read_text()

        create_again(kafka, PURCHASES)
        wires.publish(PURCHASES.name, [*records[400:]])  # it reaches beyond where the state is
        before = wires.ends(BOUGHT.deltas.name)
        worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one")
        assert worker.process.wait(WAIT_S) != 0
        assert "the stored state was counted from other topics" in worker.log.read_text()
        assert wires.ends(BOUGHT.deltas.name) == before
    finally:
        worker.stop()
