"""The tasks of this worker: opened when partitions are assigned, closed when they are lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faust.types import TP

from streams.connections.bootstrap import Bootstrap
from streams.kafka.lease import Lease
from streams.kafka.log_identity import log_identity, stay_the_same
from streams.kafka.outbox import Outbox
from streams.kafka.partitions import AssignedPartitions
from streams.kafka.topic_reader import TopicReader
from streams.kafka.transport import Chunk
from streams.kinds import counted_of, kinds_of, listed_of
from streams.process.threads import in_thread
from streams.process.tracing import traces_of
from streams.settings import Settings
from streams.stores.checkpoints import NoCheckpoints
from streams.stores.checkpoints.taking import take
from streams.stores.here import StoresHere
from streams.stores.opening import Stores
from streams.tasks.context import Context
from streams.tasks.customers import CustomerTask
from streams.tasks.cycle import Cycle
from streams.tasks.intake import USUAL
from streams.tasks.items import ItemTask
from streams.tasks.making import makers_of
from streams.tasks.memory import divide_memory
from streams.tasks.opening import Opener
from streams.tasks.others import Others
from streams.tasks.reporting import Reporter
from streams.tasks.side_by_side import usual_threads
from streams.tasks.task import Task
from streams.tasks.watched_bought import CrossingTask
from streams.topics import PURCHASES

if TYPE_CHECKING:
    from streams.process.traces import Traces

log = logging.getLogger("alsobought")

LOOK_S = 0.05  # between two looks whether there is something to report
AT_ONCE_S = 0.25  # between two reports of what is reported at once, in steady traffic


class Tasks:
    """The open tasks of a process by topic and partition: a worker's, unless methods are overridden.

    Attributes
    ----------
    bootstrap : Bootstrap
        Kafka, for all clients of the process.
    assigned : AssignedPartitions
        The partitions that the group assigned to the process.
    role : str
        The role of the process, by which its rights in Kafka are known (`streams.rights`).
    folder : str
        The folder of the stores, under the data directory.
    fetch_wait_ms, fetch_least_bytes : int
        Kafka answers a fetch after this time, or as soon as it has so many bytes.
    share : Share
        What a cycle takes of what was fetched, unless a backlog is counted.
    sharing : tuple
        Groups of task classes that share their memory.
    """

    role = "worker"
    folder = "state"
    fetch_wait_ms, fetch_least_bytes = 250, 1
    share = USUAL
    sharing: tuple[tuple[type[Task], ...], ...] = ((CustomerTask, CrossingTask), (ItemTask,))

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._traces = self.traces(settings)
        self.settings = settings
        self.bootstrap = Bootstrap.of(settings)
        self.assigned = AssignedPartitions(app)
        self.lease = Lease(settings.session_ms / 1000)
        self.kinds, self.listed = kinds_of(settings), listed_of(settings)
        self._context: Context | None = None
        self._open: dict[TP, Task] = {}
        self._makers = self.makers()
        self.cycle = Cycle(self._open, self.assigned.owns, self.assigned.seek, self.share, self.threads())
        self._background: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()
        self._begins: Mapping[tuple[str, int], int] = {}
        self._reporter = Reporter()
        self._stores_here = StoresHere(settings.data_dir / self.folder, counted_of(settings))
        self.rebalances = 0  # how often this process was assigned its partitions
        self.ending = False  # whether the process ends for want of a right
        self.refused: Exception | None = None  # with which Kafka refused a fetch for want of a right
        self.address = ""  # of this worker's queries, once they are served

    def threads(self) -> int:
        """Return in how many threads machines compute at the same time."""
        return self.settings.threads or usual_threads()

    def makers(self) -> dict[str, Callable[[TP, Context], Task]]:
        """Return what makes the tasks of each topic."""
        return makers_of(self.listed, self._open.get)

    def background(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the loops that run beside the cycle; if one of them fails, the process ends."""
        return [context.others.run(self.bootstrap, context.partitions, context.lock)]

    def traces(self, settings: Settings) -> Traces | None:
        """Return what makes spans, None without.

        Raises
        ------
        TracesMissing
            The settings ask for traces, and the extra is not installed.
        """
        return traces_of(settings)

    def others(self) -> Others:
        """Return the reader of other partitions' popularity."""
        return Others(self.kinds)

    def look_at_stores(self) -> None:
        """Read how far the stores of this host are, to report it to the group; call it before joining."""
        self._stores_here.look()
        self._stores_here.report(self.settings, lambda: {task.name: task.saver.stored for task in self.all()})

    async def open(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Close what is no longer assigned and open what is newly assigned; return the offset to read each
        from.

        Raises
        ------
        LogTooShort
            If the log does not reach back to a task's position, or ends before it.
        """
        self.lease.confirm()
        self.rebalances += 1
        async with self._lock:
            context = await self._shared()
            mine = {TP(tp.topic, tp.partition) for tp in assigned if tp.topic in self._makers}
            async with context.lock:
                self.cycle.drop()  # all is read again from where the state is
                context.backlogs.forget()
                for tp in [tp for tp, task in self._open.items() if tp not in mine or not task.is_newest()]:
                    await self._close(tp, save=False)
            # what was lost again in the meantime is not opened
            missing = [tp for tp in sorted(mine - set(self._open)) if self.assigned.owns(tp)]
            opener = Opener(self.assigned, self._makers, context, self._begins)
            opened = await opener.open_all(missing)
            async with context.lock:  # the cycle's thread goes through them
                for tp, task in opened:
                    self._open[tp] = task
                    task.start()
                divide_memory(self.all(), self.sharing)
            return {tp: task.position for tp, task in self._open.items()}

    async def _shared(self) -> Context:
        if self._context is None:
            await self._app.maybe_start_producer()
            producer = self._app.producer._ensure_producer()
            settings = self.settings
            partitions = len(await producer.partitions_for(PURCHASES.name))
            identity = await in_thread(log_identity, self.bootstrap, self.listed)
            self._begins = identity.begins
            self._context = Context(
                settings, Outbox(producer), partitions,
                Stores.of(settings, self.folder, identity.of), self.lease,
                TopicReader(self.bootstrap), self.assigned.owns, self.others(), traces=self._traces,
            )  # fmt: skip
            background = [
                self.cycle.run(self._context), stay_the_same(self.bootstrap, identity),
                *self.background(self._context),
            ]  # fmt: skip
            self._background = [asyncio.create_task(one) for one in background]
        return self._context

    def handle(self, chunks: list[Chunk]) -> None:
        """Pass what was fetched to the next cycle.

        Raises
        ------
        Exception
            The error with which a cycle or a task failed.
        """
        self._raise_failures()
        self.cycle.put(chunks)

    def _raise_failures(self) -> None:
        if self.refused is not None:
            raise self.refused
        for one in self._background:
            if one.done() and not one.cancelled():
                one.result()
        for task in self._open.values():
            if (error := task.failed()) is not None:
                raise error

    @property
    def context(self) -> Context | None:
        """What the tasks share; None before anything was open."""
        return self._context

    def waits_for(self) -> list[str]:
        """Return what is missing until this process counts all its partitions; nothing if it does."""
        if not self.lease.held:
            return ["the consumer group does not count this process as its member"]
        assigned = {tp for tp in self.assigned.all() if tp.topic in self._makers}
        return [f"{tp.topic}-{tp.partition} is not open" for tp in sorted(assigned - self._open.keys())]

    @property
    def partitions(self) -> int:
        """Partitions of every topic; 0 before anything is open."""
        return 0 if self._context is None else self._context.partitions

    def all(self) -> list[Task]:
        """Return every open task."""
        return list(self._open.values())

    async def checkpoint_now(self) -> list[dict[str, Any]]:
        """Take a checkpoint of every open task; return the description and cost of each.

        Raises
        ------
        NoCheckpoints
            If no URL is set.
        """
        if self.settings.checkpoint_url is None:
            raise NoCheckpoints()
        return [await take(task) for task in self.all()]

    async def _report(self, tasks: Sequence[Task]) -> None:
        self._reporter.publish(await self._shared(), tasks, self.address)

    async def report_for_ever(self) -> None:
        """Publish progress now and then, and at once what `drain` waits for.

        Stop the worker if a cycle or a task failed.
        """
        due = again = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            self._raise_failures()
            if not self._open or not self.lease.held:
                continue
            now = time.monotonic()
            if now >= due:
                divide_memory(self.all(), self.sharing)
                await self._report(self.all())
                due = now + self.settings.progress_ms / 1000
            elif now >= again and (news := self._reporter.news(self.all())):
                await self._report(news)
                again = now + AT_ONCE_S

    async def _close(self, tp: TP, *, save: bool) -> None:
        task = self._open.pop(tp)
        await task.close(save=save)
        self._stores_here.closed(task.name, task.saver.stored)
        log.info("%s: closed at offset %d", task.name, task.position)

    async def close(self) -> None:
        """Save and close everything."""
        self.cycle.stop()
        async with self._lock:
            if self._context is None:
                return
            async with self._context.lock:  # between two cycles
                for one in self._background:
                    one.cancel()
                if self._background:
                    await asyncio.wait(self._background)
                for tp in list(self._open):
                    try:
                        await self._close(tp, save=True)
                    except Exception as error:  # the others are to be saved
                        log.error("%s-%d: not saved: %r; the next start replays more", *tp, error)
            self.cycle.close()
            await self._context.reader.close()
            if self._traces is not None:
                await in_thread(self._traces.close)
