"""Tests of a worker without Kafka: what is stored, and when, while sending is slow, fails or is
interrupted.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.messages.deltas import decode
from state.storage.saving import Pace
from streams.kafka.outbox import OutboxClosed
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, BUILT_IN
from streams.tasks import storing
from streams.tasks.catalogue import CatalogueTask
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.task import Torn
from streams.topics import HISTORY_CHANGES, ITEMS, PAIR_DELTAS, PURCHASES
from tests.streams.offline import NOW_MS, PARTITIONS, Broker, Offline, Sent, chunk, run

EVENTS, DELTAS = TP(PURCHASES.name, 0), TP(PAIR_DELTAS.name, 0)
MESSAGES = PARTITIONS + 1  # messages of a chunk: deltas, and history changes


@pytest.fixture(autouse=True)
def _save_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(storing, "SAVES_AT_ONCE_S", 3600.0)
    monkeypatch.setattr(Pace, "share", lambda _pace, _done: 1.0)  # each step writes the whole sweep


async def _worker(root: Path, *, at_once: bool = False, **settings: Any) -> tuple[Offline, CustomerTask]:
    worker = Offline(root, Broker(at_once=at_once), settings)
    task = CustomerTask(EVENTS, worker.context, BOUGHT)
    await worker.open(task)
    task.machine.silent = False  # as if somebody had watched something
    return worker, task


def test_nothing_is_stored_before_kafka_has_the_deltas(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path)
        await worker.once(chunk(EVENTS, 200))
        assert {batch.tp.topic for batch in worker.broker.waiting} == {PAIR_DELTAS.name, HISTORY_CHANGES.name}
        assert len(worker.broker.waiting) == MESSAGES
        for _ in range(MESSAGES):  # acknowledging all but one is not enough
            await worker.once()
            assert task.position == 200
            assert task.progress("").applied == 0  # it is not reported as counted before it is in Kafka
            assert list(task.store.scan(b"")) == []
            worker.broker.waiting.pop().acknowledge()
        await worker.settle()
        await worker.once()
        assert task.saver.stored == 200
        assert list(task.store.scan(b"H"))
        assert task.progress("").applied == 200
        await worker.close()
        assert worker.stored(EVENTS) == 200

    run(body())


def test_unsent_records_are_not_stored_when_the_worker_stops(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path)
        worker.run()
        worker.cycle.put([chunk(EVENTS, 100)])
        await worker.until(lambda: len(worker.broker.waiting) == MESSAGES)
        worker.broker.waiting.pop(1).fail(OSError("no answer in time"))
        worker.broker.acknowledge()
        assert worker.cycling is not None
        with pytest.raises(OSError, match="no answer in time"):  # the worker notices
            await worker.cycling
        with pytest.raises(OSError, match="no answer in time"):
            task.progress("")
        with pytest.raises(OSError, match="no answer in time"):
            await task.close(save=True)
        assert worker.stored(EVENTS) == 0

    run(body())


def test_a_stop_waits_for_records_on_their_way_and_stores(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path)
        await worker.once(chunk(EVENTS, 100))
        closing = asyncio.create_task(worker.close(save=True))
        await worker.settle()
        assert not closing.done()
        assert task.saver.stored == 0
        worker.broker.acknowledge()
        await closing
        assert worker.stored(EVENTS) == 100

    run(body())


def test_records_that_kafka_does_not_take_are_not_stored(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 100))
        await worker.once()
        assert task.saver.stored == 100
        worker.broker.breaks = OSError("the broker takes nothing")

        async def cycles_of_two() -> None:  # the failure is noticed in the cycle that sends, or in the next
            await worker.once(chunk(EVENTS, 100, 100))
            await worker.once()

        with pytest.raises(OSError, match="takes nothing"):
            await cycles_of_two()
        assert task.position == 200  # the machine has applied it, but Kafka does not have it
        with pytest.raises(OSError, match="takes nothing"):
            await task.close(save=True)
        assert worker.stored(EVENTS) == 100

    run(body())


def test_a_chunk_applied_in_part_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 100))
        await worker.once()
        apply = task.machine.apply

        def torn(batch: Any) -> Any:
            apply(batch)
            raise MemoryError("in the middle")

        monkeypatch.setattr(task.machine, "apply", torn)
        worker.run()
        worker.cycle.put([chunk(EVENTS, 100, 100)])
        assert worker.cycling is not None
        with pytest.raises(MemoryError, match="in the middle"):
            await worker.cycling
        assert task.position == 200
        assert task.progress("").applied == 100
        with pytest.raises(Torn, match="in the middle of a chunk"):
            _ = task.may_be_stored
        await task.close(save=True)
        assert worker.stored(EVENTS) == 100

    run(body())


def test_chunks_applied_before_another_task_failed_are_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are in the same cycle, so what followed from the first was not sent."""

    async def body() -> None:
        worker, first = await _worker(tmp_path, at_once=True)
        second = CustomerTask(TP(PURCHASES.name, 1), worker.context, BOUGHT)
        await worker.open(second)

        def fails(_batch: Any) -> Any:
            raise MemoryError

        monkeypatch.setattr(second.machine, "apply", fails)
        with pytest.raises(MemoryError):
            await worker.once(chunk(first.tp, 100), chunk(second.tp, 100))
        assert first.position == 100
        assert not first.may_be_stored
        await worker.close(save=True)
        assert worker.stored(first.tp) == worker.stored(second.tp) == 0

    run(body())


def test_a_stop_in_the_middle_of_a_cycle_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        applying, go_on, apply = threading.Event(), threading.Event(), task.machine.apply

        def slowly(batch: Any) -> Any:
            applying.set()
            assert go_on.wait(20)
            return apply(batch)

        monkeypatch.setattr(task.machine, "apply", slowly)
        worker.run()
        worker.cycle.put([chunk(EVENTS, 100)])
        await worker.until(applying.is_set)
        closing = asyncio.create_task(worker.close(save=True))
        await worker.settle()
        assert not closing.done()
        assert not worker.broker.logs
        go_on.set()
        await closing
        assert sum(map(len, worker.broker.logs.values())) == MESSAGES
        assert worker.stored(EVENTS) == 100

    run(body())


def test_a_cancelled_cycle_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After cancelling, one may assume that the machine is not used any more, and agrees with what was
    sent.
    """

    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        applying, go_on, apply = threading.Event(), threading.Event(), task.machine.apply

        def slowly(batch: Any) -> Any:
            applying.set()
            assert go_on.wait(20)
            return apply(batch)

        monkeypatch.setattr(task.machine, "apply", slowly)
        worker.run()
        worker.cycle.put([chunk(EVENTS, 100)])
        await worker.until(applying.is_set)
        assert worker.cycling is not None
        worker.cycling.cancel()
        await worker.settle()
        assert not worker.cycling.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await worker.cycling
        assert task.position == 100
        assert not task.may_be_stored
        await task.close(save=True)
        assert worker.stored(EVENTS) == 0

    run(body())


# ---------------------------------------------------------------------- positions


def test_several_chunks_of_a_task_in_one_cycle_are_acknowledged_in_their_order(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path)
        await worker.once(*(chunk(EVENTS, 50, start) for start in range(0, 200, 50)))
        assert task.position == 200
        first, second = (batch.tp for batch in worker.broker.waiting[:2])
        # messages of all four chunks to one partition are acknowledged, the rest is not
        for _ in range(10):
            for batch in [b for b in worker.broker.waiting if b.tp == first]:
                worker.broker.waiting.remove(batch)
                batch.acknowledge()
            await worker.settle()
        assert (task.acknowledged, task.may_be_stored) == (0, False)
        seen = [0]
        while worker.broker.waiting:
            batch = worker.broker.waiting.pop(0)
            assert batch.tp != first
            batch.acknowledge()
            await worker.settle()
            seen.append(task.acknowledged)
            assert task.may_be_stored == (task.acknowledged == 200)
        assert seen == sorted(seen)
        assert seen[-1] == 200
        assert second != first
        await worker.close()

    run(body())


def test_item_tasks_say_how_far_they_are_and_are_stored(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await _worker(tmp_path, at_once=True)
        items = ItemTask(DELTAS, worker.context, BOUGHT)
        await worker.open(items)
        await worker.once(*(chunk(EVENTS, 100, start) for start in (0, 100)))
        deltas = worker.deltas(DELTAS)
        assert deltas.end == 2
        await worker.once(Chunk(DELTAS, 0, 1, deltas.records[:1]), Chunk(DELTAS, 1, 2, deltas.records[1:]))
        assert items.position == items.progress("").applied == 2
        await worker.once()
        assert items.saver.stored == items.progress("").stored == 2
        await worker.close()
        assert worker.stored(DELTAS) == 2

    run(body())


def test_a_catalogues_first_messages_are_in_kafka_before_its_store_says_so(tmp_path: Path) -> None:
    """It is sent at the position that the store already has."""
    tp = TP(ITEMS.name, 0)

    async def body() -> None:
        worker = Offline(tmp_path, Broker())
        await worker.open(CatalogueTask(tp, worker.context, [BOUGHT]))
        gone = Sent(0, b"tea", b'{"item_id":"tea","available":false}')
        await worker.once(Chunk(tp, 0, 1, [gone]))
        await worker.close(save=True)
        assert worker.stored(tp) == 1
        later = Offline(tmp_path, Broker(at_once=False))
        task = CatalogueTask(tp, later.context, BUILT_IN)
        await later.open(task)
        await later.once()
        assert [batch.tp.topic for batch in later.broker.waiting] == ["pair-deltas-watched"] * PARTITIONS
        assert (task.position, task.may_be_stored) == (1, False)
        await later.close()

        again = Offline(tmp_path, Broker(at_once=False))
        await again.open(CatalogueTask(tp, again.context, BUILT_IN))
        await again.settle()
        assert [batch.tp.topic for batch in again.broker.waiting] == ["pair-deltas-watched"] * PARTITIONS
        await again.close()

    run(body())


def test_a_chunk_after_a_gap_is_read_again_an_old_one_is_dropped_one_that_overlaps_is_trimmed(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 50))
        await worker.once(chunk(EVENTS, 50, 100))
        assert worker.sought == [(EVENTS, 50)]
        assert (task.position, task.counters.events) == (50, 50)
        for old in (chunk(EVENTS, 50), chunk(EVENTS, 20, 10), Chunk(EVENTS, 40, 50, [])):
            await worker.once(old)
            assert (task.position, task.counters.events) == (50, 50)
        await worker.once(chunk(EVENTS, 80, 20))
        assert (task.position, task.counters.events) == (100, 100)
        # of several chunks in a cycle, one that follows another of them is applied
        await worker.once(chunk(EVENTS, 50, 150), chunk(EVENTS, 60, 90), chunk(EVENTS, 50, 150))
        assert (task.position, task.counters.events) == (200, 200)
        await worker.once(Chunk(EVENTS, 200, 203, []))  # marks of transactions
        assert task.position == task.acknowledged == 203
        assert worker.sought == [(EVENTS, 50), (EVENTS, 200)]
        await worker.close(save=True)
        assert worker.stored(EVENTS) == 203

        oracle = Offline(tmp_path / "other", Broker())
        await oracle.open(CustomerTask(EVENTS, oracle.context, BOUGHT))
        await oracle.once(chunk(EVENTS, 200))
        assert isinstance(oracle.tasks[EVENTS], CustomerTask)
        machine = oracle.tasks[EVENTS].machine  # type: ignore[attr-defined]
        for customer in range(10):
            assert task.machine.history(f"c{customer}") == machine.history(f"c{customer}")
        await oracle.close()

    run(body())


def test_deltas_after_a_gap_are_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await _worker(tmp_path, at_once=True)
        items = ItemTask(DELTAS, worker.context, BOUGHT)
        await worker.open(items)
        for start in (0, 100, 200):
            await worker.once(chunk(EVENTS, 100, start))
        one, two, three = worker.deltas(DELTAS).records
        await worker.once(Chunk(DELTAS, 1, 2, [two]))
        assert worker.sought == [(DELTAS, 0)]
        assert items.position == 0
        await worker.once(Chunk(DELTAS, 2, 3, [three]), Chunk(DELTAS, 0, 2, [one, two]))
        assert items.position == items.acknowledged == 2
        assert worker.sought == [(DELTAS, 0), (DELTAS, 2)]
        await worker.once(Chunk(DELTAS, 1, 3, [two, three]))
        concerned = sum(decode(record.value or b"").events for record in (one, two, three))
        assert (items.position, items.counters.events) == (3, concerned)
        assert items.machine.gaps_seen == 0
        await worker.close()

    run(body())


def test_chunks_of_a_lost_partition_are_not_applied(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        worker.owned = lambda tp: tp != EVENTS
        await worker.once(chunk(EVENTS, 50), chunk(TP(PURCHASES.name, 2), 50))
        assert task.position == 0
        assert not worker.broker.logs
        assert not worker.sought
        worker.owned = lambda _tp: True
        worker.cycle.put([chunk(EVENTS, 50)])
        worker.cycle.drop()  # from before a rebalance
        await worker.once()
        assert task.position == 0
        await worker.once(chunk(EVENTS, 50))
        assert task.position == 50
        await worker.close()

    run(body())


# ---------------------------------------------------------------------- the lease


def test_a_worker_without_lease_counts_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path, at_once=True)
        worker.lease._confirmed_at = float("-inf")
        worker.run()
        worker.cycle.put([chunk(EVENTS, 50)])
        await asyncio.sleep(0.2)
        assert task.position == 0
        assert not worker.broker.logs
        worker.lease.confirm()
        await worker.until(lambda: task.progress("").applied == 50)
        assert sum(map(len, worker.broker.logs.values())) == MESSAGES
        await worker.close()

    run(body())


def test_published_times_travel_with_the_deltas(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await _worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 50))
        for topic in (PAIR_DELTAS.name, HISTORY_CHANGES.name):
            assert worker.broker.of(topic)
            for record in worker.broker.of(topic):
                assert record.headers == [("at", NOW_MS.to_bytes(8, "big"))]
        await worker.close()

    run(body())


def test_waiting_for_a_batch_ends_when_the_worker_stops(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await _worker(tmp_path)
        await worker.once(chunk(EVENTS, 50))
        for sender in list(worker.outbox._senders.values()):
            sender.cancel()
        with pytest.raises(OutboxClosed):
            await task.close(save=True)
        assert worker.stored(EVENTS) == 0

    run(body())
