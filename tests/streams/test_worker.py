"""Tests of a worker's tasks over rebalances, failures and a stop, without Kafka."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from streams import worker as worker_module
from streams.kafka.transport import Chunk
from streams.messages.schema import decode_progress
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.opening import LogTooShort
from streams.topics import PAIR_DELTAS, PROGRESS, PURCHASES
from streams.worker import Tasks
from tests.streams.offline import Offline, chunk, run

EVENTS, OTHER, DELTAS = TP(PURCHASES.name, 0), TP(PURCHASES.name, 1), TP(PAIR_DELTAS.name, 0)
TOPICS_OF_OTHERS = TP("somebody's", 0)


class _Consumer:
    """The part of Faust's consumer that the tasks use."""

    def __init__(self, worker: Offline) -> None:
        self.assigned: set[TP] = set()
        self.sought: list[dict[TP, int]] = []
        self.ends: dict[TP, int] = {}
        self._worker = worker

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.ends.get(tp, len(self._worker.broker.logs.get(tp, []))) for tp in tps}

    async def seek_wait(self, positions: dict[TP, int]) -> None:
        for tp in positions:
            if tp not in self.assigned:
                raise IllegalStateError(f"Partition {tp} is not assigned")
        self.sought.append(positions)


class _Worker:
    """The tasks of a worker, over the outbox, stores and lease of an `Offline`."""

    def __init__(self, root: Path) -> None:
        self.offline = Offline(root, settings={"watched_bought_days": 0, "progress_ms": 50})
        self.consumer = _Consumer(self.offline)
        self.tasks = Tasks(SimpleNamespace(consumer=self.consumer), self.offline.context.settings)
        object.__setattr__(self.offline.context, "lease", self.tasks.lease)
        self.tasks._context = self.offline.context
        cycling = self.tasks.cycle.run(self.offline.context)
        self.tasks._background = [asyncio.create_task(cycling)]

    async def assign(self, *tps: TP) -> dict[TP, int]:
        self.consumer.assigned = set(tps)
        self.consumer.ends[EVENTS] = self.consumer.ends[OTHER] = 10_000
        return dict(await self.tasks.open(self.consumer.assignment()))

    async def until_counted(self, tp: TP, position: int) -> None:
        async with asyncio.timeout(20):
            while self.tasks._open[tp].progress("").applied < position:
                self.tasks._raise_failures()
                await asyncio.sleep(0.001)


def test_tasks_stay_open_over_a_rebalance_and_fetches_are_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker = _Worker(tmp_path)
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
        worker = _Worker(tmp_path)
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
        worker = _Worker(tmp_path)
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
        worker = _Worker(tmp_path)
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
        worker = _Worker(tmp_path)

        async def fails(_tp: TP) -> int:
            raise RuntimeError("who knows")

        monkeypatch.setattr(worker.offline.context.reader, "end_of", fails)
        await worker.assign(DELTAS)
        async with asyncio.timeout(20):
            with pytest.raises(RuntimeError, match="who knows"):
                await worker.tasks.report_for_ever()
            await worker.tasks.close()

    run(body())


def test_progress_that_somebody_waits_for_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "AT_ONCE_S", 3600.0)

    async def body() -> None:
        worker = _Worker(tmp_path)
        worker.tasks.settings = worker.tasks.settings.model_copy(update={"progress_ms": 3_600_000})
        await worker.assign(EVENTS, DELTAS)
        reporting = asyncio.create_task(worker.tasks.report_for_ever())

        def listed() -> list[int]:
            reports = worker.offline.broker.of(PROGRESS.name)
            return [decode_progress(r.value or b"").listed for r in reports if r.key == b"pair-deltas-0"]

        async with asyncio.timeout(20):
            while not listed():
                await asyncio.sleep(0.01)
            task = worker.tasks._open[DELTAS]
            assert isinstance(task, ItemTask)
            task.refresher.listed = 17
            while listed() != [0, 17]:
                await asyncio.sleep(0.01)
            # but it is not repeated again and again
            looks, look = 0, worker.tasks._raise_failures

            def counting() -> None:
                nonlocal looks
                looks += 1
                look()

            monkeypatch.setattr(worker.tasks, "_raise_failures", counting)
            task.refresher.listed = 18
            while looks < 5:
                await asyncio.sleep(0.01)
        assert len(worker.offline.broker.of(PROGRESS.name)) == 3  # of no other worker
        reporting.cancel()
        await worker.tasks.close()

    run(body())


def test_progress_is_published(tmp_path: Path) -> None:
    async def body() -> None:
        worker = _Worker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        reporting = asyncio.create_task(worker.tasks.report_for_ever())
        async with asyncio.timeout(20):
            while len(worker.offline.broker.of(PROGRESS.name)) < 4:
                await asyncio.sleep(0.01)
        keys = {record.key for record in worker.offline.broker.of(PROGRESS.name)}
        assert keys == {b"purchases-0", b"pair-deltas-0"}
        reporting.cancel()
        await worker.tasks.close()

    run(body())


def test_partitions_lost_meanwhile_are_not_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker = _Worker(tmp_path)
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
        worker = _Worker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        worker.tasks.handle([chunk(EVENTS, 300)])
        await worker.until_counted(EVENTS, 300)
        count, lease = worker.tasks.cycle.computing.count_and_rank, worker.tasks.lease

        def stands_still(*args: Any) -> Any:
            counted = count(*args)
            lease._confirmed_at = float("-inf")
            return counted

        worker.tasks.cycle.computing.count_and_rank = stands_still  # type: ignore[method-assign, assignment]
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
        worker = _Worker(tmp_path)
        await worker.assign(EVENTS, DELTAS)
        worker.tasks.handle([chunk(EVENTS, 300)])
        await worker.until_counted(EVENTS, 300)
        await worker.tasks.close()

        again = _Worker(tmp_path)
        again.consumer.assigned = {EVENTS, OTHER}
        again.consumer.ends = {EVENTS: 200, OTHER: 0}
        with pytest.raises(LogTooShort, match="needs the log from offset 300, Kafka has 0 to 200"):
            await again.tasks.open(again.consumer.assignment())
        assert not again.tasks._open
        assert again.offline.stored(OTHER) == 0  # it is closed; otherwise it would be locked
        await again.tasks.close()

    run(body())
