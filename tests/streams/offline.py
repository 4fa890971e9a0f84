"""A worker without Kafka: the real outbox, cycle, tasks and stores, over a broker that a test controls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.errors import KafkaConnectionError
from aiokafka.record.default_records import DefaultRecordBatch
from faust.types import TP

from state.storage.rocks_store import RocksStore
from state.storage.saving import stored_position
from streams.kafka.lease import Lease
from streams.kafka.outbox import Outbox
from streams.kafka.transport import Chunk
from streams.kinds import BUILT_IN
from streams.messages.checks import LOG_APPEND_TIME
from streams.messages.record_batches import RecordBatch
from streams.messages.schema import COUNTED, CountedMessage, EventMessage, encode
from streams.settings import Settings
from streams.stores.opening import Stores
from streams.tasks.context import Context
from streams.tasks.cycle import Cycle
from streams.tasks.items import ItemTask
from streams.tasks.task import Task
from tests.events import purchases

PARTITIONS = 3
WAIT_S = 20.0
NOW_MS = 1_800_000_000_000
_POPULARITY = {kind.deltas.name: kind.popularity.name for kind in BUILT_IN}


@dataclass
class Sent:
    """A record, with what a reader of its partition gets."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS
    timestamp_type: int = LOG_APPEND_TIME
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Batch:
    """A batch on its way, which a test acknowledges or lets fail."""

    tp: TP
    records: list[Sent]
    acknowledged: asyncio.Future[Any]

    def acknowledge(self) -> None:
        """Acknowledge the batch: Kafka has it."""
        self.acknowledged.set_result(SimpleNamespace(offset=self.records[0].offset))

    def fail(self, error: Exception) -> None:
        """Let the batch fail: it could not be sent."""
        self.acknowledged.set_exception(error)


class Broker:
    """A stand-in for aiokafka's producer: it acknowledges batches at once, or when a test says so.

    Attributes
    ----------
    logs
        What was taken by partition, acknowledged or not.
    waiting : list[Batch]
        The batches that are not acknowledged.
    breaks : Exception | None
        What `send_batch` raises from now on.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.logs: dict[TP, list[Sent]] = {}
        self.waiting: list[Batch] = []
        self.batches = 0
        self.breaks: Exception | None = None

    async def send_batch(self, batch: RecordBatch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Take a batch, as `AIOKafkaProducer.send_batch` does."""
        if self.breaks is not None:
            raise self.breaks
        tp = TP(topic, partition)
        log = self.logs.setdefault(tp, [])
        records = [
            Sent(len(log) + record.offset, record.key, record.value, headers=record.headers)
            for record in DefaultRecordBatch(bytearray(batch._build()))
        ]
        log += records
        self.batches += 1
        taken = Batch(tp, records, asyncio.get_running_loop().create_future())
        if self.at_once:
            taken.acknowledge()
        else:
            self.waiting.append(taken)
        return taken.acknowledged

    def acknowledge(self, topic: str | None = None) -> None:
        """Acknowledge the waiting batches of one topic or of all."""
        for batch in list(self.waiting):
            if topic is None or batch.tp.topic == topic:
                self.waiting.remove(batch)
                batch.acknowledge()

    def of(self, topic: str) -> list[Sent]:
        """Return what was taken of a topic, partition by partition."""
        return [record for tp in sorted(self.logs) if tp.topic == topic for record in self.logs[tp]]


class Reader:
    """A stand-in for a `TopicReader`, which reads what a `Broker` has."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.away = False  # whether no end can be asked for

    async def end_of(self, tp: TP) -> int:
        """Return the offset that the next record of a partition gets; raise an error of Kafka if away."""
        if self.away:
            raise KafkaConnectionError("away")
        return len(self._broker.logs.get(tp, []))

    async def keys(self, tp: TP, start: int, end: int) -> set[bytes]:
        """Return the keys at offsets [start, end)."""
        return {record.key for record in self._broker.logs.get(tp, [])[start:end] if record.key}

    async def close(self) -> None:
        """Do nothing, because nothing is open."""


@dataclass
class Offline:
    """A worker's cycle with the tasks that a test opens.

    Attributes
    ----------
    threads
        In how many threads its machines compute.
    owned
        The partitions that the worker owns; all by default.
    sought
        The partitions that are to be read again, and from where.
    """

    root: Path
    broker: Broker = field(default_factory=Broker)
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    owned: Callable[[TP], bool] = lambda _tp: True
    sought: list[tuple[TP, int]] = field(default_factory=list)
    tasks: dict[TP, Task] = field(default_factory=dict)
    _read: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lease = Lease(3600)
        self.lease.confirm()
        self.outbox = Outbox(self.broker)
        self.reader = Reader(self.broker)
        self.context = Context(
            Settings.model_validate({"data_dir": self.root, **self.settings}), self.outbox, PARTITIONS,
            Stores(self.root / "state", None, lambda _topic: "counted 1"), self.lease,
            self.reader,  # type: ignore[arg-type]
            lambda tp: self.owned(tp),
        )  # fmt: skip
        self.cycle = Cycle(self.tasks, self.context.owns, self._seek, threads=self.threads)
        self.cycling: asyncio.Task[None] | None = None

    async def _seek(self, tp: TP, offset: int) -> None:
        self.sought.append((tp, offset))

    async def open(self, task: Task) -> None:
        """Open a task, as a worker does; its output partition is known before the first cycle."""
        await task.open(0)
        task.unacknowledged.add(task.position, self.outbox.send_all(task.begin()))
        if isinstance(task, ItemTask):
            await task.refresher.foreign.look_once()
        self.tasks[task.tp] = task
        task.start()

    async def once(self, *chunks: Chunk) -> None:
        """Run one cycle with what was fetched; then let the outbox send, and process acknowledgements.

        Without chunks it is a cycle after nothing came for a while.
        """
        self.cycle.put(chunks)
        if not chunks:
            self.cycle._fetched_at = float("-inf")
        async with self.context.lock:
            await self.cycle._cycle(self.context)
        await self.cycle._sending.read_again()
        await self.settle()

    async def settle(self) -> None:
        """Let all coroutines run that wait for nothing."""
        self.read_popularity()
        for _ in range(20):
            await asyncio.sleep(0)

    def read_popularity(self) -> None:
        """Take in published popularity; partitions without a task here count as settled for ever."""
        for topic, deltas in {
            (_POPULARITY[tp.topic], tp.topic) for tp in self.tasks if tp.topic in _POPULARITY
        }:
            for partition in range(PARTITIONS):
                records = self.broker.logs.get(TP(topic, partition), [])
                if TP(deltas, partition) not in self.tasks:
                    records = [*records, Sent(len(records), COUNTED, encode(CountedMessage(0, 1 << 62, [])))]
                done = self._read.get((topic, partition), 0)
                self._read[topic, partition] = len(records)
                self.context.others.take(
                    topic,
                    [SimpleNamespace(key=r.key, value=r.value, partition=partition) for r in records[done:]],
                )

    def run(self) -> None:
        """Run cycles as a worker does, in the background."""
        self.cycling = asyncio.create_task(self.cycle.run(self.context))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition; raise the error of a cycle that fails."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                if self.cycling is not None and self.cycling.done():
                    self.cycling.result()
                self.read_popularity()
                await asyncio.sleep(0.001)

    async def halt(self) -> None:
        """Stop the cycles, between two of them."""
        if self.cycling is not None:
            async with self.context.lock:
                self.cycling.cancel()
                await asyncio.wait({self.cycling})

    async def close(self, *, save: bool = False) -> None:
        """Close all tasks, the cycle and the outbox."""
        await self.halt()
        for tp in list(self.tasks):
            await self.tasks.pop(tp).close(save=save)
        self.cycle.close()

    def deltas(self, tp: TP, start: int = 0) -> Chunk:
        """Return what the broker has of a partition from an offset on, as fetched."""
        records = self.broker.logs.get(tp, [])[start:]
        return Chunk(tp, start, start + len(records), list(records))

    def stored(self, tp: TP) -> int:
        """Return the position of a closed store."""
        store = RocksStore(self.root / "state" / f"{tp.topic}-{tp.partition}" / "1")
        position = stored_position(store)
        assert position > 0 or not list(store.scan(b""))  # nothing is stored in part
        store.close()
        return position


def records_of(events: Iterable[EventMessage], start: int = 0) -> list[Sent]:
    """Return events as records, from an offset on."""
    return [
        Sent(start + i, event.customer_id.encode(), msgspec.json.encode(event))
        for i, event in enumerate(events)
    ]


def chunk(tp: TP, n: int, start: int = 0, *, customers: int = 10, items: int = 50) -> Chunk:
    """Return a chunk of purchases: `n` of a log, from offset `start` on."""
    events = purchases(1, customers, items, 4_000)[start : start + n]
    return Chunk(tp, start, start + n, records_of(events, start))


def run(body: Awaitable[None]) -> None:
    """Run a test's body."""

    async def main() -> None:
        async with asyncio.timeout(3 * WAIT_S):
            await body

    asyncio.run(main())
