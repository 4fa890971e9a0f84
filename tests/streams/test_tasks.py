"""A task without Kafka: what is stored, and when, while sending is slow, fails or is torn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from faust.types import TP

from state.saving import stored_position
from state.store import RocksStore
from streams.context import Context
from streams.customer_task import CustomerTask
from streams.kinds import BOUGHT
from streams.lease import Lease
from streams.opening import Stores
from streams.settings import Settings
from streams.tasks import INBOX_CHUNKS, Torn
from streams.topics import FIRST_EVENTS, PAIR_DELTAS, PURCHASES
from streams.transport import Chunk
from tests.events import purchases
from tests.streams.pipeline import EmptyTopics

PARTITIONS = 3
MESSAGES = PARTITIONS + 1  # of a chunk: deltas, and what it brought into histories
WAIT_S = 20.0


@dataclass
class _Record:
    offset: int
    key: bytes
    value: bytes
    timestamp: int = 1_800_000_000_000  # of publishing
    timestamp_type: int = 1
    headers: tuple[Any, ...] = ()


class _Outbox:
    """Kafka as slow as the test wants: futures are resolved by hand. From `breaks_at` on it takes nothing."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.sent: list[tuple[str, asyncio.Future[Any]]] = []
        self._breaks_at = breaks_at

    async def send(self, topic: str, *_args: object) -> asyncio.Future[Any]:
        if self._breaks_at is not None and len(self.sent) >= self._breaks_at:
            raise OSError("the broker takes nothing")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent.append((topic, future))
        return future

    def acknowledge(self) -> None:
        for _, future in self.sent:
            if not future.done():
                future.set_result(None)


def _task(root: Path, outbox: _Outbox) -> CustomerTask:
    lease = Lease(3600)
    lease.confirm()
    settings = Settings.model_validate({"data_dir": root})
    context = Context(
        settings, outbox, PARTITIONS, Stores(root / "state", None, lambda _topic: ""), lease,  # type: ignore[arg-type]
        EmptyTopics(), None,  # type: ignore[arg-type]
        lambda _tp: True,
    )  # fmt: skip
    return CustomerTask(TP(PURCHASES.name, 0), context, BOUGHT)


def _chunk(n: int, start: int = 0) -> Chunk:
    events = purchases(1, customers=10, items=50, events=start + n)[start:]
    records = [
        _Record(start + i, event.customer_id.encode(), msgspec.json.encode(event))
        for i, event in enumerate(events)
    ]
    return Chunk(TP(PURCHASES.name, 0), start, start + n, records)


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


def _stored(root: Path) -> int:
    """Position of the closed store."""
    store = RocksStore(root / "state" / "purchases-0" / "1")
    position = stored_position(store)
    assert position > 0 or not list(store.scan(b""))  # nothing half
    store.close()
    return position


def _run(body: Awaitable[None]) -> None:
    async def main() -> None:
        await body

    asyncio.run(main())


def test_nothing_is_stored_before_kafka_has_the_deltas(tmp_path: Path) -> None:
    async def body() -> None:
        outbox = _Outbox()
        task = _task(tmp_path, outbox)
        await task.open(0)
        task.start()
        await task.handle(_chunk(200))
        await _until(lambda: len(outbox.sent) == MESSAGES)
        assert {topic for topic, _ in outbox.sent} == {PAIR_DELTAS.name, FIRST_EVENTS.name}
        await _until(task.lock.locked)  # the saving loop, which waits for what was sent
        assert task.position == 200
        assert task.progress("").applied == 0  # not told as counted before it is in Kafka
        assert list(task.store.scan(b"")) == []
        outbox.acknowledge()
        await _until(lambda: task.saver.stored == 200)
        assert list(task.store.scan(b"H"))
        assert task.progress("").applied == 200
        await task.close(save=False)
        assert _stored(tmp_path) == 200

    _run(body())


def test_what_could_not_be_sent_is_not_stored_when_the_worker_stops(tmp_path: Path) -> None:
    async def body() -> None:
        outbox = _Outbox()
        task = _task(tmp_path, outbox)
        await task.open(0)
        task.start()
        await task.handle(_chunk(100))
        await _until(lambda: len(outbox.sent) == MESSAGES)
        outbox.sent[1][1].set_exception(OSError("no answer in time"))
        outbox.acknowledge()
        await _until(task.failed)
        with pytest.raises(OSError, match="no answer in time"):
            await task.close(save=True)
        assert _stored(tmp_path) == 0

    _run(body())


def test_a_chunk_sent_in_part_is_not_stored(tmp_path: Path) -> None:
    async def body() -> None:
        outbox = _Outbox(breaks_at=MESSAGES + 1)
        task = _task(tmp_path, outbox)
        await task.open(0)
        task.start()
        await task.handle(_chunk(100))
        await _until(lambda: len(outbox.sent) == MESSAGES)
        outbox.acknowledge()
        await _until(lambda: task.saver.stored == 100)
        await task.handle(_chunk(100, start=100))
        await _until(task.failed)
        outbox.acknowledge()
        assert task.position == 200  # the machine has it, Kafka does not
        assert task.progress("").applied == 100
        saving = task._loops[1]
        await _until(saving.done)
        assert isinstance(saving.exception(), Torn)
        await task.close(save=True)
        assert _stored(tmp_path) == 100

    _run(body())


def test_a_stop_in_the_middle_of_a_chunk_waits_for_its_end(tmp_path: Path) -> None:
    async def body() -> None:
        outbox = _Outbox()
        task = _task(tmp_path, outbox)
        await task.open(0)
        task.start()
        gate, send = asyncio.Event(), outbox.send

        async def slowly(topic: str, *args: object) -> asyncio.Future[Any]:
            await gate.wait()
            return await send(topic, *args)

        outbox.send = slowly  # type: ignore[method-assign]
        await task.handle(_chunk(100))
        await _until(lambda: task.position == 100)
        closing = asyncio.create_task(task.close(save=True))
        await asyncio.sleep(0)
        assert not outbox.sent
        gate.set()
        await _until(lambda: len(outbox.sent) == MESSAGES)
        outbox.acknowledge()
        await closing
        assert _stored(tmp_path) == 100

    _run(body())


def test_who_hands_over_a_chunk_does_not_wait_for_a_task_that_is_closed(tmp_path: Path) -> None:
    """Its topic has one reader for all partitions, which would wait for ever after a rebalance."""

    async def body() -> None:
        outbox = _Outbox()
        task = _task(tmp_path, outbox)
        task.context.lease._confirmed_at = float("-inf")
        await task.open(0)
        task.start()
        await task.handle(_chunk(10))
        await _until(task._inbox.empty)  # taken out, and held back
        for start in range(10, 10 * (INBOX_CHUNKS + 1), 10):
            await task.handle(_chunk(10, start))
        waits = asyncio.create_task(task.handle(_chunk(10, 10 * (INBOX_CHUNKS + 1))))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waits.done()
        await task.close(save=False)
        async with asyncio.timeout(WAIT_S):
            await waits

    _run(body())


def test_a_worker_without_lease_counts_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        outbox = _Outbox()
        task = _task(tmp_path, outbox)
        task.context.lease._confirmed_at = float("-inf")
        await task.open(0)
        task.start()
        await task.handle(_chunk(50))
        await _until(task._inbox.empty)
        for _ in range(50):
            await asyncio.sleep(0)
        assert task.position == 0
        assert not outbox.sent
        task.context.lease.confirm()
        await _until(lambda: len(outbox.sent) == MESSAGES)
        assert task.position == 50
        outbox.acknowledge()
        await task.close(save=False)

    _run(body())
