"""Publishing to a real broker sends everything once, in order, to the partitions that Kafka chooses."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import KafkaUnreachable
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka.publishing import PublishError, PublishReport, Record, TopicMissing, publish
from streams.messages.partitioning import partition_for
from streams.messages.partitioning_many import partitions_for
from streams.messages.schema import decode_event, encode
from streams.settings import Settings
from streams.topics import TopicSpec
from tests.events import purchases

if TYPE_CHECKING:
    from streams.messages.schema import EventMessage

PARTITIONS = 4


@pytest.fixture
def topic(broker: EmbeddedKafka, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("[", "-").replace("]", "")
    create_topics(broker.bootstrap, [TopicSpec(name, "customer_id", "a test", "delete")], PARTITIONS, 1)
    return str(name)


def records(events: Sequence[EventMessage], size: int = 1000) -> Iterator[list[Record]]:
    for start in range(0, len(events), size):
        yield [(event.customer_id.encode(), encode(event)) for event in events[start : start + size]]


def log(bootstrap: Bootstrap, topic: str, ends: dict[int, int]) -> dict[int, list[Any]]:
    """Return all records of the topic up to `ends`, and check that there are no more."""

    async def read() -> dict[int, list[Any]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap.servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            found = {p.partition: end for p, end in (await consumer.end_offsets(partitions)).items() if end}
            assert found == ends
            got: dict[int, list[Any]] = defaultdict(list)
            while any(len(got[number]) < end for number, end in ends.items()):
                for part, batch in (await consumer.getmany(timeout_ms=1000)).items():
                    got[part.partition] += batch
            return got
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(read(), 60))


def test_every_record_arrives_once_in_the_order_of_its_key(broker: EmbeddedKafka, topic: str) -> None:
    events = purchases(1, customers=500, items=300, events=30_000)
    seen: list[int] = []
    report = asyncio.run(publish(broker.bootstrap, topic, records(events, 7_000), on_progress=seen.append))
    assert report.records == sum(report.end_offsets.values()) == seen[-1] == len(events)
    assert seen == sorted(seen)
    expected: dict[int, list[EventMessage]] = defaultdict(list)
    for event in events:
        expected[partition_for(event.customer_id.encode(), PARTITIONS)].append(event)
    got = log(broker.bootstrap, topic, report.end_offsets)
    # Not only customers are in order: the whole partition is as it was published.
    assert {n: [decode_event(record.value) for record in part] for n, part in got.items()} == expected
    assert all(record.key == decode_event(record.value).customer_id.encode() for record in got[0])


def test_batches_beyond_the_largest_request_are_divided(broker: EmbeddedKafka, topic: str) -> None:
    values = [str(n).encode() + b"x" * 3_000 for n in range(1_000)]
    report = asyncio.run(publish(broker.bootstrap, topic, [[(b"ann", value) for value in values]]))
    (partition,) = report.end_offsets
    assert [record.value for record in log(broker.bootstrap, topic, report.end_offsets)[partition]] == values


def test_nothing_to_publish(broker: EmbeddedKafka, topic: str) -> None:
    report = asyncio.run(publish(broker.bootstrap, topic, []))
    assert report == PublishReport(0, report.seconds, {})


def test_a_rate_is_kept_and_even(broker: EmbeddedKafka, topic: str) -> None:
    events = purchases(2, customers=50, items=50, events=400)
    report = asyncio.run(publish(broker.bootstrap, topic, records(events), rate=400))
    assert report.seconds >= 0.95
    got = log(broker.bootstrap, topic, report.end_offsets)
    arrivals = sorted(record.timestamp for part in got.values() for record in part)
    # In 20 ms there are 8; in no 100 ms of the second may there be half of all, however slow the machine.
    assert max(sum(t <= other < t + 100 for other in arrivals) for t in set(arrivals)) < 200
    assert len(set(arrivals)) > 10


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="more than 0 records a second"):
        asyncio.run(publish(Bootstrap("127.0.0.1:1"), "purchases", [], rate=rate))


def test_records_from_a_pipe_do_not_wait_for_more(broker: EmbeddedKafka, topic: str) -> None:
    acknowledged: list[int] = []

    def pipe() -> Iterator[list[Record]]:
        for number in range(3):
            deadline = time.monotonic() + 30
            while len(acknowledged) < number:  # blocks its thread, not the loop
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield [(b"ann", b"%d" % number)]

    asyncio.run(publish(broker.bootstrap, topic, pipe(), on_progress=acknowledged.append))
    assert acknowledged == [1, 2, 3]


def test_an_error_of_the_source_comes_after_the_records_read(broker: EmbeddedKafka, topic: str) -> None:
    def broken() -> Iterator[list[Record]]:
        yield [(b"ann", b"1")]
        raise RuntimeError("line 2")

    with pytest.raises(RuntimeError, match="line 2"):
        asyncio.run(publish(broker.bootstrap, topic, broken()))


def test_a_missing_topic(broker: EmbeddedKafka) -> None:
    expected = (
        rf"topic nowhere does not exist at {broker.bootstrap}; create it with `alsobought topics create`"
    )
    for _ in range(2):  # the question has not created the topic
        with pytest.raises(TopicMissing, match=expected):
            asyncio.run(publish(broker.bootstrap, "nowhere", []))


def test_no_broker() -> None:
    with socket.socket() as taken:  # the port is bound but not listening, so nobody can answer there
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for bootstrap in (address, "nonsense"):
            with pytest.raises(KafkaUnreachable, match=f"no Kafka answers at {bootstrap}"):
                asyncio.run(asyncio.wait_for(publish(Bootstrap(bootstrap), "purchases", []), 20))


def test_records_that_kafka_refuses(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("small-messages", "none", "a test", "delete", max_message_bytes=1_000)
    create_topics(broker.bootstrap, [spec], PARTITIONS, 1)
    with pytest.raises(
        PublishError, match=f"Kafka at {broker.bootstrap} refused records: .*acknowledged 0 rec"
    ):
        asyncio.run(publish(broker.bootstrap, spec.name, [[(b"ann", os.urandom(9_000))]]))


def test_a_broker_that_stops_to_answer(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, cache_dir=Settings.model_validate({}).cache_dir) as own:
        create_topics(own.bootstrap, [TopicSpec("sales", "none", "a test", "delete")], PARTITIONS, 1)
        assert own.pid is not None
        pid = own.pid

        def halting() -> Iterator[list[Record]]:
            yield [(b"ann", b"1")]
            os.kill(pid, signal.SIGSTOP)
            while True:
                yield [(b"ann", b"2")]

        begin = time.monotonic()
        try:
            with pytest.raises(PublishError, match=r"publish again: .* same source is not counted twice"):
                asyncio.run(publish(own.bootstrap, "sales", halting(), stall_timeout_s=2))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert time.monotonic() - begin < 20


def test_a_broker_that_is_gone(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, cache_dir=Settings.model_validate({}).cache_dir) as own:
        create_topics(own.bootstrap, [TopicSpec("sales", "none", "a test", "delete")], PARTITIONS, 1)

        def halting() -> Iterator[list[Record]]:
            yield [(b"ann", b"1")]
            own.stop()
            yield [(b"ann", b"2")]

        begin = time.monotonic()
        with pytest.raises(PublishError, match="has taken nothing for 2 s"):
            asyncio.run(publish(own.bootstrap, "sales", halting(), stall_timeout_s=2))
        assert time.monotonic() - begin < 20


@given(key=st.binary(max_size=40), partitions=st.integers(1, 1024))
def test_partitions_are_those_of_kafka_python(key: bytes, partitions: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kafka.partitioner import DefaultPartitioner

    class Cluster:
        def topics(self) -> set[str]:
            return {"t"}

        def partitions_for_topic(self, topic: str) -> set[int]:
            return set(range(partitions))

        available_partitions_for_topic = partitions_for_topic

    expected = DefaultPartitioner().partition("t", None, key, None, None, Cluster())
    assert partition_for(key, partitions) == expected


def test_partitions_are_those_of_java() -> None:
    # From the tests of Kafka's own Utils.murmur2.
    hashes = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    for key, expected in hashes.items():
        assert partition_for(key, 1 << 20) == (expected & 0x7FFFFFFF) % (1 << 20)


@given(keys=st.lists(st.binary(max_size=40), max_size=30), partitions=st.integers(1, 1024))
def test_partitions_of_many_keys_are_those_of_each(keys: list[bytes], partitions: int) -> None:
    assert partitions_for(keys, partitions).tolist() == [partition_for(key, partitions) for key in keys]
