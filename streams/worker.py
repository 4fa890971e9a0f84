"""The tasks of this worker: opened when partitions are assigned, closed when they are lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from streams.catalogue_task import CatalogueTask
from streams.customer_task import CustomerTask
from streams.item_task import ItemTask
from streams.messages import encode
from streams.outbox import Outbox
from streams.settings import Settings
from streams.tasks import Context, LogTooShort, Task
from streams.topics import ITEMS, PAIR_DELTAS, PROGRESS, PURCHASES
from streams.transport import Chunk

log = logging.getLogger("alsobought")

KINDS: dict[str, type[Task]] = {
    PURCHASES.name: CustomerTask,
    ITEMS.name: CatalogueTask,
    PAIR_DELTAS.name: ItemTask,
}
PROGRESS_EVERY_S = 1.0


class Tasks:
    """Every open task, by topic and partition."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._context: Context | None = None
        self._open: dict[TP, Task] = {}
        self._lock = asyncio.Lock()
        self.address = ""  # of this worker's queries, once they are served

    async def open(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Close what is no longer assigned, open what is newly so; the offset to read each from.

        Raises
        ------
        LogTooShort
            If the log does not reach back to a task's position, or ends before it.
        """
        async with self._lock:
            mine = {TP(tp.topic, tp.partition) for tp in assigned if tp.topic in KINDS}
            for tp in [tp for tp in self._open if tp not in mine]:
                await self._close(tp, save=False)
            for tp in sorted(mine - set(self._open)):
                task = KINDS[tp.topic](tp, await self._shared())
                await task.open()
                self._open[tp] = task
                if isinstance(task, ItemTask):
                    (await self._shared()).item_tasks.append(task)
            positions = {tp: task.position for tp, task in self._open.items()}
            await self._check_log(positions)
            return positions

    async def _shared(self) -> Context:
        if self._context is None:
            await self._app.maybe_start_producer()
            producer = self._app.producer._ensure_producer()
            partitions = len(await producer.partitions_for(PAIR_DELTAS.name))
            self._context = Context(self._settings, Outbox(producer), partitions, self._seek)
        return self._context

    async def _check_log(self, positions: dict[TP, int]) -> None:
        if not positions:
            return
        starts = await self._app.consumer.earliest_offsets(*positions)
        ends = await self._app.consumer.highwaters(*positions)
        for tp, position in positions.items():
            start, end = starts.get(tp) or 0, ends.get(tp) or 0
            if start <= position <= end:
                continue
            raise LogTooShort(
                f"{tp.topic}-{tp.partition}: the state needs the log from offset {position}, Kafka has "
                f"{start} to {end}. The counts cannot be made exact from that. Restore the topic, or the "
                f"state that fits it under {self._settings.data_dir / 'state'}; to begin anew with what the "
                "topics still hold, remove that folder and the topics pair-deltas and related-items."
            )

    async def handle(self, chunk: Chunk) -> None:
        """Hand a chunk to its task; one of a partition lost in a rebalance is its new owner's to read."""
        task = self._open.get(chunk.tp)
        if task is None:
            return
        if (error := task.failed()) is not None:
            raise error
        await task.handle(chunk)

    async def _seek(self, tp: TP, offset: int) -> None:
        await self._app.consumer.seek_wait({tp: offset})

    def all(self) -> list[Task]:
        """Every open task."""
        return list(self._open.values())

    async def report(self) -> None:
        """Publish how far every task is, once."""
        outbox = (await self._shared()).outbox
        for task in self.all():
            progress = task.progress(self.address)
            await outbox.send(PROGRESS.name, None, task.name.encode(), encode(progress))

    async def report_for_ever(self) -> None:
        """Publish progress every second, and stop the worker when a task's own loops failed."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            for task in self.all():
                if (error := task.failed()) is not None:
                    raise error
            if self._open:
                await self.report()

    async def _close(self, tp: TP, *, save: bool) -> None:
        task = self._open.pop(tp)
        if self._context is not None and task in self._context.item_tasks:
            self._context.item_tasks.remove(task)
        await task.close(save=save)
        log.info("%s: closed at offset %d", task.name, task.position)

    async def close(self) -> None:
        """Save and close everything."""
        async with self._lock:
            for tp in list(self._open):
                await self._close(tp, save=True)
