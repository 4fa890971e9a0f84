"""What all tasks of a worker share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from faust.types import TP

from streams.foreign import TopicReader
from streams.kinds import EventKind, Kind, is_deltas
from streams.lease import Lease
from streams.opening import Stores
from streams.outbox import Outbox
from streams.settings import Settings
from streams.topics import TopicSpec

log = logging.getLogger("alsobought")

if TYPE_CHECKING:
    from streams.customer_task import CustomerTask
    from streams.item_task import ItemTask
    from streams.recommending.board import Boards
    from streams.recommending.following import Following
    from streams.recommending.unit import Unit
    from streams.tasks import Task


@dataclass(frozen=True)
class Context:
    """What all tasks of a worker share; `tasks` are those that are open, of all kinds."""

    settings: Settings
    outbox: Outbox
    partitions: int
    stores: Stores
    lease: Lease
    reader: TopicReader
    seek: Callable[[TP, int], Awaitable[None]]
    owns: Callable[[TP], bool]
    boards: Boards
    following: Following
    tasks: dict[TP, Task] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    ranking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def task(self, spec: TopicSpec, partition: int) -> Task | None:
        """The task of a topic's partition; None unless it is open. Units go together: see `assignment`."""
        return self.tasks.get(TP(spec.name, partition))

    def warn_of_partitioner(self, topic: str) -> None:
        """Say, once a topic, that its producers choose partitions by another rule than ours."""
        if topic not in self.warned:
            self.warned.add(topic)
            log.warning(
                "%s: events are in other partitions than their keys belong to, so a producer of this topic"
                " uses another partitioner than murmur2, the default of Kafka's Java client. They are"
                " counted, but all producers of all topics of events must use the same: set murmur2 in this"
                " producer, as docs/guide/producers.md says for each client library",
                topic,
            )

    def units(self, kind: EventKind) -> list[Unit]:
        """What recommends to the customers of a kind's open partitions."""
        tasks = (task for tp, task in self.tasks.items() if tp.topic == kind.events.name)
        return [cast("CustomerTask", task).unit for task in tasks]

    def item_tasks(self, kind: Kind | None = None) -> list[ItemTask]:
        """The open tasks of a kind's deltas, or of all kinds'."""
        return [
            cast("ItemTask", task)
            for tp, task in self.tasks.items()
            if (is_deltas(tp.topic) if kind is None else tp.topic == kind.deltas.name)
        ]
