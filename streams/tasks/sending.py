"""Send what follows from chunks, in the event loop, and note what must be in Kafka before state is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faust.types import TP

from streams.tasks.computing import Applied, AppliedChunk, Counted, Listed, Transferred
from streams.tasks.items import ItemTask
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.tasks.context import Context

    Sources = Sequence[tuple[Task, Chunk]]
    DeltaChunks = Sequence[tuple[ItemTask, Chunk]]

log = logging.getLogger("alsobought")


class Sending:
    """Sends for the open tasks of a worker; `streams.tasks.cycle.Cycle` describes the parameters.

    Attributes
    ----------
    stopping : bool
        Whether lists are sent without waiting for the group, which may be gone.
    """

    def __init__(
        self, tasks: Mapping[TP, Task], owns: Callable[[TP], bool], seek: Callable[[TP, int], Any]
    ) -> None:
        self._tasks, self._owns, self._seek = tasks, owns, seek
        self._again: list[Task] = []  # tasks of which something is missing and must be read again
        self.stopping = False

    def applied(self, context: Context, sources: Sources, applied: Applied) -> None:
        """Send what follows from chunks that are applied."""
        before, follows, after = applied
        self._send_transfers(context, before)
        self._send(context, follows)
        self._send_transfers(context, after)
        for task in {task.tp: task for task, _ in sources}.values():
            task.took_in()

    async def counted(self, context: Context, deltas: DeltaChunks, counted: Counted) -> None:
        """Send the lists that follow from deltas that are counted."""
        follows, listed = counted
        self._send(context, follows)
        for task in {task.tp: task for task, _ in deltas}.values():
            task.took_in()
        if listed:
            await context.lease.wait("lists", lambda: self.stopping)
            for one in listed:
                self._send_lists(context, one)

    def _send(self, context: Context, applied: Sequence[AppliedChunk]) -> None:
        for task, chunk, position, outgoing in applied:
            if outgoing is None:
                self._miss(task, chunk)
            else:
                sent = context.outbox.send_all(outgoing.records)
                task.unacknowledged.add(position, sent)
                if outgoing.followed is not None:
                    outgoing.followed.end_with(sent)

    def _send_transfers(self, context: Context, transferred: Sequence[Transferred]) -> None:
        for task, position, records in transferred:
            # all of it is in Kafka before the store says that it is published
            task.unacknowledged.add(position, context.outbox.send_all(records))

    def _miss(self, task: Task, chunk: Chunk) -> None:
        log.warning("%s is at %d, got a chunk from %d: reading again", task.name, task.position, chunk.start)
        self._again.append(task)

    async def read_again(self) -> None:
        """Seek what is to be read again, without the lock, because a rebalance that wants it may be waited
        for.
        """
        again, self._again = self._again, []
        for task in again:
            if self._tasks.get(task.tp) is task:
                await self._seek(task.tp, task.position)

    def _send_lists(self, context: Context, listed: Listed) -> None:
        refresher = listed.task.refresher
        if not context.lease.held or not self._owns(listed.task.tp):
            # another worker may own it by now and know more; if it stays ours, they are ranked and sent again
            refresher.unsent([ranked.rows for ranked in listed.batches], listed.counts, listed.settled)
            return
        batches = [
            (context.outbox.send_framed(refresher.tp, ranked.framed), ranked.framed.n)
            for ranked in listed.batches
        ]
        refresher.sent(batches, listed.counts, listed.settled)
