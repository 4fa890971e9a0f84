"""Tests of reading topics from outside the workers."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka import follower as module
from streams.kafka.follower import Follower, TopicRecord, positions, read_all, send
from streams.kafka.topic_reader import TopicReader
from streams.topics import TopicSpec
from tests.streams.pipeline import until


def _polled(follower: Follower, n: int) -> list[TopicRecord]:
    rows: list[TopicRecord] = []

    def enough() -> bool:
        rows.extend(follower.poll(100))
        return len(rows) >= n

    until(enough, f"{n} records")
    return rows


def test_a_follower_that_hears_nothing_more_goes_on_with_another_consumer(
    broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TopicSpec("followed", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 2, 1)
    send(broker.bootstrap, spec, [(0, b"k", b"before")])
    with Follower(broker.bootstrap, spec, back=1) as follower:
        assert [row.value for row in _polled(follower, 1)] == [b"before"]
        deaf = follower._reader
        monkeypatch.setattr(deaf, "poll", lambda _timeout_ms: {})
        send(broker.bootstrap, spec, [(0, b"k", b"1"), (1, b"k", b"2"), (0, b"k", b"3")])
        assert follower.poll(100) == []
        monkeypatch.setattr(module, "QUIET_S", 0.0)
        follower._heard = time.monotonic() - 1
        rows = follower.poll(100)
        monkeypatch.setattr(module, "QUIET_S", 60.0)
        rows += _polled(follower, 3 - len(rows))
        assert follower._reader is not deaf
        assert sorted(row.value or b"" for row in rows) == [b"1", b"2", b"3"]
        assert [row.value for row in rows if row.partition == 0] == [b"1", b"3"]


def test_a_follower_outlives_its_broker(broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is away there is nothing to read, but no error."""
    spec = TopicSpec("followed-2", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 1, 1)
    with Follower(broker.bootstrap, spec) as follower:
        monkeypatch.setattr(module, "QUIET_S", 0.0)
        bootstrap, follower._bootstrap = follower._bootstrap, Bootstrap("127.0.0.1:1")
        assert follower.poll(10) == []
        follower._bootstrap = bootstrap
        send(broker.bootstrap, spec, [(0, b"k", b"1")])
        monkeypatch.setattr(module, "QUIET_S", 60.0)
        assert [row.value for row in _polled(follower, 1)] == [b"1"]


def test_a_follower_may_be_polled_in_another_thread_than_it_is_opened_in(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("followed-3", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 1, 1)
    with Follower(broker.bootstrap, spec) as follower, ThreadPoolExecutor(1) as other:
        send(broker.bootstrap, spec, [(0, b"k", b"1")])
        assert [row.value for row in other.submit(_polled, follower, 1).result(60)] == [b"1"]


def test_every_codec_is_read_and_nothing_that_was_aborted_or_is_open(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("packed", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 2, 1)
    kept: dict[int, list[bytes]] = {0: [], 1: []}

    async def send_all() -> int:
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            made = AIOKafkaProducer(
                bootstrap_servers=broker.bootstrap.servers,
                compression_type=codec,
                transactional_id=f"packed-{codec}",
            )
            async with made as producer:
                for outcome in ("aborted", "committed"):
                    await producer.begin_transaction()
                    for partition in (0, 1):
                        value = f"{codec} {outcome} ".encode() * 50
                        await producer.send_and_wait(spec.name, value, b"k", partition=partition)
                        if outcome == "committed":
                            kept[partition].append(value)
                    ended = (
                        producer.abort_transaction if outcome == "aborted" else producer.commit_transaction
                    )
                    await ended()
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap.servers, transactional_id="packed-open"
        )
        async with producer:
            await producer.begin_transaction()
            sent = await producer.send_and_wait(spec.name, b"open", b"k", partition=0)
            await asyncio.to_thread(check)
            await producer.abort_transaction()
        return int(sent.offset)

    def check() -> None:
        rows = [(row.partition, row.value) for row in read_all(broker.bootstrap, spec)]
        assert rows == [(partition, value) for partition, values in kept.items() for value in values]
        with Follower(broker.bootstrap, spec, back=1_000) as follower:
            assert sorted(row.value or b"" for row in follower.past()) == sorted(kept[0] + kept[1])
        assert asyncio.run(in_worker()) == (kept[0][-1], positions(broker.bootstrap, spec)[0][1])

    async def in_worker() -> tuple[bytes | None, int]:
        reader = TopicReader(broker.bootstrap)
        end = await reader.end_of(TP(spec.name, 0))
        newest = await reader.newest(TP(spec.name, 0), b"k", 0, end)
        await reader.close()
        return newest, end

    opened = asyncio.run(send_all())
    check()
    assert positions(broker.bootstrap, spec)[0] == (0, opened + 2)
