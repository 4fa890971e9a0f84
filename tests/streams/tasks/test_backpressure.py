"""With a slow broker or disk, or a burst, memory is bounded, and nothing is dropped."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from faust.types import TP

from alsobought import draining
from alsobought.draining import drain
from alsobought.options import CommandError
from state.messages.deltas import decode
from streams.broker.embedded import EmbeddedKafka
from streams.kafka import outbox
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, LISTED
from streams.messages.schema import Progress, encode
from streams.tasks import cycle, storing
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import as_event, purchases
from tests.oracles.counts import Oracle
from tests.streams.offline import PARTITIONS as OFFLINE_PARTITIONS
from tests.streams.offline import Broker, Offline, records_of, run
from tests.streams.pipeline import PARTITIONS, WAIT_S, Recommender, Wires, Worker, until
from tests.streams.test_pipeline import check, keyed

CHUNKS, CHUNK = 300, 10
EVENTS = TP(PURCHASES.name, 0)
MIB = 1 << 20


class _SlowDisk:
    """A store whose writes wait, in their thread, until `gate` is set."""

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
    """Hands chunks to the cycle one after the other while there is room, as the consumer does."""

    def __init__(self, worker: Offline) -> None:
        self.handed = 0
        self._worker = worker
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        events = records_of(purchases(1, customers=40, items=200, events=CHUNKS * CHUNK))
        for start in range(0, len(events), CHUNK):
            await self._worker.cycle.has_room.wait()
            self._worker.cycle.put([Chunk(EVENTS, start, start + CHUNK, events[start : start + CHUNK])])
            self.handed += 1
            await asyncio.sleep(0)


async def _standing_still(worker: Offline, feed: _Feed, task: CustomerTask) -> None:
    """Wait until neither feeding nor counting continues."""
    seen, since = (-1, -1, -1), time.monotonic()
    while time.monotonic() - since < 0.3:
        await asyncio.sleep(0.001)
        now = feed.handed, task.position, worker.broker.batches
        seen, since = now, since if now == seen else time.monotonic()


def _whole_and_in_order(broker: Broker) -> None:
    """Check that every partition got successive messages from the first offset to the last, once each."""
    for partition in range(OFFLINE_PARTITIONS):
        deltas = [decode(record.value or b"") for record in broker.logs[TP(PAIR_DELTAS.name, partition)]]
        assert [d.previous for d in deltas] == [0, *(d.end for d in deltas[:-1])]
        assert all(d.previous <= d.first < d.end for d in deltas)
        assert deltas[-1].end == CHUNKS * CHUNK


async def _counting(root: Path, *, at_once: bool) -> tuple[Offline, CustomerTask]:
    worker = Offline(root, Broker(at_once=at_once), {"watched_bought_days": 0})
    task = CustomerTask(EVENTS, worker.context, BOUGHT)
    await worker.open(task)
    return worker, task


def test_a_slow_broker_bounds_the_records_on_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_bytes, most_records = 20_000, 5 * CHUNK
    monkeypatch.setattr(outbox, "MOST_UNACKNOWLEDGED_BYTES", most_bytes)
    monkeypatch.setattr(cycle, "MOST_RECORDS", most_records)

    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=False)
        worker.run()
        feed = _Feed(worker)
        await worker.until(lambda: worker.outbox.unacknowledged_bytes >= most_bytes)
        await _standing_still(worker, feed, task)
        assert not feed.running.done()
        assert not worker.cycle.has_room.is_set()
        # each partition sends one batch, and the rest gathers
        assert len(worker.broker.waiting) == OFFLINE_PARTITIONS
        largest = 0
        while not feed.running.done() or worker.broker.waiting or task.progress("").applied < CHUNKS * CHUNK:
            # the cycle that used the last room may send everything that follows from the fetch
            largest = max(largest, worker.outbox.unacknowledged_bytes)
            assert feed.handed * CHUNK - task.position <= 2 * most_records
            assert task.saver.stored <= task.progress("").applied <= task.position
            if worker.broker.waiting:
                worker.broker.waiting.pop(0).acknowledge()
            await asyncio.sleep(0)
        assert most_bytes <= largest < 3 * most_bytes
        assert worker.outbox.unacknowledged_bytes == 0
        await worker.close(save=True)
        assert task.saver.stored == task.position == CHUNKS * CHUNK
        _whole_and_in_order(worker.broker)

    run(body())


def test_a_slow_disk_bounds_the_records_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most_records = 5 * CHUNK
    monkeypatch.setattr(storing, "SAVE_EVERY_S", 0.001)
    monkeypatch.setattr(cycle, "MOST_RECORDS", most_records)

    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=True)
        disk = task.saver.store = _SlowDisk(task.store)
        worker.run()
        feed = _Feed(worker)
        await worker.until(disk.writing.is_set)
        await _standing_still(worker, feed, task)
        assert not feed.running.done()
        assert not worker.cycle.has_room.is_set()
        assert feed.handed * CHUNK - task.position <= most_records
        assert task.progress("").stored == 0
        disk.gate.set()
        await worker.until(lambda: feed.running.done() and task.saver.stored == CHUNKS * CHUNK)
        await worker.close(save=True)
        _whole_and_in_order(worker.broker)

    run(body())


def test_events_are_held_back_while_deltas_pile_up_and_go_on_afterwards(tmp_path: Path) -> None:
    most = cycle.OUTSTANDING_MESSAGES * OFFLINE_PARTITIONS

    async def body() -> None:
        worker, _ = await _counting(tmp_path, at_once=True)
        items = ItemTask(TP(PAIR_DELTAS.name, 1), worker.context, BOUGHT)
        await worker.open(items)
        events = records_of(purchases(1, customers=40, items=200, events=(most + 2) * CHUNK))
        chunks = [
            Chunk(EVENTS, start, start + CHUNK, events[start : start + CHUNK])
            for start in range(0, len(events), CHUNK)
        ]
        for n, some in enumerate(chunks):
            await worker.once(some)
            await worker.once()
            assert worker.outbox.end_of(items.tp) == n + 1
            assert worker.cycle.holds_events == (n + 1 > most)
        records = worker.deltas(items.tp).records
        await worker.once(Chunk(items.tp, 0, 1, records[:1]))
        assert worker.cycle.holds_events  # one more is left than is allowed
        await worker.once(Chunk(items.tp, 1, 2, records[1:2]))
        assert not worker.cycle.holds_events
        await worker.close()

    run(body())


def test_records_that_a_lost_broker_had_not_acknowledged_are_counted_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=False)
        events = records_of(purchases(1, customers=40, items=200, events=CHUNKS * CHUNK))
        await worker.once(Chunk(EVENTS, 0, 1_000, events[:1_000]))
        worker.outbox._fail(OSError("the broker is gone"))
        with pytest.raises(OSError, match="the broker is gone"):
            await worker.outbox.room()
        for batch in worker.broker.waiting:
            batch.fail(OSError("the broker is gone"))
        with pytest.raises(OSError, match="the broker is gone"):
            await task.close(save=True)
        again, task = await _counting(tmp_path, at_once=True)
        assert task.position == 0
        await again.once(Chunk(EVENTS, 0, len(events), events))
        _whole_and_in_order(again.broker)
        await again.close()

    run(body())


# ---------------------------------------------------------------------- a burst, with everything real

CALM, BURST = 4_000, 40_000
PADDING = "x" * 4_000  # the size of each event, which makes a burst of 160 MB
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


def test_drain_distinguishes_counting_from_listing() -> None:
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


def test_drain_says_nothing_before_anybody_has_reported() -> None:
    reports = [
        [], [("purchases-0", 0)], [("purchases-0", 1)],
    ]  # fmt: skip

    def poll() -> list[SimpleNamespace]:
        return [
            SimpleNamespace(value=encode(Progress(task=task, worker="", applied=applied, stored=0)))
            for task, applied in reports.pop(0)
        ]

    said: list[str] = []
    follower: Any = SimpleNamespace(poll=poll)
    waiting = draining._Waiting(follower, time.monotonic() + 20, 20, said.append)
    waiting.until("all is counted", {"purchases-0": 1}, draining._uncounted)
    assert said == ["purchases-0: 1 event not counted yet"]
    waiting.until("what is known", {"purchases-0": 1}, draining._uncounted)  # without another report
    assert not reports


def test_drain_reports_which_task_is_missing(kafka: EmbeddedKafka) -> None:
    said: list[str] = []
    with pytest.raises(CommandError, match="until everything is counted, and it is not"):
        drain(kafka.bootstrap, LISTED, 0.0, said.append)
    names = [f"{topic}-{p}" for topic in ("purchases", "watches", "items") for p in range(PARTITIONS)]
    assert said[0] == f"no worker has reported for {', '.join(names)}: start one with `alsobought worker`"
