"""Read partitions that this process writes, and find records that somebody else wrote there.

A worker that stood still may wake up with lists on their way to Kafka, and Kafka takes them although the
partition has a new owner. Or a worker gets the partition back without having noticed that another owned it in
between. In both cases there are records in the partition that its present owner did not write. The owner
recognises them by the offsets that Kafka gives its own records, and publishes their lists again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.connections.bootstrap import Bootstrap
from streams.kafka.readers import new_reader
from streams.kafka.refusals import require_on_topics
from streams.kafka.stopping import start, stop

log = logging.getLogger("alsobought")

READ_MS = 1_000


class TopicReader:
    """Reads partitions that this process writes, with consumers of no group that its tasks share.

    One consumer asks for offsets and never has partitions, the other reads. Kafka answers the requests of a
    connection in order, and a consumer with a partition always has a fetch waiting, half a second long if
    nothing comes.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._asking, self._reading = _Shared(bootstrap), _Shared(bootstrap)
        self._asked: dict[TopicPartition, asyncio.Future[int | KafkaError | None]] = {}

    async def end_of(self, tp: TP) -> int:
        """Return the offset the next record of a partition gets; who asks at the same time shares a request.

        Raises
        ------
        KafkaError
        RightsMissing
            If Kafka does not let this process know; so do the other methods.
        """
        partition = TopicPartition(*tp)
        while True:
            answer = self._asked.setdefault(partition, asyncio.get_running_loop().create_future())
            async with self._asking as consumer:
                if not answer.done():
                    await self._ask(consumer)
            end = answer.result()
            if isinstance(end, KafkaError):
                raise end
            if end is not None:
                return end

    async def _ask(self, consumer: Any) -> None:
        """Answer all who have asked for an end; with None if this is cancelled."""
        await asyncio.sleep(0)  # who is about to ask joins
        asked, self._asked = self._asked, {}
        ends: dict[TopicPartition, int | KafkaError] = {}
        try:
            ends = await consumer.end_offsets(list(asked))
        except KafkaError as error:
            await require_on_topics(self._bootstrap, "Describe", {tp.topic for tp in asked})
            ends = dict.fromkeys(asked, error)
        finally:
            for partition, answer in asked.items():
                answer.set_result(ends.get(partition))

    async def keys(self, tp: TP, start: int, end: int) -> set[bytes]:
        """Return the keys of the records at offsets [start, end) that are still there."""
        return {key async for key, _ in self.records(tp, start, end) if key}

    async def newest(self, tp: TP, key: bytes, start: int, end: int) -> bytes | None:
        """Return the newest value of a key at offsets [start, end); None if there is none."""
        found = None
        async for of, value in self.records(tp, start, end):
            found = value if of == key and value is not None else found
        return found

    async def records(self, tp: TP, start: int, end: int) -> AsyncIterator[tuple[bytes | None, bytes | None]]:
        """Yield keys and values of the records at offsets [start, end) that are still there."""
        try:
            async with self._reading as consumer:
                async for record in _read(consumer, TopicPartition(*tp), start, end):
                    yield record.key, record.value
        except KafkaError:
            await require_on_topics(self._bootstrap, "Read", [tp.topic])
            raise

    async def close(self) -> None:
        """Close the consumers."""
        for shared in (self._asking, self._reading):
            await shared.close()


async def _read(consumer: Any, partition: TopicPartition, start: int, end: int) -> AsyncIterator[Any]:
    consumer.assign([partition])
    consumer.seek(partition, start)
    while await consumer.position(partition) < end:
        records: dict[Any, list[Any]] = await consumer.getmany(partition, timeout_ms=READ_MS)
        for some in records.values():
            for record in some:
                if record.offset < end:
                    yield record
    # it stays assigned: aiokafka's fetcher fails if a subscription is removed while it starts
    consumer.pause(partition)


class _Shared:
    """A consumer of no group, started when it is first used; one user at a time has it, with `async with`."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._consumer: Any = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Any:
        await self._lock.acquire()
        try:
            if self._consumer is None:
                consumer = new_reader(self._bootstrap)
                try:
                    await start(consumer)
                except BaseException:
                    await stop(consumer)
                    raise
                self._consumer = consumer
        except BaseException:
            self._lock.release()
            raise
        return self._consumer

    async def __aexit__(self, *_exc: object) -> None:
        self._lock.release()

    async def close(self) -> None:
        async with self._lock:
            if self._consumer is not None:
                await stop(self._consumer)
                self._consumer = None


class Written:
    """The offsets of a partition that its owner wrote since it opened it.

    Attributes
    ----------
    tp
        The partition.
    by_others : list[tuple[int, int]]
        Offsets [from, to) that others wrote and that nobody has handled yet.
    """

    def __init__(self, tp: TP, end: int, *, marked: bool = False) -> None:
        self.tp = tp
        self._marked = marked  # others write harmless marks there, which the caller distinguishes
        self.by_others: list[tuple[int, int]] = []
        self._expected = end

    @property
    def end(self) -> int:
        """Where the partition ends, as far as is known."""
        return self._expected

    @property
    def looked_through(self) -> int:
        """The offset before which all records of others are handled."""
        return self.by_others[0][0] if self.by_others else self._expected

    def own(self, first: int, count: int) -> None:
        """Note a batch that Kafka has acknowledged, in the order they were sent: its offset and records."""
        self.reached(first)
        self._expected = max(self._expected, first + count)

    def reached(self, end: int) -> None:
        """Note that the partition ends (or ended) at `end`, with none of our records on their way."""
        if end > self._expected:
            if not self._marked:
                log.warning("%s-%d: offsets %d to %d are by another worker", *self.tp, self._expected, end)
            self.by_others.append((self._expected, end))
            self._expected = end
