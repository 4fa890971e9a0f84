"""The tasks of this worker: opened when partitions are assigned, closed when they are lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from faust.types import TP

from streams.catalogue_task import CatalogueTask
from streams.checkpoints import Checkpoints, NoCheckpoints
from streams.checkpoints.taking import take
from streams.context import Context
from streams.crossing_task import CrossingTask
from streams.customer_task import CustomerTask
from streams.foreign import TopicReader
from streams.item_task import ItemTask
from streams.kinds import CrossKind, EventKind, Kind, counted_of, kinds_of, listed_of
from streams.lease import Lease
from streams.log_identity import log_identity
from streams.messages import encode
from streams.opening import Stores
from streams.outbox import Outbox
from streams.settings import Settings
from streams.tasks import Task
from streams.threads import in_thread
from streams.topics import ITEMS, PROGRESS, PURCHASES
from streams.transport import Chunk

log = logging.getLogger("alsobought")

EQUAL_PART = 0.25
"""Of the memory of a class of tasks, that they share alike; the rest goes by what each holds."""


class LogTooShort(Exception):
    """The log does not hold what the state needs next. The message says what to do."""


class Tasks:
    """Every open task of a process, by topic and partition: a worker's, but for what is overridden.

    Attributes
    ----------
    folder : str
        Of the stores, under the data directory.
    sharing : tuple
        Classes of tasks that share their memory, class by class.
    """

    folder = "state"
    sharing: tuple[tuple[type[Task], ...], ...] = ((CustomerTask, CrossingTask), (ItemTask,))

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self.settings = settings
        self.lease = Lease(settings.session_ms / 1000)
        self.kinds, self.listed = kinds_of(settings), listed_of(settings)
        self._makers = self.makers()
        self._context: Context | None = None
        self._background: list[asyncio.Task[None]] = []
        self._open: dict[TP, Task] = {}
        self._lock = asyncio.Lock()
        self._begins: Mapping[tuple[str, int], int] = {}
        self.address = ""  # of this worker's queries, once they are served

    def makers(self) -> dict[str, Callable[[TP, Context], Task]]:
        """What makes the tasks of each topic."""
        return _makers(self.listed)

    def background(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the tasks, from the first one on; once one of these fails, the process ends."""
        del context
        return []

    async def open(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Close what is no longer assigned, open what is newly so; the offset to read each from.

        Raises
        ------
        LogTooShort
            If the log does not reach back to a task's position, or ends before it.
        """
        self.lease.confirm()
        async with self._lock:
            mine = {TP(tp.topic, tp.partition) for tp in assigned if tp.topic in self._makers}
            for tp in [tp for tp, task in self._open.items() if tp not in mine or not task.is_newest()]:
                await self._close(tp, save=False)
            opened = []
            for tp in sorted(mine - set(self._open)):
                if self.owns(tp):  # not lost again in the meantime
                    await self._open_task(tp)
                    opened.append(tp)
            self._share_memory()
            for tp in opened:
                self._open[tp].start()
            return {tp: task.position for tp, task in self._open.items()}

    def _share_memory(self) -> None:
        """Divide the memory of each class of tasks; a kind of events with little to keep gets little."""
        for classes in self.sharing:
            tasks = [task for task in self._open.values() if isinstance(task, classes)]
            held = [task.holds() for task in tasks]
            for task, holds in zip(tasks, held, strict=True):
                by_holding = holds / sum(held) if any(held) else 1 / len(tasks)
                task.limit_memory(EQUAL_PART / len(tasks) + (1 - EQUAL_PART) * by_holding)

    async def _open_task(self, tp: TP) -> None:
        context = await self._shared()
        task = self._makers[tp.topic](tp, context)
        begin = self._begins.get(tp, 0)
        try:
            await task.open(begin)
            if not await self._fits(task) and await task.reopen():
                log.info("%s: went on with a checkpoint, as the log does not reach the store", task.name)
            if not await self._fits(task):
                raise LogTooShort(await self._too_short(task))
            task.replays_to((await self._log(tp))[1])
            await task.begin()
        except BaseException:
            try:
                await task.close(save=False)
            except Exception as error:  # what is to be told is why it was not opened
                log.error("%s: not closed: %r", task.name, error)
            raise
        self._open[tp] = task

    async def _fits(self, task: Task) -> bool:
        start, end = await self._log(task.tp)
        return start <= task.position <= end

    async def _log(self, tp: TP) -> tuple[int, int]:
        starts = await self._app.consumer.earliest_offsets(tp)
        ends = await self._app.consumer.highwaters(tp)
        return starts.get(tp) or 0, ends.get(tp) or 0

    async def _too_short(self, task: Task) -> str:
        start, end = await self._log(task.tp)
        return (
            f"{task.name}: the state needs the log from offset {task.position}, Kafka has {start} to {end},"
            " and no checkpoint fits: the counts cannot be made exact from that. Restore the topic; or put"
            f" the task's store back under {self.settings.data_dir / self.folder}, or a checkpoint of it at"
            " ALSOBOUGHT_CHECKPOINT_URL; or give up what is gone: stop all workers and run `alsobought"
            " rebuild`, which counts anew what the topics still hold."
        )

    async def _shared(self) -> Context:
        if self._context is None:
            await self._app.maybe_start_producer()
            producer = self._app.producer._ensure_producer()
            settings, bootstrap = self.settings, self.settings.kafka or ""
            checkpoints = None
            if settings.checkpoint_url is not None:
                checkpoints = Checkpoints(
                    settings.checkpoint_url, settings.checkpoints_kept, counted_of(settings)
                )
            partitions = len(await producer.partitions_for(PURCHASES.name))
            identity = await in_thread(log_identity, bootstrap, self.listed)
            self._begins = identity.begins
            self._context = Context(
                settings, Outbox(producer), partitions,
                Stores(settings.data_dir / self.folder, checkpoints, identity.of), self.lease,
                TopicReader(bootstrap), self._seek, self.owns, self._open,
            )  # fmt: skip
            self._background = [asyncio.create_task(one) for one in self.background(self._context)]
        return self._context

    async def handle(self, chunk: Chunk) -> None:
        """Hand a chunk to its task; one of a partition lost in a rebalance is its new owner's to read."""
        task = self._open.get(chunk.tp)
        if task is None:
            return
        if (error := task.failed()) is not None:
            raise error
        await task.handle(chunk)

    def owns(self, tp: TP) -> bool:
        """Whether a partition is this worker's by the newest assignment."""
        return tp in self._app.consumer.assignment()

    @property
    def partitions(self) -> int:
        """Partitions of every topic; 0 before anything is open."""
        return 0 if self._context is None else self._context.partitions

    async def _seek(self, tp: TP, offset: int) -> None:
        await self._app.consumer.seek_wait({tp: offset})

    def all(self) -> list[Task]:
        """Every open task."""
        return list(self._open.values())

    async def checkpoint_now(self) -> list[dict[str, Any]]:
        """Take a checkpoint of every open task; per task what it is and what it cost.

        Raises
        ------
        NoCheckpoints
            If there is nowhere to put them.
        """
        if self.settings.checkpoint_url is None:
            raise NoCheckpoints()
        return [await take(task) for task in self.all()]

    async def report(self) -> None:
        """Publish how far every task is, once."""
        outbox = (await self._shared()).outbox
        for task in self.all():
            if not task.reports:
                continue
            progress = task.progress(self.address)
            await outbox.send(PROGRESS.name, None, progress.task.encode(), encode(progress))

    async def report_for_ever(self) -> None:
        """Publish progress now and then, and stop the worker when a task's own loops failed."""
        while True:
            await asyncio.sleep(self.settings.progress_ms / 1000)
            for task in self.all():
                if (error := task.failed()) is not None:
                    raise error
            for one in self._background:
                if one.done():
                    one.result()
            self._share_memory()
            if self._open and self.lease.held:
                await self.report()

    async def _close(self, tp: TP, *, save: bool) -> None:
        task = self._open.pop(tp)
        await task.close(save=save)
        log.info("%s: closed at offset %d", task.name, task.position)

    async def close(self) -> None:
        """Save and close everything."""
        async with self._lock:
            for tp in list(self._open):
                try:
                    await self._close(tp, save=True)
                except Exception as error:  # the others are to be saved
                    log.error("%s-%d: not saved: %r; the next start replays more", *tp, error)
            for one in self._background:
                one.cancel()
            if self._background:
                await asyncio.wait(self._background)
            if self._context is not None:
                await self._context.reader.close()


def _makers(kinds: tuple[Kind, ...]) -> dict[str, Callable[[TP, Context], Task]]:
    """What makes the tasks of each topic."""
    makers: dict[str, Callable[[TP, Context], Task]] = {ITEMS.name: partial(CatalogueTask, kinds=kinds)}
    for kind in kinds:
        if isinstance(kind, EventKind):
            makers[kind.events.name] = partial(CustomerTask, kind=kind)
            makers[kind.deltas.name] = partial(ItemTask, kind=kind)
        elif isinstance(kind, CrossKind):
            makers[kind.events.name] = partial(CrossingTask, kind=kind)
            makers[kind.deltas.name] = partial(ItemTask, kind=kind)
    return makers
