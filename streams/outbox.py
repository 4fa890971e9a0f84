"""Sending to Kafka: many records in whole batches, and what is not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple


class Batch(NamedTuple):
    """Records that went out together: how many, and the future of where Kafka put the first."""

    records: int
    acknowledged: asyncio.Future[Any]


class Outbox:
    """Wraps the worker's idempotent producer; records of a partition arrive in the order they were sent."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    async def send(
        self, topic: str, partition: int | None, key: bytes | None, value: bytes, at_ms: int | None = None
    ) -> asyncio.Future[Any]:
        """Hand over one record; the future resolves when Kafka has it. `at_ms` travels as a header."""
        headers = [] if at_ms is None else [("at", at_ms.to_bytes(8, "big"))]
        future: asyncio.Future[Any] = await self._producer.send(
            topic, value=value, key=key, partition=partition, headers=headers
        )
        return future

    async def send_many(
        self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes | None]]
    ) -> list[Batch]:
        """Hand over keys and values as whole batches."""
        batches = []
        batch = self._producer.create_batch()

        async def put() -> None:
            count = batch.record_count()
            batch.close()
            batches.append(Batch(count, await self._producer.send_batch(batch, topic, partition=partition)))

        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                await put()
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        if batch.record_count():
            await put()
        return batches


async def acknowledged(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for all, then raise what failed. Unlike asyncio.gather it leaves them alone when cancelled."""
    if futures:
        await asyncio.wait(futures)
    for future in futures:
        future.result()


def published_ms(record: Any) -> int | None:
    """When the oldest event that a record follows from was published, ms since 1970: `at_ms` of `send`."""
    for name, value in record.headers:
        if name == "at":
            return int.from_bytes(value, "big")
    return None


class Unacknowledged:
    """Futures of records on their way, oldest first. Once one has failed, none of the later count."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._futures: list[asyncio.Future[Any]] = []
        self._failed: BaseException | None = None

    async def add(self, *futures: asyncio.Future[Any]) -> None:
        """Take futures in; waits while too many are on their way, and raises what failed."""
        self._futures += futures
        if len(self._futures) > self._most:
            await self.wait()

    async def wait(self) -> None:
        """Wait until Kafka has all of them; raises what failed, also what failed before."""
        if self._failed is not None:
            raise self._failed
        try:
            await acknowledged(self._futures)
        except Exception as error:
            self._failed = error
            raise
        self._futures = [future for future in self._futures if not future.done()]

    @property
    def empty(self) -> bool:
        """Whether Kafka has everything."""
        return self._failed is None and all(
            future.done() and not future.cancelled() and future.exception() is None
            for future in self._futures
        )
