"""Send to Kafka whole batches by partition, in order.

Records for a partition whose last batch is on its way are gathered into the next batch, so a slow broker
makes batches larger, not more numerous (group commit).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from faust.types import TP

from streams.kafka.unacknowledged import acknowledged
from streams.messages.record_batches import Framed, RecordBatch, framed, packed

MOST_BYTES = 4 << 20
"""Of a batch: less than the 16 MiB that our topics take."""

MOST_UNACKNOWLEDGED_BYTES = 96 << 20
MOST_RECORDS = 2_000
"""Of a batch that is gathered from single records."""


class Record(NamedTuple):
    """One record to be sent.

    Attributes
    ----------
    at_ms
        When the oldest event that it follows from was published, ms since 1970; it travels as a header.
    traced
        The traces that it belongs to, each as a header `traceparent` (`streams.tasks.following`).
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    at_ms: int | None = None
    traced: tuple[bytes, ...] = ()


class _Waiting(NamedTuple):
    content: Framed | list[Record]
    future: asyncio.Future[int]


class Outbox:
    """Wraps the worker's idempotent producer; records of a partition arrive in the order they were sent.

    Attributes
    ----------
    unacknowledged_bytes : int
        The size of what Kafka has not acknowledged.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._queues: dict[TP, deque[_Waiting]] = {}
        self._senders: dict[TP, asyncio.Task[None]] = {}
        self._sent_to: dict[TP, int] = {}
        self._ends: dict[TP, int] = {}
        self._room = asyncio.Event()
        self._room.set()
        self.failed: BaseException | None = None
        self.unacknowledged_bytes = 0

    def send(self, record: Record) -> asyncio.Future[int]:
        """Send one record; the future resolves to its offset once Kafka has it."""
        return self.send_all([record])[0]

    def send_all(self, records: Sequence[Record]) -> list[asyncio.Future[int]]:
        """Send records; return a future for each run that fits a batch,
        which resolves to its first offset.
        """
        by_partition: dict[TP, list[Record]] = {}
        for record in records:
            by_partition.setdefault(TP(record.topic, record.partition), []).append(record)
        return [self._enqueue(tp, run) for tp, some in by_partition.items() for run in _runs(some)]

    def send_framed(self, tp: TP, framed_records: Framed) -> asyncio.Future[int]:
        """Send a batch that is framed already; the future resolves to the offset of its first record."""
        return self._enqueue(tp, framed_records)

    async def send_keyed(self, tp: TP, records: Sequence[tuple[bytes, bytes | None]]) -> int:
        """Send keys and values as compressed batches; return the offset of the first once Kafka has all."""
        sent = [
            self.send_framed(tp, packed(records[start : start + MOST_RECORDS]))
            for start in range(0, len(records), MOST_RECORDS)
        ]
        await acknowledged(sent)
        return sent[0].result()

    def _enqueue(self, tp: TP, content: Framed | list[Record]) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if self.failed is not None:
            future.set_exception(self.failed)
            return future
        self._grow(_size(content))
        self._sent_to[tp] = self.sent_to(tp) + 1
        self._queues.setdefault(tp, deque()).append(_Waiting(content, future))
        if tp not in self._senders:
            sender = asyncio.get_running_loop().create_task(self._send_queue(tp))
            self._senders[tp] = sender
        return future

    async def room(self) -> None:
        """Wait while too much is on its way.

        Raises
        ------
        KafkaError
            If something could not be sent.
        """
        await self._room.wait()
        if self.failed is not None:
            raise self.failed

    def idle(self, tp: TP) -> bool:
        """Return whether nothing of a partition is on its way."""
        return tp not in self._senders

    def end_of(self, tp: TP) -> int:
        """Return the offset after the last of our records that Kafka has in a partition; 0 without any."""
        return self._ends.get(tp, 0)

    def sent_to(self, tp: TP) -> int:
        """Return how often something was to be sent to a partition."""
        return self._sent_to.get(tp, 0)

    async def _send_queue(self, tp: TP) -> None:
        """Send what waits for a partition, batch after batch, until nothing waits."""
        queue = self._queues[tp]
        waiting: list[_Waiting] = []
        try:
            while queue:
                if self.failed is not None:
                    raise self.failed
                waiting = _together(queue)
                batch, size = _batch(waiting)
                acknowledged = await self._producer.send_batch(batch, tp.topic, partition=tp.partition)
                metadata = await acknowledged
                self._grow(-size)
                offset = metadata.offset
                self._ends[tp] = offset + batch.record_count()
                for one in waiting:
                    if not one.future.done():
                        one.future.set_result(offset)
                    offset += _count(one.content)
        except BaseException as error:
            self._fail(error)
            for one in (*waiting, *queue):
                if not one.future.done():
                    one.future.set_exception(self.failed or error)
            queue.clear()
            if not isinstance(error, Exception):
                raise
        finally:
            del self._senders[tp]
            if not queue:
                self._queues.pop(tp, None)

    def _fail(self, error: BaseException) -> None:
        """Send nothing more, because what comes after a missing record must not be in Kafka."""
        if self.failed is None:
            self.failed = error if isinstance(error, Exception) else OutboxClosed("the worker stops")
        self._room.set()

    def _grow(self, n_bytes: int) -> None:
        self.unacknowledged_bytes += n_bytes
        if self.unacknowledged_bytes < MOST_UNACKNOWLEDGED_BYTES or self.failed is not None:
            self._room.set()
        else:
            self._room.clear()

    async def close(self) -> None:
        """Wait until everything is acknowledged or has failed."""
        while senders := list(self._senders.values()):
            await asyncio.wait(senders)


class OutboxClosed(Exception):
    """The worker stopped before Kafka had acknowledged what it had sent."""


def _seen(future: asyncio.Future[Any]) -> None:
    """Retrieve an error, so that a future nobody waits for does not log it."""
    if not future.cancelled():
        future.exception()


def _size(content: Framed | list[Record]) -> int:
    if isinstance(content, Framed):
        return len(content.raw)
    return sum(len(record.key or b"") + len(record.value or b"") for record in content)


def _runs(records: list[Record]) -> list[list[Record]]:
    """Return runs of consecutive records that fit a batch together; a record that is larger is alone."""
    if len(records) == 1:
        return [records]
    runs: list[list[Record]] = [[]]
    size = 0
    for record in records:
        size += _size([record])
        if runs[-1] and (size > MOST_BYTES or len(runs[-1]) == MOST_RECORDS):
            runs.append([])
            size = _size([record])
        runs[-1].append(record)
    return runs


def _count(content: Framed | list[Record]) -> int:
    return content.n if isinstance(content, Framed) else len(content)


def _together(queue: deque[_Waiting]) -> list[_Waiting]:
    """Take the first of a queue, and the single records behind it that fit into the same batch."""
    waiting = [queue.popleft()]
    if isinstance(waiting[0].content, Framed):
        return waiting
    size, count = _size(waiting[0].content), len(waiting[0].content)
    while queue and not isinstance(queue[0].content, Framed):
        size, count = size + _size(queue[0].content), count + len(queue[0].content)
        if size > MOST_BYTES or count > MOST_RECORDS:
            break
        waiting.append(queue.popleft())
    return waiting


def _batch(waiting: Sequence[_Waiting]) -> tuple[RecordBatch, int]:
    """Return the batch of what goes out together, and the size it was counted with."""
    now_ms = time.time_ns() // 1_000_000
    size = sum(_size(one.content) for one in waiting)
    content = waiting[0].content
    if isinstance(content, Framed):
        return RecordBatch(content.raw, content.n, now_ms, compressed=True), size
    parts, n = [], 0
    for one in waiting:
        assert isinstance(one.content, list)
        for record in one.content:
            headers = [] if record.at_ms is None else [("at", record.at_ms.to_bytes(8, "big"))]
            if record.traced:
                headers += [("traceparent", value) for value in record.traced]
            raw, count = framed([(record.key, record.value)], headers, n)
            parts.append(raw)
            n += count
    return RecordBatch(b"".join(parts), n, now_ms), size


def published_ms(record: Any) -> int | None:
    """Return when the oldest event that a record follows from was published: see `Record.at_ms`."""
    for name, value in record.headers:
        if name == "at":
            return int.from_bytes(value, "big")
    return None
