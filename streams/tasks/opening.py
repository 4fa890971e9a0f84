"""Open tasks: each from its store, or from a checkpoint if the log does not reach back to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from faust.types import TP

from streams.kafka.partitions import AssignedPartitions
from streams.tasks.context import Context
from streams.tasks.task import Task

log = logging.getLogger("alsobought")


class LogTooShort(Exception):
    """The log does not have what the state needs next. The message says what to do."""


class Opener:
    """Opens tasks whose topics are read by Faust's consumer.

    Parameters
    ----------
    assigned
        The partitions of this process, with which it asks where the logs begin and end.
    makers
        What makes the tasks of each topic.
    context
        What the tasks share.
    begins
        The offset at which an empty task begins to read its log, by topic and partition; 0 for those that
        are not named.
    """

    def __init__(
        self,
        assigned: AssignedPartitions,
        makers: Mapping[str, Callable[[TP, Context], Task]],
        context: Context,
        begins: Mapping[tuple[str, int], int],
    ) -> None:
        self._assigned, self._makers, self._context, self._begins = assigned, makers, context, begins

    async def open_all(self, missing: Sequence[TP]) -> list[tuple[TP, Task]]:
        """Open tasks side by side; if one cannot be opened, none is.

        Raises
        ------
        LogTooShort
            If the log does not reach back to a task's position, or ends before it.
        """
        opening = [asyncio.create_task(self._open_task(tp)) for tp in missing]
        if opening:
            await asyncio.wait(opening)
        errors = [one.exception() for one in opening if one.exception() is not None]
        if errors:
            for one in opening:
                if one.exception() is None:
                    await one.result().close(save=False)
            raise errors[0]  # type: ignore[misc]
        return [(tp, one.result()) for tp, one in zip(missing, opening, strict=True)]

    async def _open_task(self, tp: TP) -> Task:
        context = self._context
        task = self._makers[tp.topic](tp, context)
        begin = self._begins.get(tp, 0)
        try:
            await task.open(begin)
            if not await self._fits(task) and await task.reopen():
                log.info("%s: went on with a checkpoint, as the log does not reach the store", task.name)
            if not await self._fits(task):
                raise LogTooShort(await self._too_short(task))
            task.replays_to((await self._assigned.log_of(tp))[1])
            task.unacknowledged.add(task.position, context.outbox.send_all(task.begin()))
        except BaseException:
            try:
                await task.close(save=False)
            except Exception as error:  # what is to be reported is why it was not opened
                log.error("%s: not closed: %r", task.name, error)
            raise
        return task

    async def _fits(self, task: Task) -> bool:
        start, end = await self._assigned.log_of(task.tp)
        return start <= task.position <= end

    async def _too_short(self, task: Task) -> str:
        start, end = await self._assigned.log_of(task.tp)
        return (
            f"{task.name}: the state needs the log from offset {task.position}, Kafka has {start} to {end},"
            " and no checkpoint fits: the counts cannot be made exact from that. Restore the topic; or put"
            f" the task's store back under {self._context.stores.root}, or a checkpoint of it at"
            " ALSOBOUGHT_CHECKPOINT_URL; or discard the state: stop all workers and run `alsobought"
            " rebuild`, which recounts the events that Kafka still has."
        )
