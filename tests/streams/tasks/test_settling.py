"""A settling ends once lists, and the popularity that they follow from, are published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from state.storage.store import MemoryStore
from streams.kafka.lease import Lease
from streams.kinds import BOUGHT
from streams.settings import Settings
from streams.stores.opening import Stores
from streams.tasks import refresh
from streams.tasks.context import Context
from streams.tasks.items import ItemTask
from streams.tasks.passes import WaitingCounts
from streams.topics import PAIR_DELTAS
from tests.streams.pipeline import EmptyTopics

WAIT_S = 10.0


class _Task(ItemTask):
    """A task whose popularity is published when the test says so, or not at all."""

    def settle_by(self, answers: list[bool]) -> None:
        """Set, attempt by attempt, whether Kafka takes the popularity."""
        self.asked, self._answers = 0, answers
        self.free = asyncio.Event()

    async def settled(self) -> None:
        """Publish the remaining popularity."""
        self.asked += 1
        await self.free.wait()
        if not self._answers.pop(0):
            raise KafkaConnectionError("away")


def _task(root: Path) -> _Task:
    settings = Settings.model_validate({"data_dir": root})
    context = Context(
        settings, None, 1, Stores(root / "state", None, lambda _topic: ""), Lease(3600),  # type: ignore[arg-type]
        EmptyTopics(), lambda _tp: True,  # type: ignore[arg-type]
    )  # fmt: skip
    task = _Task(TP(PAIR_DELTAS.name, 0), context, BOUGHT)
    task.saver = task.new_saver(MemoryStore())  # type: ignore[arg-type]
    return task


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_settling_waits_for_popularity_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "AGAIN_S", 0.01)

    async def main() -> None:
        task = _task(tmp_path)
        task.settle_by([False, False, True, True])
        refresher = task.refresher
        loop = asyncio.ensure_future(refresher.finish_settling())
        refresher.sent([], WaitingCounts(), 7)
        await _until(lambda: task.asked == 1)
        assert refresher.listed == 0  # lists are settled, but popularity is not
        task.free.set()
        await _until(lambda: refresher.listed == 7)
        assert task.asked == 3
        refresher.sent([], WaitingCounts())  # these lists settle nothing
        refresher.sent([], WaitingCounts(), 9)
        await _until(lambda: refresher.listed == 9)
        assert task.asked == 4
        loop.cancel()

    asyncio.run(main())


def test_a_task_that_is_closed_settles_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        task = _task(tmp_path)
        task.settle_by([True])
        task._loops = [asyncio.ensure_future(task.refresher.finish_settling())]
        task.refresher.sent([], WaitingCounts(), 7)
        await _until(lambda: task.asked == 1)
        await task.close(save=False)
        task.free.set()
        await asyncio.sleep(0.05)
        assert task.refresher.listed == 0

    asyncio.run(main())
