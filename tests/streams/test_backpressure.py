"""A slow broker, a slow disk, a burst: memory is bounded, nothing is dropped, `drain` says what is left."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from faust.types import TP

from alsobought import draining
from alsobought.draining import drain
from alsobought.options import CommandError
from state.deltas import decode
from streams import tasks
from streams.broker.embedded import EmbeddedKafka
from streams.context import Context
from streams.customer_task import CustomerTask
from streams.kinds import BOUGHT, LISTED
from streams.lease import Lease
from streams.messages import Progress
from streams.opening import Stores
from streams.outbox import Unacknowledged
from streams.settings import Settings
from streams.tasks import INBOX_CHUNKS
from streams.topics import PAIR_DELTAS, PURCHASES
from streams.transport import Chunk
from tests.events import as_event, purchases
from tests.oracle import Oracle
from tests.streams.pipeline import PARTITIONS, WAIT_S, EmptyTopics, Recommender, Wires, Worker, until
from tests.streams.test_pipeline import check, keyed

CHUNKS, CHUNK = 300, 10
MIB = 1 << 20


class _Record:
    timestamp = 1_800_000_000_000
    timestamp_type = 1
    headers = ()

    def __init__(self, offset: int, key: bytes, value: bytes) -> None:
        self.offset, self.key, self.value = offset, key, value


class _SlowBroker:
    """Takes records at once, and acknowledges them when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.waiting: list[asyncio.Future[None]] = []

    async def send(
        self, topic: str, partition: int, _key: None, value: bytes, _at_ms: int
    ) -> asyncio.Future[None]:
        assert topic == PAIR_DELTAS.name
        self.sent.append((partition, value))
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def acknowledge(self, n: int) -> None:
        for future in self.waiting[:n]:
            future.set_result(None)
        del self.waiting[:n]


class _SlowDisk:
    """A store whose writes wait, in their thread, until `gate` is open."""

    def __init__(self, store: Any) -> None:
        self.gate, self.writing = threading.Event(), threading.Event()
        self._store = store

    def write(self, records: Any) -> None:
        self.writing.set()
        assert self.gate.wait(WAIT_S)
        self._store.write(records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Feed:
    """Hands chunks to a task one after the other, as its agent does."""

    def __init__(self, task: CustomerTask) -> None:
        self.handed = 0
        self._task = task
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        events = purchases(1, customers=40, items=200, events=CHUNKS * CHUNK)
        for start in range(0, len(events), CHUNK):
            records = [
                _Record(start + i, event.customer_id.encode(), msgspec.json.encode(event))
                for i, event in enumerate(events[start : start + CHUNK])
            ]
            await self._task.handle(Chunk(self._task.tp, start, start + CHUNK, records))
            self.handed += 1

    @property
    def kept(self) -> int:
        """Chunks that were taken in and are not counted."""
        return self.handed - self._task.position // CHUNK


def _task(root: Path, broker: _SlowBroker) -> CustomerTask:
    lease = Lease(3600)
    lease.confirm()
    context = Context(
        Settings.model_validate({"data_dir": root, "watched_bought_days": 0}), broker, PARTITIONS,  # type: ignore[arg-type]
        Stores(root / "state", None, lambda _topic: ""), lease, EmptyTopics(), None,  # type: ignore[arg-type]
        lambda _tp: True,
    )  # fmt: skip
    return CustomerTask(TP(PURCHASES.name, 0), context, BOUGHT)


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def _standing_still(feed: _Feed, broker: _SlowBroker) -> None:
    """Wait until neither feeding nor counting goes on."""
    seen, same = (-1, -1), 0
    while same < 50:
        await asyncio.sleep(0.001)
        now = feed.handed, len(broker.sent)
        seen, same = now, same + 1 if now == seen else 0


def _whole_and_in_order(sent: Sequence[tuple[int, bytes]]) -> None:
    """Every partition got messages that follow one another from the first offset to the last, once."""
    for partition in range(PARTITIONS):
        deltas = [decode(value) for to, value in sent if to == partition]
        assert [d.first for d in deltas] == [0, *(d.end for d in deltas[:-1])]
        assert deltas[-1].end == CHUNKS * CHUNK


def _run(body: Awaitable[None]) -> None:
    async def main() -> None:
        await body

    asyncio.run(main())


def test_a_slow_broker_bounds_what_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "SAVE_EVERY_S", 3600)  # a save would stop it even earlier
    most = Unacknowledged()._most + PARTITIONS

    async def body() -> None:
        broker = _SlowBroker()
        task = _task(tmp_path, broker)
        await task.open(0)
        task.start()
        feed = _Feed(task)
        await _until(lambda: len(broker.waiting) > most - PARTITIONS)
        await _standing_still(feed, broker)
        assert not feed.running.done()
        while not feed.running.done() or task.busy:
            assert len(broker.waiting) <= most
            assert feed.kept <= INBOX_CHUNKS + 1  # one is at hand
            assert task._inbox.qsize() <= INBOX_CHUNKS
            broker.acknowledge(3)
            await asyncio.sleep(0)
        broker.acknowledge(len(broker.waiting))
        await task.close(save=True)
        assert task.saver.stored == task.position == CHUNKS * CHUNK
        _whole_and_in_order(broker.sent)

    _run(body())


def test_a_slow_disk_bounds_what_is_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "SAVE_EVERY_S", 0.001)

    async def body() -> None:
        broker = _SlowBroker()
        task = _task(tmp_path, broker)
        await task.open(0)
        disk = task.saver.store = _SlowDisk(task.store)
        task.start()
        feed = _Feed(task)

        async def acknowledge_at_once() -> None:
            while True:
                broker.acknowledge(len(broker.waiting))
                await asyncio.sleep(0)

        acknowledging = asyncio.create_task(acknowledge_at_once())
        await _until(disk.writing.is_set)
        await _standing_still(feed, broker)
        assert not feed.running.done()
        assert feed.kept <= INBOX_CHUNKS + 1
        assert task.progress("").stored == 0
        disk.gate.set()
        await _until(lambda: feed.running.done() and task.saver.stored == CHUNKS * CHUNK)
        acknowledging.cancel()
        await task.close(save=True)
        _whole_and_in_order(broker.sent)

    _run(body())


# ---------------------------------------------------------------------- a burst, with everything real

CALM, BURST = 4_000, 40_000
PADDING = "x" * 4_000  # of each event: a burst of 160 MB
BOUND_MIB = 80
"""What a worker may need beyond what it needed before, whatever waits in Kafka: half of the burst.

Fetched are 1 MiB a partition and what is asked for next, and as much again as chunks; the state is 2 MB.
Measured: 23 MiB.
"""


def _uncounted(task: str, said: list[str]) -> bool:
    return any(f"{task}: " in left and "not counted yet" in left for left in said)


@pytest.mark.timeout(900)
def test_a_burst_while_a_worker_stands_still(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    events = purchases(1, customers=400, items=200, events=CALM + BURST)
    for event in events:
        event.basket_id = PADDING
    worker = Worker(kafka.bootstrap, tmp_path / "data", session_ms="19000")
    recommender = Recommender(kafka.bootstrap, tmp_path / "data")
    process = psutil.Process(worker.process.pid)
    said: list[str] = []
    drained: list[Any] = []
    try:
        wires.publish(PURCHASES.name, keyed(events[:CALM]))
        wires.drain()
        before = peak = process.memory_info().rss

        process.send_signal(signal.SIGSTOP)
        wires.publish(PURCHASES.name, keyed(events[CALM:]))
        waiting = threading.Thread(
            target=lambda: drained.append(drain(kafka.bootstrap, LISTED, 4 * WAIT_S, said.append)),
            daemon=True,
        )
        waiting.start()
        until(lambda: said, "a word from drain")
        assert "no worker has reported for purchases-0" in said[0]
        process.send_signal(signal.SIGCONT)

        def done() -> bool:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            waiting.join(0.05)
            return not waiting.is_alive()

        until(done, "the burst to be counted", 5 * WAIT_S)
        assert drained[0].records[PURCHASES.name] == CALM + BURST
        assert any(_uncounted(f"{PURCHASES.name}-{p}", said) for p in range(PARTITIONS))
        check(wires.lists(), Oracle(50).feed(as_event(event) for event in events))
        assert (peak - before) / MIB < BOUND_MIB
    finally:
        if process.is_running():
            process.send_signal(signal.SIGCONT)
            worker.stop()
        recommender.stop()


def test_drain_tells_counting_from_listing() -> None:
    progress = Progress(task="pair-deltas-2", worker="", applied=1_000, stored=0, listed=900)
    said = [draining._unlisted(progress.task, target, progress) for target in (900, 1_001, 1_002, 2_236)]
    assert said == [
        "",
        "pair-deltas-2: lists not refreshed yet",
        "pair-deltas-2: 1 message not counted yet",
        "pair-deltas-2: 1,235 messages not counted yet",
    ]
    progress = Progress(task="purchases-3", worker="", applied=1_000, stored=0)
    assert draining._uncounted(progress.task, 1_000, progress) == ""
    assert draining._uncounted(progress.task, 2_234, progress) == "purchases-3: 1,234 events not counted yet"


def test_drain_says_who_is_missing(kafka: EmbeddedKafka) -> None:
    said: list[str] = []
    with pytest.raises(CommandError, match="until everything is counted, and it is not"):
        drain(kafka.bootstrap, LISTED, 0.0, said.append)
    names = [f"{topic}-{p}" for topic in ("purchases", "watches", "items") for p in range(PARTITIONS)]
    assert said[0] == f"no worker has reported for {', '.join(names)}: start one with `alsobought worker`"
