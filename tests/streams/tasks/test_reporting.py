"""Tests of what a worker reports of its tasks, and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streams import worker as worker_module
from streams.messages.schema import decode_progress
from streams.tasks.items import ItemTask
from streams.topics import PROGRESS
from tests.streams.offline import run
from tests.streams.one_worker import DELTAS, EVENTS, OneWorker


def test_progress_that_somebody_waits_for_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "AT_ONCE_S", 3600.0)

    async def body() -> None:
        worker = OneWorker(tmp_path)
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
        worker = OneWorker(tmp_path)
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
