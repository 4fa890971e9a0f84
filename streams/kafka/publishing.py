"""Publish many records fast: whole batches per partition, in order, at a given rate if one is set.

A key's records stay in order: a key has one partition, batches of a partition are handed over in order, and
aiokafka has one batch of a partition on its way at a time. The producer is idempotent: what it sends again
after a lost answer is in the log once.

Publishing again, after an error or by mistake, puts records into the log once more. They count once if they
name their source: events of a `source` with ascending `sequence`s (`streams.messages.schema`) are counted by
a partition only above the highest sequence that it has counted of that source. The records of a partition are
in the log in the order in which they are sent, so the missing ones are those above. For events without a
source, an `event_id` protects the last 128 of each customer; events without either count again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError

from streams.broker.errors import KafkaUnreachable
from streams.broker.topics_admin import check_rights
from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.kafka.reading_ahead import ahead
from streams.kafka.refusals import require_on_topics
from streams.kafka.stopping import start
from streams.messages.partitioning_many import partitions_for
from streams.rights import Right

Record = tuple[bytes, bytes]
"""Key and value."""

# 1.44 million purchases, publisher and broker on two cores, events a second and size of the log: zstd 170,000
# and 27 MB, snappy 166,000 and 47, lz4 128,000 and 41, gzip 82,000 and 27, none 182,000 and 223.
COMPRESSION = None  # any client reads the topic, also one without the codecs; as fast as the best of them
BATCH_BYTES = 512 << 10  # before compression; topics take 1 MiB
PACE_S = 0.02

START_TIMEOUT_S = 10.0
STALL_TIMEOUT_S = 30.0


class PublishError(Exception):
    """Kafka did not take all records: the message says how many it has and what to do."""


class TopicMissing(PublishError):
    """The topic does not exist: create it, or correct its name or the address."""


@dataclass(frozen=True)
class PublishReport:
    """What has been published.

    Attributes
    ----------
    records : int
        The number of records, all acknowledged by all replicas in sync.
    seconds : float
        The time from the first record read to the last acknowledged.
    end_offsets : dict
        For each partition that got any, the offset after its last record.
    """

    records: int
    seconds: float
    end_offsets: dict[int, int]


async def publish(
    bootstrap: Bootstrap,
    topic: str,
    batches: Iterable[Sequence[Record]],
    *,
    rate: float | None = None,
    on_progress: Callable[[int], None] | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
) -> PublishReport:
    """Publish records to a topic, each to the partition of its key, and return when all are acknowledged.

    Parameters
    ----------
    bootstrap
        Kafka.
    batches
        The records; read in a thread, at most two batches ahead. A batch is sent in full before the next, so
        what a pipe has delivered does not wait for more.
    rate
        At most so many records a second, evenly: every `PACE_S` some, or one at a time. None: no limit.
    on_progress
        Called with the number of records acknowledged so far.
    stall_timeout_s
        Give up when Kafka has acknowledged nothing for so long.

    Raises
    ------
    KafkaUnreachable
        No broker answers at `bootstrap`, within `START_TIMEOUT_S`.
    RightsMissing
        This process may not write to the topic.
    TopicMissing
        There is no such topic.
    PublishError
        Kafka refused records or stopped to answer.
    """
    if rate is not None and not rate > 0:
        raise ValueError(f"rate is {rate}; it must be more than 0 records a second")
    producer = clients.producer(
        bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type=COMPRESSION,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=int(stall_timeout_s * 1000),
    )
    try:
        await asyncio.to_thread(check_rights, bootstrap, [Right("topic", topic, "Write")], timeout_s=0)
        partitions = await _connect(producer, bootstrap, topic)
        publisher = _Publisher(producer, bootstrap, topic, partitions, on_progress, stall_timeout_s)
        begin = time.monotonic()
        async with aclosing(ahead(batches)) as ready:
            async for records in _paced(ready, rate) if rate is not None else ready:
                await publisher.send(records)
        await publisher.finish()
        seconds = time.monotonic() - begin
    except PublishError:
        await abandon(producer)
        await require_on_topics(bootstrap, "Write", [topic])  # it may have been taken meanwhile
        raise
    except BaseException:
        await abandon(producer)
        raise
    await producer.stop()
    return PublishReport(publisher.records, seconds, publisher.end_offsets)


async def _connect(producer: Any, bootstrap: Bootstrap, topic: str) -> int:
    """Start the producer and return the number of the topic's partitions."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await start(producer)
            # Of all topics: asking for one by name may create it.
            cluster = await producer.client.fetch_all_metadata()
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        raise KafkaUnreachable(
            f"no Kafka answers at {bootstrap} ({str(error) or 'in time'}). Start it (`alsobought broker run`"
            " runs one here), or set ALSOBOUGHT_KAFKA to where it is."
        ) from error
    partitions = cluster.partitions_for_topic(topic)
    if not partitions:
        raise TopicMissing(
            f"topic {topic} does not exist at {bootstrap}; create it with `alsobought topics create`."
        )
    return len(partitions)


async def abandon(producer: Any) -> None:
    """Close the producer without its unsent batches, which it would retry
    for ever while stop() waits for it.
    """
    await producer._sender.close()
    await producer.client.close()
    producer._closed = True


async def _paced(batches: AsyncIterator[Sequence[Record]], rate: float) -> AsyncIterator[Sequence[Record]]:
    """Yield the records in slices, each when it is due."""
    size = max(1, int(rate * PACE_S))
    due = time.monotonic()
    async for records in batches:
        for first in range(0, len(records), size):
            part = records[first : first + size]
            now = time.monotonic()
            if now < due:
                await asyncio.sleep(due - now)
            # A delay is caught up with, but not a long one: that would be a burst.
            due = max(due, now - 5 * PACE_S) + len(part) / rate
            yield part


@dataclass
class _Publisher:
    producer: Any
    bootstrap: Bootstrap
    topic: str
    partitions: int
    on_progress: Callable[[int], None] | None
    stall_timeout_s: float
    records: int = 0
    end_offsets: dict[int, int] = field(default_factory=dict)
    _pending: set[asyncio.Future[Any]] = field(default_factory=set)
    _error: BaseException | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Hand the records over to the producer; returns when it has taken them."""
        builders: dict[int, Any] = {}
        create, now_ms = self.producer.create_batch, time.time_ns() // 1_000_000
        partitions = partitions_for([key for key, _ in records], self.partitions).tolist()
        for (key, value), partition in zip(records, partitions, strict=True):
            builder = builders.get(partition)
            if builder is None:
                builder = builders[partition] = create()
            if builder.append(timestamp=now_ms, key=key, value=value) is None:  # full
                await self._submit(partition, builder)
                builder = builders[partition] = create()
                builder.append(timestamp=now_ms, key=key, value=value)
        for partition, builder in builders.items():
            await self._submit(partition, builder)

    async def finish(self) -> None:
        """Wait until all records are acknowledged."""
        while self._pending:
            done, _ = await asyncio.wait(
                self._pending, timeout=self.stall_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise self._failed(f"has taken nothing for {self.stall_timeout_s:g} s")
            await asyncio.sleep(0)  # lets the callbacks run
        self._check()

    async def _submit(self, partition: int, builder: Any) -> None:
        self._check()
        builder.close()
        count = builder.record_count()
        try:
            # Waits until the partition's previous batch has left.
            future = await self.producer.send_batch(builder, self.topic, partition=partition)
        except KafkaError as error:
            self._check()
            raise self._failed(f"does not take more: {error}") from error
        self._pending.add(future)
        future.add_done_callback(lambda done: self._acknowledged(partition, count, done))

    def _acknowledged(self, partition: int, count: int, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._error = self._error or error
            return
        self.records += count
        self.end_offsets[partition] = future.result().offset + count
        if self.on_progress is not None:
            self.on_progress(self.records)

    def _check(self) -> None:
        if self._error is None:
            return
        refused = f"refused records: {self._error}"
        if getattr(self._error, "retriable", False):  # aiokafka has tried them again until the time was over
            refused = f"has taken nothing for {self.stall_timeout_s:g} s: {self._error}"
        raise self._failed(refused) from self._error

    def _failed(self, what: str) -> PublishError:
        return PublishError(
            f"Kafka at {self.bootstrap} {what}. It has acknowledged {self.records:,} records for the topic"
            f" {self.topic}; see its log, then publish again: what it has already of the same source is not"
            " counted twice."
        )
