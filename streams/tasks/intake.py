"""What of all that was fetched a cycle takes, and what waits: in the inbox, or in Kafka.

A cycle takes a share, so that what comes behind it does not wait for long. In a backlog, where all is late,
it takes everything, because larger batches are cheaper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP

from streams.kinds import is_internal
from streams.tasks.inbox import Inbox
from streams.tasks.items import ItemTask
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.tasks.context import Context
    from streams.tasks.sending import DeltaChunks, Sources

MOST_RECORDS = 40_000  # fetched and not yet taken by a cycle; more is left in Kafka
MOST_BYTES = 32 << 20
OUTSTANDING_MESSAGES = 3  # deltas on their way from each source partition; with more, events wait
OUTSTANDING_BEHIND = 32  # the same while a backlog is counted


class Share(NamedTuple):
    """The most that a cycle takes: records, and bytes of events or of deltas."""

    records: int
    size_bytes: int


EVERYTHING = Share(1 << 62, 1 << 62)
USUAL = Share(4_000, 2 << 20)
"""Some 100 ms of work."""


class Intake:
    """Holds what was fetched until cycles take it.

    Parameters
    ----------
    tasks
        The open tasks.
    owns
        Whether a partition is this process's by the newest assignment.
    share
        What a cycle takes at most, unless a backlog is counted.

    Attributes
    ----------
    has_room : asyncio.Event
        It is set while more may be fetched.
    holds_events : bool
        Whether events shall stay in Kafka for now, because their deltas have piled up.
    """

    def __init__(self, tasks: Mapping[TP, Task], owns: Callable[[TP], bool], share: Share) -> None:
        self._tasks, self._owns, self._share = tasks, owns, share
        self._inbox = Inbox()
        self._postponed: set[TP] = set()
        self._keeps_events = False  # whether events stay in the inbox, too
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.holds_events = False

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Take in what was fetched."""
        self._inbox.put(chunks)
        self._look_for_room()

    def drop(self) -> None:
        """Forget what was fetched and not taken."""
        self._inbox.clear()
        self._look_for_room()

    def take(self, now: float) -> tuple[Sources, DeltaChunks]:
        """Return what a cycle applies, by task: chunks of tasks that send on, and those of item tasks.

        What is postponed or kept, and more than the share, stays in the inbox.
        """
        inbox, sending, counting = self._inbox, list[Task](), list[ItemTask]()
        self._postponed.clear()
        for tp in inbox.partitions():
            task = self._tasks.get(tp)
            if task is None or not self._owns(tp):
                inbox.drop(tp)  # of a partition lost in a rebalance: its new owner reads it
            elif isinstance(task, ItemTask):
                counting.append(task)
            elif not self._keeps(tp):
                if task.postpones(now):
                    self._postponed.add(tp)
                else:
                    sending.append(task)
        records, size_bytes = EVERYTHING if self._behind() else self._share
        sources = [
            (task, chunk) for task in sending
            for chunk in inbox.take(task.tp, records // len(sending), size_bytes // len(sending))
        ]  # fmt: skip
        deltas = [
            (task, chunk) for task in counting
            for chunk in inbox.take(task.tp, records // len(counting), size_bytes // len(counting))
        ]  # fmt: skip
        self._look_for_room()
        return sources, deltas

    @property
    def postpones(self) -> bool:
        """Whether the last cycle left something because its task gathers more."""
        return bool(self._postponed)

    @property
    def has_more(self) -> bool:
        """Whether the next cycle has something to take."""
        return any(tp not in self._postponed and not self._keeps(tp) for tp in self._inbox.partitions())

    def is_pressed(self, sources: Sources) -> bool:
        """Return whether more waits than the next cycle takes, here or in Kafka; `sources` were taken."""
        return self.has_more or sum(chunk.left for _, chunk in sources) > self._share.records

    def fetched_bytes(self) -> int:
        """Return the size of what was fetched and not taken."""
        return self._inbox.size(self._inbox.partitions())[1]

    # ------------------------------------------------------------------ pressure

    def look_at_outstanding(self, context: Context) -> None:
        """Let events wait while the deltas of earlier ones pile up, as they would only make lists late.

        In a backlog they only wait in Kafka.
        """
        behind = self._behind()
        most = (OUTSTANDING_BEHIND if behind else OUTSTANDING_MESSAGES) * context.partitions
        self.holds_events = any(
            context.outbox.end_of(task.tp) - task.position > most for task in self._item_tasks()
        )
        self._keeps_events = self.holds_events and not behind
        self._look_for_room()

    def _look_for_room(self) -> None:
        """Stop fetching while too much waits: of what may be taken, since nothing more comes of the rest."""
        records, size_bytes = self._inbox.size(tp for tp in self._inbox.partitions() if not self._keeps(tp))
        if records < MOST_RECORDS and size_bytes < MOST_BYTES:
            self.has_room.set()
        else:
            self.has_room.clear()

    def _keeps(self, tp: TP) -> bool:
        return self._keeps_events and not is_internal(tp.topic)

    def _behind(self) -> bool:
        """Return whether a backlog is counted."""
        return any(task.refresher.behind for task in self._item_tasks())

    def _item_tasks(self) -> list[ItemTask]:
        return [task for task in self._tasks.values() if isinstance(task, ItemTask)]
