"""What all tasks of a worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from faust.types import TP

from streams.foreign import TopicReader
from streams.kinds import Kind, is_deltas
from streams.lease import Lease
from streams.opening import Stores
from streams.outbox import Outbox
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.item_task import ItemTask
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
    tasks: dict[TP, Task] = field(default_factory=dict)
    ranking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def item_tasks(self, kind: Kind | None = None) -> list[ItemTask]:
        """The open tasks of a kind's deltas, or of all kinds'."""
        return [
            cast("ItemTask", task)
            for tp, task in self.tasks.items()
            if (is_deltas(tp.topic) if kind is None else tp.topic == kind.deltas.name)
        ]
