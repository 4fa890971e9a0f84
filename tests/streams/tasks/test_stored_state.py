"""Tests of what a worker stores, and when, while sending is slow, fails or is interrupted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.outbox import OutboxClosed
from streams.kinds import BOUGHT
from streams.tasks.customers import CustomerTask
from streams.tasks.task import Torn
from streams.topics import HISTORY_CHANGES, PAIR_DELTAS, PURCHASES
from tests.streams.offline import chunk, run
from tests.streams.tasks.counting_worker import EVENTS, MESSAGES, new_worker, save_in_every_cycle


@pytest.fixture(autouse=True)
def _save_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    save_in_every_cycle(monkeypatch)


def test_nothing_is_stored_before_kafka_has_the_deltas(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path)
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
        worker, task = await new_worker(tmp_path)
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
        worker, task = await new_worker(tmp_path)
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
        worker, task = await new_worker(tmp_path, at_once=True)
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
        worker, task = await new_worker(tmp_path, at_once=True)
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
        worker, first = await new_worker(tmp_path, at_once=True)
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
        worker, task = await new_worker(tmp_path, at_once=True)
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
    """After cancelling, the machine is not used any more, and agrees with what was sent."""

    async def body() -> None:
        worker, task = await new_worker(tmp_path, at_once=True)
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


def test_waiting_for_a_batch_ends_when_the_worker_stops(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path)
        await worker.once(chunk(EVENTS, 50))
        for sender in list(worker.outbox._senders.values()):
            sender.cancel()
        with pytest.raises(OutboxClosed):
            await task.close(save=True)
        assert worker.stored(EVENTS) == 0

    run(body())
