"""A worker's Kafka consumer that is not started: its thread answers what the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from streams.kafka.transport import Consumer, ConsumerThread, Transport
from streams.topics import PAIR_DELTAS, PURCHASES

WAIT_S = 20.0
TP0, TP1 = TP(PURCHASES.name, 0), TP(PAIR_DELTAS.name, 1)


class _App(faust.App):  # type: ignore[misc]
    """A stand-in for the worker's app, with the test's tasks."""

    tasks: Any

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def _later(*_args: object) -> None:
    """Call no callback."""


@contextmanager
def _unstarted(tmp_path: Path) -> Iterator[Consumer]:
    """Return the consumer."""
    app = _App("test", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), autodiscover=False)
    consumer = app.transport.create_consumer(
        callback=_later, on_partitions_revoked=_later, on_partitions_assigned=_later
    )
    assert isinstance(consumer, Consumer)
    assert isinstance(consumer._thread, ConsumerThread)
    try:
        yield consumer
    finally:
        consumer._thread.thread_loop.close()


def run(tmp_path: Path, body: Callable[[Consumer], Awaitable[None]]) -> None:
    """Run `body` with such a consumer."""

    async def main() -> None:
        with _unstarted(tmp_path) as consumer:
            async with asyncio.timeout(WAIT_S):
                await body(consumer)

    asyncio.run(main())
