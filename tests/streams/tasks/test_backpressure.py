"""With a slow broker or disk memory is bounded, and nothing is dropped."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.messages.deltas import decode
from streams.kafka import outbox
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT
from streams.tasks import intake, storing
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import purchases
from tests.streams.offline import PARTITIONS as OFFLINE_PARTITIONS
from tests.streams.offline import Broker, Offline, records_of, run
from tests.streams.pipeline import WAIT_S

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

    def __init__(self, worker: Offline, goes_on: asyncio.Event | None = None) -> None:
        self.handed = 0
        self._worker = worker
        self._goes_on = goes_on  # nothing but the first chunk is handed before
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        events = records_of(purchases(1, customers=40, items=200, events=CHUNKS * CHUNK))
        for start in range(0, len(events), CHUNK):
            await self._worker.cycle.intake.has_room.wait()
            self._worker.cycle.put([Chunk(EVENTS, start, start + CHUNK, events[start : start + CHUNK])])
            self.handed += 1
            await asyncio.sleep(0)
            if self._goes_on is not None:
                await self._goes_on.wait()


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
    monkeypatch.setattr(intake, "MOST_RECORDS", most_records)

    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=False)
        worker.run()
        feed = _Feed(worker)
        await worker.until(lambda: worker.outbox.unacknowledged_bytes >= most_bytes)
        await _standing_still(worker, feed, task)
        assert not feed.running.done()
        assert not worker.cycle.intake.has_room.is_set()
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
    monkeypatch.setattr(intake, "MOST_RECORDS", most_records)

    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=True)
        disk = task.saver.store = _SlowDisk(task.store)
        worker.run()
        # otherwise there may be something on its way to Kafka in every cycle, so that nothing is stored
        goes_on = asyncio.Event()
        feed = _Feed(worker, goes_on)
        await worker.until(disk.writing.is_set)
        goes_on.set()
        await _standing_still(worker, feed, task)
        assert not feed.running.done()
        assert not worker.cycle.intake.has_room.is_set()
        assert feed.handed * CHUNK - task.position <= most_records
        assert task.progress("").stored == 0
        disk.gate.set()
        await worker.until(lambda: feed.running.done() and task.saver.stored == CHUNKS * CHUNK)
        await worker.close(save=True)
        _whole_and_in_order(worker.broker)

    run(body())


def test_events_are_held_back_while_deltas_pile_up_and_go_on_afterwards(tmp_path: Path) -> None:
    most = intake.OUTSTANDING_MESSAGES * OFFLINE_PARTITIONS

    async def body() -> None:
        worker, task = await _counting(tmp_path, at_once=True)
        items = ItemTask(TP(PAIR_DELTAS.name, 1), worker.context, BOUGHT)
        await worker.open(items)
        events = records_of(purchases(1, customers=40, items=200, events=(most + 5) * CHUNK))
        made = [
            Chunk(EVENTS, start, start + CHUNK, events[start : start + CHUNK])
            for start in range(0, len(events), CHUNK)
        ]
        chunks, more = made[: most + 1], made[most + 1 :]
        for n, some in enumerate(chunks):
            await worker.once(some)
            await worker.once()
            assert worker.outbox.end_of(items.tp) == n + 1
            assert worker.cycle.intake.holds_events == (n + 1 > most)
        for some in more:  # what was fetched already waits, too
            await worker.once(some)
        assert task.position == chunks[-1].end
        assert worker.cycle.intake.has_room.is_set()  # for deltas, as events are not fetched
        (record, *_) = worker.deltas(items.tp).records
        await worker.once(Chunk(items.tp, 0, 1, [record]))
        assert not worker.cycle.intake.holds_events
        await worker.once()
        assert task.position == more[-1].end
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
