"""Read a topic where no event loop runs; the consumer's own loop runs while a method waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from streams.broker.errors import KafkaUnreachable, RightsMissing
from streams.connections.bootstrap import Bootstrap
from streams.kafka.readers import new_reader
from streams.kafka.stopping import start, stop
from streams.rights import Right

AT_ONCE = 5_000
"""Records of a poll."""

FETCH_WAIT_MS = 50
"""How long Kafka holds a fetch where nothing is left; one of another partition waits behind it."""


class BlockingReader:
    """A consumer with all partitions of a topic assigned. It is a context manager.

    Every method raises KafkaUnreachable when Kafka cannot be reached or refuses a request, and RightsMissing
    when this process may not read the topic.
    """

    def __init__(self, bootstrap: Bootstrap, topic: str, partitions: int) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self.assigned: list[Any] = [TopicPartition(topic, p) for p in range(partitions)]
        self._consumer: Any = None

    def __enter__(self) -> BlockingReader:
        self._runner = asyncio.Runner()
        try:
            self._run(self._start())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            if self._consumer is not None:
                self._runner.run(stop(self._consumer))
        finally:
            self._runner.close()

    async def _start(self) -> None:
        self._consumer = new_reader(
            self._bootstrap, max_partition_fetch_bytes=4 << 20, fetch_max_wait_ms=FETCH_WAIT_MS
        )
        await start(self._consumer)
        self._consumer.assign(self.assigned)

    def _run(self, coroutine: Any) -> Any:
        try:
            return self._runner.run(coroutine)
        except TopicAuthorizationFailedError as error:
            raise RightsMissing(self._bootstrap, [Right("topic", self._topic, "Read")]) from error
        # with its broker away, aiokafka may raise CancelledError without having been cancelled
        except (KafkaError, asyncio.CancelledError) as error:
            raise KafkaUnreachable(
                f"Kafka at {self._bootstrap} does not answer about {self._topic}: {error!r}"
            ) from error

    def begins(self) -> dict[Any, int]:
        """Return the first offset of each partition."""
        begins: dict[Any, int] = self._run(self._consumer.beginning_offsets(self.assigned))
        return begins

    def ends(self) -> dict[Any, int]:
        """Return the offset after the last record of each partition that can be read now."""
        ends: dict[Any, int] = self._run(self._consumer.end_offsets(self.assigned))
        return ends

    def seek(self, offsets: dict[Any, int]) -> None:
        """Continue from these offsets."""

        async def seek() -> None:
            for tp, offset in offsets.items():
                self._consumer.seek(tp, offset)

        self._run(seek())

    def reached(self, ends: dict[Any, int]) -> set[Any]:
        """Return which of these partitions are read up to these offsets."""

        async def reached() -> set[Any]:
            return {tp for tp, end in ends.items() if await self._consumer.position(tp) >= end}

        there: set[Any] = self._run(reached())
        return there

    def read_only(self, tp: Any, offset: int) -> None:
        """Read this partition alone, from an offset on."""

        async def read_only() -> None:
            self._consumer.pause(*self.assigned)
            self._consumer.seek(tp, offset)
            self._consumer.resume(tp)

        self._run(read_only())

    def poll(self, timeout_ms: int) -> dict[Any, list[Any]]:
        """Return records by partition, waiting up to `timeout_ms` for a first one."""
        polled: dict[Any, list[Any]] = self._run(
            self._consumer.getmany(timeout_ms=timeout_ms, max_records=AT_ONCE)
        )
        return polled
