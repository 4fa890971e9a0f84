"""The age of the newest checkpoint is known to a worker that has taken none, and failures are counted."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from streams.stores.checkpoints.errors import CheckpointError
from streams.stores.checkpoints.manifest import Checkpoint
from streams.stores.checkpoints.taking import take_now_and_then
from streams.tasks.task import Counters

MADE_MS = 1_750_000_000_000


class Remote:
    """Has one checkpoint, and cannot take another."""

    def newest(self, task: str) -> Checkpoint:
        """The one."""
        return Checkpoint(task=task, number=1, name="1", position=3, log="", created_ms=MADE_MS, files=[])

    def save(self, *_args: object) -> None:
        """Fail."""
        raise CheckpointError("the disk is full")


def test_the_age_of_a_checkpoint_of_another_worker_is_known_and_failures_are_counted() -> None:
    stores = SimpleNamespace(checkpoints=Remote())
    task: Any = SimpleNamespace(
        name="purchases-0", saver=SimpleNamespace(stored=1), checkpoint_ms=None, counters=Counters(),
        checkpointing=asyncio.Lock(), store=None, log_identity="",
        context=SimpleNamespace(settings=SimpleNamespace(checkpoint_ms=1), stores=stores),
    )  # fmt: skip

    async def main() -> None:
        taking = asyncio.create_task(take_now_and_then(task))
        async with asyncio.timeout(20):
            while task.checkpoint_ms is None:
                await asyncio.sleep(0.001)
            task.saver.stored = 2  # something new is stored
            while not task.counters.failed_checkpoints:
                await asyncio.sleep(0.001)
        taking.cancel()

    asyncio.run(main())
    assert task.checkpoint_ms == MADE_MS
    assert (task.counters.failed_checkpoints, task.counters.checkpoints) == (1, 0)
