"""Sending to Kafka: many records in whole batches, and what is not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


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
    ) -> list[asyncio.Future[Any]]:
        """Hand over keys and values as whole batches."""
        futures = []
        batch = self._producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                futures.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        if batch.record_count():
            batch.close()
            futures.append(await self._producer.send_batch(batch, topic, partition=partition))
        return futures


class Unacknowledged:
    """Futures of records on their way, oldest first."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._futures: list[asyncio.Future[Any]] = []

    async def add(self, *futures: asyncio.Future[Any]) -> None:
        """Take futures in; waits while too many are on their way, and raises what failed."""
        self._futures += futures
        if len(self._futures) > self._most:
            await self.wait()

    async def wait(self) -> None:
        """Wait until Kafka has all of them."""
        futures, self._futures = self._futures, []
        if futures:
            await asyncio.gather(*futures)
