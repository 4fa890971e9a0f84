"""Reading our topics from outside the workers: all of a topic, its newest messages, what comes next.

positions    where the partitions begin and end now
read_all     every record up to where the topic ends now
Follower     records as they come, from the end or a little before it
send         records with keys, or to given partitions
send_each    one record to every partition
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from streams import codecs as _codecs  # noqa: F401  kafka-python then reads what is compressed
from streams.broker.errors import KafkaUnreachable, TopicsError
from streams.broker.topics_admin import list_topics
from streams.topics import TopicSpec

CONNECT_S = 2.0
POLL_MS = 500
STALL_S = 30.0
QUIET_S = 15.0


class TopicAbsent(TopicsError):
    """The topic does not exist: create it with `alsobought topics create`, or correct the address."""


class Row(NamedTuple):
    """A record: `timestamp_ms` is Kafka's; a value of None is a tombstone."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def partitions_of(bootstrap: str, spec: TopicSpec) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
    """
    found = list_topics(bootstrap, [spec], timeout_s=CONNECT_S)
    if not found:
        raise TopicAbsent(
            f"topic {spec.name} does not exist at {bootstrap}; create it with `alsobought topics create`."
        )
    return found[0].partitions


def positions(bootstrap: str, spec: TopicSpec) -> dict[int, tuple[int, int]]:
    """Return the first offset and the one after the last of each partition. Raises as `partitions_of`."""
    with _consumer(bootstrap, spec) as (consumer, assigned):
        begins, ends = consumer.beginning_offsets(assigned), consumer.end_offsets(assigned)
        return {tp.partition: (begins[tp], ends[tp]) for tp in assigned}


def ends(bootstrap: str, spec: TopicSpec) -> dict[int, int]:
    """Return the offset after the last record of each partition. Raises as `partitions_of` does."""
    return {partition: end for partition, (_, end) in positions(bootstrap, spec).items()}


def read_all(bootstrap: str, spec: TopicSpec, until: dict[int, int] | None = None) -> Iterator[Row]:
    """Yield every record up to the ends of now, or before `until`; in order within a partition.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
        Also when Kafka stops to answer on the way.
    """
    with _consumer(bootstrap, spec) as (consumer, assigned):
        end = {tp: until[tp.partition] for tp in assigned} if until else consumer.end_offsets(assigned)
        consumer.seek_to_beginning(*assigned)
        heard = time.monotonic()
        while left := [tp for tp in assigned if consumer.position(tp) < end[tp]]:
            consumer.pause(*(set(assigned) - set(left)))
            polled = consumer.poll(POLL_MS)
            if polled:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALL_S:
                raise KafkaUnreachable(
                    f"Kafka at {bootstrap} sent nothing of {spec.name} for {STALL_S:g} s: see its log."
                )
            for tp, records in polled.items():
                for record in records:
                    if record.offset < end[tp]:
                        yield _row(record)


class Follower:
    """A topic's records as they are written, from `back` records before its present end.

    A context manager; opening it raises KafkaUnreachable or TopicAbsent.
    """

    def __init__(self, bootstrap: str, spec: TopicSpec, *, back: int = 0) -> None:
        self._bootstrap, self._spec = bootstrap, spec
        with contextlib.ExitStack() as undo:
            self._consumer, assigned = undo.enter_context(_consumer(bootstrap, spec))
            begin, end = self._consumer.beginning_offsets(assigned), self._consumer.end_offsets(assigned)
            self._next = {tp: max(begin[tp], end[tp] - back) for tp in assigned}
            self._seek()
            self._left = {tp for tp in assigned if begin[tp] < end[tp] and back}
            self._ends = end
            self._stack = undo.pop_all()

    def _seek(self) -> None:
        for tp, offset in self._next.items():
            self._consumer.seek(tp, offset)
        self._heard = time.monotonic()

    def poll(self, timeout_ms: int = POLL_MS) -> list[Row]:
        """Return what has come, waiting up to `timeout_ms` for a first record."""
        if time.monotonic() - self._heard > QUIET_S:
            self._open_again()
        polled = self._consumer.poll(timeout_ms)
        for tp, records in polled.items():
            self._heard = time.monotonic()
            self._next[tp] = records[-1].offset + 1
        return [_row(record) for records in polled.values() for record in records]

    def _open_again(self) -> None:
        """Go on with a new consumer: kafka-python may hear nothing more after its broker was killed."""
        self._heard = time.monotonic()
        with contextlib.suppress(TopicsError), contextlib.ExitStack() as undo:
            consumer, _ = undo.enter_context(_consumer(self._bootstrap, self._spec))
            old, self._stack, self._consumer = self._stack, undo.pop_all(), consumer
            self._seek()
            old.close()

    def past(self) -> Iterator[Row]:
        """Yield the records that were there when it was opened."""
        begin = time.monotonic()
        while any(self._consumer.position(tp) < self._ends[tp] for tp in self._left):
            if time.monotonic() - begin > STALL_S:
                raise KafkaUnreachable("Kafka stopped sending records: see its log.")
            yield from self.poll()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def send_each(bootstrap: str, spec: TopicSpec, value: bytes, partitions: list[int]) -> dict[int, int]:
    """Write a record to each of the partitions; return the offsets they got. Raises as `send` does."""
    offsets = send(bootstrap, spec, [(partition, None, value) for partition in partitions])
    return dict(zip(partitions, offsets, strict=True))


def send(
    bootstrap: str, spec: TopicSpec, records: Iterable[tuple[int | None, bytes | None, bytes | None]]
) -> list[int]:
    """Write records of a partition (None: the key's), a key and a value; return their offsets.

    Raises
    ------
    KafkaUnreachable
        Kafka did not take them all.
    """
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all")
    try:
        sent = [producer.send(spec.name, key=key, value=value, partition=p) for p, key, value in records]
        return [future.get(timeout=STALL_S).offset for future in sent]
    except KafkaError as error:
        raise KafkaUnreachable(
            f"Kafka at {bootstrap} did not take a record for {spec.name}: {error}"
        ) from error
    finally:
        producer.close(timeout=STALL_S)


@contextlib.contextmanager
def _consumer(bootstrap: str, spec: TopicSpec) -> Iterator[tuple[Any, list[Any]]]:
    """Open a consumer of no group, with all partitions of the topic assigned."""
    count = partitions_of(bootstrap, spec)  # fails fast and readably
    consumer = None
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            max_poll_records=5_000,
            max_partition_fetch_bytes=4 << 20,
        )
        assigned = [TopicPartition(spec.name, p) for p in range(count)]
        consumer.assign(assigned)
        yield consumer, assigned
    except KafkaError as error:
        raise KafkaUnreachable(f"Kafka at {bootstrap} does not answer about {spec.name}: {error}") from error
    finally:
        if consumer is not None:
            consumer.close()


def _row(record: Any) -> Row:
    return Row(record.partition, record.offset, record.timestamp, record.key, record.value)
