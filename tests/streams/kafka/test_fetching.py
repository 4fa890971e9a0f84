"""A real fetch says which offsets it covers, including those without records."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.connections.clients import ISOLATION
from streams.kafka.transport import Consumer
from streams.recommending.tasks import RecommenderTasks
from streams.settings import Settings
from streams.topics import PURCHASES, TopicSpec
from streams.worker import Tasks
from tests.streams.pipeline import PARTITIONS, Wires, Worker, until
from tests.streams.unstarted import run


async def _send(producer: aiokafka.AIOKafkaProducer, topic: str, n: int) -> None:
    async with producer.transaction():
        for i in range(n):
            await producer.send_and_wait(topic, b"%d" % i, partition=0)


def _fetched(kafka: EmbeddedKafka, tmp_path: Path, transactions: list[int], end: int) -> list[Any]:
    """Return what is fetched, up to offset `end`, of successive transactions with so many records each."""
    topic = f"marks-{uuid.uuid4().hex[:8]}"
    create_topics(kafka.bootstrap, (TopicSpec(topic, "", "", "delete"),), 1, 1)
    tp = aiokafka.TopicPartition(topic, 0)
    fetched: list[Any] = []

    async def body(consumer: Consumer) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap.servers, transactional_id=topic
        )
        consumer.app.tasks = SimpleNamespace(
            cycle=SimpleNamespace(intake=SimpleNamespace(holds_events=False))
        )
        reader = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap.servers,
            auto_offset_reset="none",
            isolation_level=ISOLATION,
            max_partition_fetch_bytes=1,
        )  # so that each fetch brings one batch
        async with producer, reader:
            for n in transactions:
                await _send(producer, topic, n)
            reader.assign([tp])
            assert await consumer._thread._fetch_records(reader, {tp}, 0.1) == {}  # the position is unknown
            reader.seek(tp, 0)
            while not fetched or fetched[-1][1] < end:
                fetched.extend((await consumer._thread._fetch_records(reader, {tp}, 0.5)).values())

    run(tmp_path, body)
    return fetched


def test_a_fetch_says_which_offsets_it_covers(broker: EmbeddedKafka, tmp_path: Path) -> None:
    # there are marks at 3 and 5, and none for a transaction without records
    fetched = _fetched(broker, tmp_path, [3, 0, 1], end=6)
    assert len(fetched) > 1
    assert [one.start for one in fetched] == [0, *(one.end for one in fetched[:-1])]
    assert [record.offset for one in fetched for record in one.records] == [0, 1, 2, 4]
    for one in fetched:
        assert all(one.start <= record.offset < one.end for record in one.records)
        assert one.left == 6 - one.end


def test_a_worker_ends_when_kafka_lets_it_know_nothing_of_a_topic(tmp_path: Path) -> None:
    """There would be no error otherwise: nothing of such a topic is fetched."""
    denied = SimpleNamespace(cluster=SimpleNamespace(unauthorized_topics={PURCHASES.name}))
    reader = SimpleNamespace(_client=denied, _coordinator=SimpleNamespace(check_errors=lambda: None))

    async def body(consumer: Consumer) -> None:
        consumer.app.tasks = SimpleNamespace(refused=None)
        assert await consumer._thread._fetch_records(reader, set(), 0.1) == {}
        refused = consumer.app.tasks.refused
        assert isinstance(refused, TopicAuthorizationFailedError)
        assert PURCHASES.name in str(refused)

    run(tmp_path, body)


@pytest.mark.parametrize("tasks", [Tasks, RecommenderTasks])
def test_kafka_gathers_for_a_fetch_as_the_role_wants_it(tmp_path: Path, tasks: type[Tasks]) -> None:
    async def body(consumer: Consumer) -> None:
        consumer.app.tasks = SimpleNamespace(
            bootstrap=Bootstrap("127.0.0.1:1"), settings=Settings(data_dir=tmp_path),
            fetch_wait_ms=tasks.fetch_wait_ms, fetch_least_bytes=tasks.fetch_least_bytes,
        )  # fmt: skip
        fetching = consumer._thread._create_worker_consumer(consumer.transport)
        assert fetching._fetch_max_wait_ms == tasks.fetch_wait_ms
        assert fetching._fetch_min_bytes == tasks.fetch_least_bytes
        await fetching.stop()

    run(tmp_path, body)


def test_a_recommender_leaves_purchases_to_the_worker_first() -> None:
    assert Tasks.fetch_least_bytes == 1  # a worker is answered at once
    assert RecommenderTasks.fetch_least_bytes > 100_000
    assert RecommenderTasks.fetch_wait_ms <= 200  # its recommendations follow soon all the same


def test_a_log_that_ends_with_a_mark_is_counted_to_its_end(
    kafka: EmbeddedKafka, wires: Wires, tmp_path: Path
) -> None:
    """The producer uses transactions; without a chunk for the mark alone, `drain` would wait for ever."""

    def purchase(n: int) -> bytes:
        return b'{"customer_id":"c%d","item_id":"i%d","timestamp":1700000000000}' % (n % 5, n % 7)

    def counted() -> list[int]:
        wires.poll_progress()
        return [t.events for name, t in wires.tasks.items() if name.startswith(PURCHASES.name)]

    async def publish() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap.servers, transactional_id="shop"
        )

        async def send() -> None:
            for n in range(40):
                await producer.send_and_wait(PURCHASES.name, purchase(n), key=b"c%d" % (n % 5))

        async with producer:
            await producer.begin_transaction()
            await send()
            await producer.abort_transaction()
            async with producer.transaction():
                await send()
                assert sum(counted()) == 0  # neither aborted records nor those that may still be aborted

    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        until(lambda: len(counted()) == PARTITIONS, "the worker")
        asyncio.run(publish())
        assert sum(wires.ends(PURCHASES.name).values()) > 80, "the marks"
        wires.drain()
        assert sum(counted()) == 40
        assert "reading again" not in worker.log.read_text()
    finally:
        assert worker.stop() == 0
