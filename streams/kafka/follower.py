"""Read our topics from outside the workers: all of a topic, its newest messages, and what comes next.

positions    where the partitions begin and end now
read_all     every record up to where the topic ends now
Follower     records as they come, from the end or a little before it
send         it writes records with keys, or to given partitions
send_each    it writes one record to every partition

They are for programs and threads without an event loop; the consumer's own loop runs while they wait for it.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from streams.broker.errors import KafkaUnreachable, RightsMissing, TopicsError
from streams.broker.topics_admin import partition_counts
from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import SecurityError
from streams.kafka.blocking_reader import BlockingReader
from streams.messages.checks import LOG_APPEND_TIME
from streams.rights import Right
from streams.topics import TopicSpec

CONNECT_S = 2.0
POLL_MS = 500
STALL_S = 30.0
QUIET_S = 15.0


class TopicAbsent(TopicsError):
    """The topic does not exist: create it with `alsobought topics create`, or correct the address."""


class TopicRecord(NamedTuple):
    """A record of a topic; a value of None is a tombstone.

    `timestamp_ms` is the broker's time if `by_broker`, otherwise the one that the record's producer set.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    by_broker: bool


def partitions_of(bootstrap: Bootstrap, spec: TopicSpec) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    KafkaUnreachable, TopicAbsent, RightsMissing
    """
    found = partition_counts(bootstrap, [spec], timeout_s=CONNECT_S)
    if not found:
        of_it = "" if spec.prefix is None else f"ALSOBOUGHT_TOPIC_PREFIX={shlex.quote(spec.prefix)} "
        raise TopicAbsent(
            f"topic {spec.name} does not exist at {bootstrap}; create it with"
            f" `{of_it}alsobought topics create`."
        )
    return found[spec.name]


def positions(bootstrap: Bootstrap, spec: TopicSpec) -> dict[int, tuple[int, int]]:
    """Return the first offset and the one after the last of each partition. Raises as `partitions_of`."""
    with _reader(bootstrap, spec) as reader:
        begins, ends = reader.begins(), reader.ends()
        return {tp.partition: (begins[tp], ends[tp]) for tp in reader.assigned}


def ends(bootstrap: Bootstrap, spec: TopicSpec) -> dict[int, int]:
    """Return the offset after the last record of each partition. Raises as `partitions_of` does."""
    return {partition: end for partition, (_, end) in positions(bootstrap, spec).items()}


def read_all(
    bootstrap: Bootstrap, spec: TopicSpec, until: dict[int, int] | None = None
) -> Iterator[TopicRecord]:
    """Yield every record up to the present ends, or before `until`: partition after partition, each in order.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
        Also when Kafka stops answering on the way.
    """
    with _reader(bootstrap, spec) as reader:
        end = {tp: until[tp.partition] for tp in reader.assigned} if until else reader.ends()
        begin = reader.begins()
        for tp in reader.assigned:
            if begin[tp] < end[tp]:
                reader.read_only(tp, begin[tp])
                for record in _up_to(reader, tp, end[tp]):
                    yield _row(record)


def _up_to(reader: BlockingReader, tp: Any, end: int) -> Iterator[Any]:
    heard = time.monotonic()
    while not reader.reached({tp: end}):
        polled = reader.poll(POLL_MS)
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > STALL_S:
            raise KafkaUnreachable(
                f"Kafka sent nothing of {tp.topic}-{tp.partition} for {STALL_S:g} s: see its log."
            )
        for record in polled.get(tp, ()):
            if record.offset < end:
                yield record


class Follower:
    """Follows a topic: it returns records as they are written, from `back` records before the present end.

    It is a context manager; opening it raises KafkaUnreachable or TopicAbsent.
    """

    def __init__(self, bootstrap: Bootstrap, spec: TopicSpec, *, back: int = 0) -> None:
        self._bootstrap, self._spec = bootstrap, spec
        with contextlib.ExitStack() as undo:
            self._reader = undo.enter_context(_reader(bootstrap, spec))
            begin, end = self._reader.begins(), self._reader.ends()
            self._next = {tp: max(begin[tp], end[tp] - back) for tp in self._reader.assigned}
            self._seek()
            self._past = {tp: end[tp] for tp in self._reader.assigned if begin[tp] < end[tp] and back}
            self._stack = undo.pop_all()

    def _seek(self) -> None:
        self._reader.seek(self._next)
        self._heard = time.monotonic()

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self._reader.assigned)

    def poll(self, timeout_ms: int = POLL_MS) -> list[TopicRecord]:
        """Return what has come, waiting up to `timeout_ms` for a first record."""
        if time.monotonic() - self._heard > QUIET_S:
            self._open_again()
        polled = self._reader.poll(timeout_ms)
        for tp, records in polled.items():
            self._heard = time.monotonic()
            self._next[tp] = records[-1].offset + 1
        return [_row(record) for records in polled.values() for record in records]

    def _open_again(self) -> None:
        """Continue with a new consumer, because one may receive nothing more after its broker was killed."""
        self._heard = time.monotonic()
        with contextlib.suppress(TopicsError, SecurityError), contextlib.ExitStack() as undo:
            reader = undo.enter_context(_reader(self._bootstrap, self._spec))
            old, self._stack, self._reader = self._stack, undo.pop_all(), reader
            self._seek()
            old.close()

    def past(self) -> Iterator[TopicRecord]:
        """Yield the records that were there when the follower was opened."""
        begin = time.monotonic()
        while self._past.keys() - self._reader.reached(self._past):
            if time.monotonic() - begin > STALL_S:
                raise KafkaUnreachable("Kafka stopped sending records: see its log.")
            yield from self.poll()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def send_each(bootstrap: Bootstrap, spec: TopicSpec, value: bytes, partitions: list[int]) -> dict[int, int]:
    """Write a record to each of the partitions; return the offsets they got. Raises as `send` does."""
    offsets = send(bootstrap, spec, [(partition, None, value) for partition in partitions])
    return dict(zip(partitions, offsets, strict=True))


def send(
    bootstrap: Bootstrap, spec: TopicSpec, records: Iterable[tuple[int | None, bytes | None, bytes | None]]
) -> list[int]:
    """Write records of a partition (None: the key's), a key and a value; return their offsets.

    Raises
    ------
    KafkaUnreachable, RightsMissing
        Kafka did not take them all.
    """
    producer = clients.blocking_producer(bootstrap, acks="all")
    try:
        sent = [producer.send(spec.name, key=key, value=value, partition=p) for p, key, value in records]
        return [future.get(timeout=STALL_S).offset for future in sent]
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        # the latter says that it may write to no topic at all
        raise RightsMissing(bootstrap, [Right("topic", spec.name, "Write")]) from error
    except KafkaError as error:
        raise KafkaUnreachable(
            f"Kafka at {bootstrap} did not take a record for {spec.name}: {error}"
        ) from error
    finally:
        producer.close(timeout=STALL_S)


def _reader(bootstrap: Bootstrap, spec: TopicSpec) -> BlockingReader:
    return BlockingReader(bootstrap, spec.name, partitions_of(bootstrap, spec))  # fails fast and readably


def _row(record: Any) -> TopicRecord:
    by_broker = record.timestamp_type == LOG_APPEND_TIME
    return TopicRecord(record.partition, record.offset, record.timestamp, record.key, record.value, by_broker)
