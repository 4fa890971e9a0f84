"""Tests of a worker's tasks over rebalances, failures and a stop, without Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.transport import Chunk
from streams.tasks.customers import CustomerTask
from streams.tasks.opening import LogTooShort
from tests.streams.offline import chunk, run
from tests.streams.one_worker import DELTAS, EVENTS, OTHER, TOPICS_OF_OTHERS, OneWorker


def test_tasks_stay_open_over_a_rebalance_and_fetches_are_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)
        assert await worker.assign(EVENTS, DELTAS, TOPICS_OF_OTHERS) == {EVENTS: 0, DELTAS: 0}
        task = worker.tasks._open[EVENTS]
        worker.tasks.handle([chunk(EVENTS, 50)])
        await worker.until_counted(EVENTS, 50)
        async with worker.offline.context.lock:  # between two cycles
            worker.tasks.handle([chunk(EVENTS, 50, 50), chunk(OTHER, 10)])
            opening = asyncio.create_task(worker.assign(EVENTS, OTHER))
            await asyncio.sleep(0.05)
            assert not opening.done()
        # earlier fetches are forgotten, or were counted in an earlier cycle
        positions = await opening
        assert positions.keys() == {EVENTS, OTHER}
        assert positions[EVENTS] in (50, 100)
        assert worker.tasks._open[EVENTS] is task
        assert DELTAS not in worker.tasks._open
        start = positions[EVENTS]
        worker.tasks.handle([chunk(EVENTS, 200 - start, start), chunk(OTHER, 60)])
        await worker.until_counted(EVENTS, 200)
        await worker.until_counted(OTHER, 60)
        assert (task.counters.events, worker.tasks._open[OTHER].counters.events) == (200, 60)
        await worker.tasks.close()
        assert worker.offline.stored(EVENTS) == 200
        assert worker.offline.stored(OTHER) == 60

    run(body())


def test_nothing_is_opened_or_closed_while_a_cycle_computes(tmp_path: Path) -> None:
    """Its thread goes through the tasks and uses their machines."""

    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        computing, go_on = threading.Event(), threading.Event()
        count = worker.tasks.cycle.computing.count_and_rank

        def slowly(*args: Any) -> Any:
            before = dict(worker.tasks._open)
            computing.set()
            assert go_on.wait(20)
            assert worker.tasks._open == before
            return count(*args)

        worker.tasks.cycle.computing.count_and_rank = slowly  # type: ignore[method-assign, assignment]
        async with asyncio.timeout(20):
            while not computing.is_set():
                await asyncio.sleep(0.001)
        opening = asyncio.create_task(worker.assign(EVENTS, OTHER))
        await asyncio.sleep(0.3)
        assert not opening.done()
        assert worker.tasks._open.keys() == {EVENTS, DELTAS}
        go_on.set()
        assert (await opening).keys() == {EVENTS, OTHER}
        await asyncio.sleep(0.3)  # cycles continue
        worker.tasks._raise_failures()
        await worker.tasks.close()

    run(body())


def test_a_cycle_that_fails_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds whether something is fetched afterwards or not."""

    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS)
        task = worker.tasks._open[EVENTS]
        assert isinstance(task, CustomerTask)

        def fails(_batch: Any) -> Any:
            raise MemoryError("no room")

        monkeypatch.setattr(task.machine, "apply", fails)
        reporting = asyncio.create_task(worker.tasks.report_for_ever())
        worker.tasks.handle([chunk(EVENTS, 50)])
        async with asyncio.timeout(20):
            with pytest.raises(MemoryError, match="no room"):
                await reporting
        with pytest.raises(MemoryError, match="no room"):
            worker.tasks.handle([chunk(EVENTS, 50)])
        async with asyncio.timeout(20):
            await worker.tasks.close()
        assert worker.offline.stored(EVENTS) == 0

    run(body())


def test_a_send_that_fails_ends_the_worker_though_nothing_else_comes(tmp_path: Path) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS)
        worker.offline.broker.breaks = OSError("the broker takes nothing")
        reporting = asyncio.create_task(worker.tasks.report_for_ever())
        worker.tasks.handle([chunk(EVENTS, 50)])
        async with asyncio.timeout(20):
            with pytest.raises(OSError, match="takes nothing"):
                await reporting
            await worker.tasks.close()
        assert worker.offline.stored(EVENTS) == 0

    run(body())


def test_a_loop_of_a_task_that_fails_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)

        async def fails(_tp: TP) -> int:
            raise RuntimeError("who knows")

        monkeypatch.setattr(worker.offline.context.reader, "end_of", fails)
        await worker.assign(DELTAS)
        async with asyncio.timeout(20):
            with pytest.raises(RuntimeError, match="who knows"):
                await worker.tasks.report_for_ever()
            await worker.tasks.close()

    run(body())


def test_partitions_lost_meanwhile_are_not_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS, OTHER)
        seek = worker.consumer.seek_wait

        async def lost(positions: dict[TP, int]) -> None:
            assert not worker.offline.context.lock.locked()  # a rebalance needs it
            worker.consumer.assigned.discard(EVENTS)
            await seek(positions)

        worker.consumer.seek_wait = lost  # type: ignore[method-assign]
        worker.tasks.handle([chunk(EVENTS, 10, 20), chunk(OTHER, 10, 30)])
        async with asyncio.timeout(20):
            while not worker.consumer.sought:
                worker.tasks._raise_failures()
                await asyncio.sleep(0.001)
        assert worker.consumer.sought == [{OTHER: 0}]
        worker.tasks.handle([chunk(OTHER, 10)])
        await worker.until_counted(OTHER, 10)
        await worker.tasks.close()

    run(body())


def test_a_worker_stops_though_the_group_is_gone(tmp_path: Path) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        worker.tasks.handle([chunk(EVENTS, 300)])
        await worker.until_counted(EVENTS, 300)
        computing, lease = worker.tasks.cycle.computing, worker.tasks.lease

        def stands_still(count: Callable[..., Any], *args: Any) -> Any:
            counted = count(*args)
            if any(counted):  # a cycle that has nothing to send would wait without the lock
                lease._confirmed_at = float("-inf")
            return counted

        for name in ("count_and_rank", "count_and_rank_fresh"):
            setattr(computing, name, partial(stands_still, getattr(computing, name)))
        records = worker.offline.deltas(DELTAS).records
        worker.tasks.handle([Chunk(DELTAS, 0, len(records), records)])
        async with asyncio.timeout(20):
            while not worker.offline.context.lock.locked() or lease.held:
                await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            await worker.tasks.close()
        assert worker.offline.stored(EVENTS) == 300

    run(body())


def test_a_log_that_does_not_fit_is_said_and_nothing_stays_open(tmp_path: Path) -> None:
    async def body() -> None:
        worker = OneWorker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        worker.tasks.handle([chunk(EVENTS, 300)])
        await worker.until_counted(EVENTS, 300)
        await worker.tasks.close()

        again = OneWorker(tmp_path)
        again.consumer.assigned = {EVENTS, OTHER}
        again.consumer.ends = {EVENTS: 200, OTHER: 0}
        with pytest.raises(LogTooShort, match="needs the log from offset 300, Kafka has 0 to 200"):
            await again.tasks.open(again.consumer.assignment())
        assert not again.tasks._open
        assert again.offline.stored(OTHER) == 0  # it is closed; otherwise it would be locked
        await again.tasks.close()

    run(body())
