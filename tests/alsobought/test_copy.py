"""Copies have every record once, in order, and continue where they were; what cannot be copied is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from alsobought.deployments.copying import Copying
from alsobought.deployments.other import Deployment
from alsobought.deployments.writing import MARK, Place, copied_to
from alsobought.options import CommandError
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.kafka.blocking_reader import BlockingReader
from streams.messages.partitioning import partition_for
from streams.topics import PURCHASES, TopicSpec
from tests.streams.pipeline import until

N, M = 2, 6
COPY = "copy-"


class Topics:
    """A topic, and its copy in the same Kafka."""

    def __init__(self, broker: EmbeddedKafka, name: str) -> None:
        self.bootstrap = broker.bootstrap
        self.spec = replace(PURCHASES, base=name)
        self.here, self.there = Deployment(broker.bootstrap, ""), Deployment(broker.bootstrap, COPY)
        self.copy_spec = self.spec.of_deployment(COPY)
        self.producer = KafkaProducer(bootstrap_servers=broker.bootstrap.servers, acks="all")
        create_topics(broker.bootstrap, [self.spec], N, 1)
        create_topics(broker.bootstrap, [self.copy_spec], M, 1)

    def publish(self, keys: list[bytes | None], partition: int | None = None, first: int = 0) -> None:
        for number, key in enumerate(keys, first):
            value = None if number % 7 == 3 else b"%d" % number
            headers = [("from", b"till")] if number % 5 == 0 else []
            self.producer.send(self.spec.name, key=key, value=value, partition=partition, headers=headers)
        self.producer.flush()

    def copying(self) -> Copying:
        return Copying(self.here, self.there, self.spec)

    def read(self, spec: TopicSpec, partitions: int) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {p: [] for p in range(partitions)}
        with BlockingReader(self.bootstrap, spec.name, partitions) as reader:
            ends = reader.ends()

            def done() -> bool:
                for tp, records in reader.poll(100).items():
                    found[tp.partition] += records
                return reader.reached(ends) == ends.keys()

            until(done, spec.name)
        return found

    def check(self) -> None:
        """Check that every partition of the copy has what it must, in the order of the original."""
        expected: dict[int, list[Any]] = {p: [] for p in range(M)}
        for partition, records in self.read(self.spec, N).items():
            for r in records:
                to = copied_to(r.key, partition, N, M)
                expected[to].append((r.key, r.value, tuple(r.headers)))
        found = {
            p: [(r.key, r.value, tuple(h for h in r.headers if h[0] != MARK)) for r in records]
            for p, records in self.read(self.copy_spec, M).items()
        }
        assert found == expected


@pytest.fixture
def topics(broker: EmbeddedKafka, request: pytest.FixtureRequest) -> Iterator[Topics]:
    topics = Topics(broker, request.node.name.replace("[", "-").replace("]", ""))
    yield topics
    topics.producer.close()


def test_partitions_follow_from_keys() -> None:
    """Records in their place get the place that producers give their keys, others stay in order, apart."""
    for number in range(1000):
        key = b"customer %d" % number
        home = partition_for(key, 4)
        assert copied_to(key, home, 4, 12) == partition_for(key, 12)
        for partition in range(4):
            to = copied_to(key, partition, 4, 12)
            assert to % 4 == partition
            assert (to == partition_for(key, 12)) == (partition == home)
            assert copied_to(key, partition, 4, 4) == partition
    assert copied_to(None, 3, 4, 12) == 3


def test_everything_is_copied_once_however_often_it_is_begun(topics: Topics) -> None:
    keys: list[bytes | None] = [b"customer %d" % (n % 97) for n in range(4_000)]
    topics.publish(keys)
    topics.publish([None, b"misplaced", b"misplaced"], partition=0, first=4_001)
    first = topics.copying()
    seen: list[int] = []
    assert first.records == 4_003
    assert first.run(seen.append) == 4_003
    assert seen[-1] == 4_003
    assert seen == sorted(seen)
    topics.check()
    assert topics.copying().run(seen.append) == 0

    topics.publish(keys[:100], first=5_000)
    assert topics.copying().run(seen.append) == 100
    topics.check()


class Interrupted(Exception):
    """Ends a copy in the middle."""


def test_an_interrupted_copy_continues(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.deployments.writing.BATCH_BYTES", 2_000)  # many batches
    topics.publish([b"customer %d" % (n % 97) for n in range(6_000)])
    copied = 0

    def interrupt(read: int) -> None:
        if read > 4_000:
            raise Interrupted()

    with pytest.raises(Interrupted):
        topics.copying().run(interrupt)
    copied = sum(map(len, topics.read(topics.copy_spec, M).values()))
    assert 0 < copied < 6_000
    assert topics.copying().run(lambda _: None) == 6_000 - copied
    topics.check()


def test_what_cannot_be_copied_exactly_is_refused(topics: Topics) -> None:
    topics.publish([b"customer %d" % n for n in range(50)])
    uneven = Deployment(topics.bootstrap, "uneven-")
    create_topics(topics.bootstrap, [topics.spec.of_deployment("uneven-")], 3, 1)
    with pytest.raises(CommandError, match=r"has 3 partitions and .* has 2: .* must be a multiple"):
        Copying(topics.here, uneven, topics.spec)

    # while it is copied, and before
    copying = topics.copying()
    topics.producer.send(topics.copy_spec.name, key=b"bob", value=b"{}", partition=0).get(10)
    with pytest.raises(CommandError, match=r"somebody else wrote to .*-0 at offset 0"):
        copying.run(lambda _: None)
    topics.producer.send(topics.copy_spec.name, key=b"bob", value=b"{}", partition=0).get(10)
    with pytest.raises(CommandError, match="ends with a record that is no copy"):
        topics.copying()


def test_another_original_is_refused(topics: Topics) -> None:
    """A topic that was deleted and created again has other records at the same offsets."""
    topics.publish([b"customer %d" % n for n in range(50)])
    assert topics.copying().run(lambda _: None) == 50
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap.servers)
    admin.delete_topics([topics.spec.name])
    until(lambda: topics.spec.name not in admin.list_topics(), "the end of the topic")
    create_topics(topics.bootstrap, [topics.spec], N, 1)
    with pytest.raises(CommandError, match="deleted and created again"):
        topics.copying()
    admin.close()


def test_places_are_read_as_they_are_written() -> None:
    place = Place("AbC-1_x", 3, 1 << 40)
    assert Place.of([("from", b"till"), place.header()]) == place
    assert Place.of([("from", b"till")]) is None
    assert Place.of([(MARK, b"rubbish")]) is None
