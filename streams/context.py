"""What all tasks of a worker share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from streams.foreign import TopicReader
from streams.lease import Lease
from streams.opening import Stores
from streams.outbox import Outbox
from streams.settings import Settings


@dataclass(frozen=True)
class Context:
    """What all tasks of a worker share.

    Attributes
    ----------
    lock
        Held by whoever uses a machine: the cycle, a query, the opening and closing of tasks.
    """

    settings: Settings
    outbox: Outbox
    partitions: int
    stores: Stores
    lease: Lease
    reader: TopicReader
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
