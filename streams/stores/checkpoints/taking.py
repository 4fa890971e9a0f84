"""Take checkpoints of a task's store beside its work: now and then, or on request."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from state.errors import StoreError
from streams.process.threads import in_thread
from streams.stores.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
    from streams.tasks.task import Task

log = logging.getLogger("alsobought")


async def take(task: Task) -> dict[str, Any]:
    """Take a checkpoint of what a task has stored; return its description and cost."""
    checkpoints = task.context.stores.checkpoints
    assert checkpoints is not None
    begin = time.monotonic()
    async with task.checkpointing:
        position = task.saver.stored
        taken = await in_thread(checkpoints.save, task.name, task.store, position, task.log_identity)
    task.counters.checkpoints += 1
    task.checkpoint_ms = taken.checkpoint.created_ms
    return {
        "task": task.name, "number": taken.checkpoint.number, "position": position,
        "uploaded_files": taken.uploaded_files, "uploaded_bytes": taken.uploaded_bytes,
        "seconds": round(time.monotonic() - begin, 3),
    }  # fmt: skip


async def take_now_and_then(task: Task) -> None:
    """Take a checkpoint every `checkpoint_ms`, if something new is stored, until cancelled."""
    taken_at = task.saver.stored
    await _look_for_newest(task)
    while True:
        await asyncio.sleep(task.context.settings.checkpoint_ms / 1000)
        if task.saver.stored > taken_at:
            taken_at = task.saver.stored
            try:
                await take(task)
            except (CheckpointError, StoreError) as error:
                task.counters.failed_checkpoints += 1
                log.error("%s: no checkpoint was taken: %s", task.name, error)


async def _look_for_newest(task: Task) -> None:
    """Note when the newest checkpoint was made, by whichever worker."""
    checkpoints = task.context.stores.checkpoints
    assert checkpoints is not None
    try:
        newest = await in_thread(checkpoints.newest, task.name)
    except CheckpointError as error:
        log.warning("%s: the age of its newest checkpoint is not known: %s", task.name, error)
    else:
        if newest is not None and not newest.problem and task.checkpoint_ms is None:
            task.checkpoint_ms = newest.created_ms
