"""A worker without Kafka that counts purchases of one partition and lists the items of all."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faust.types import TP

from state.messages.delta_types import encode_settle
from streams.kafka.outbox import Record
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT
from streams.messages.schema import EventMessage, key_text
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import as_event
from tests.oracles.counts import Oracle
from tests.streams.offline import PARTITIONS, Broker, Offline, records_of

EVENTS, LISTS = TP(PURCHASES.name, 0), BOUGHT.lists.name
WINDOW = 50


class Shop:
    """A worker that counts purchases of one partition and lists the items of all."""

    def __init__(self, root: Path, *, at_once: bool = True, **settings: Any) -> None:
        self.worker = Offline(root, Broker(at_once=at_once), {"watched_bought_days": 0, **settings})
        self.broker = self.worker.broker
        self.events = CustomerTask(EVENTS, self.worker.context, BOUGHT)
        self.items = [
            ItemTask(TP(PAIR_DELTAS.name, p), self.worker.context, BOUGHT) for p in range(PARTITIONS)
        ]

    async def open(self) -> None:
        for task in (self.events, *self.items):
            await self.worker.open(task)

    def bought(self, messages: Sequence[EventMessage], published_ms: float | None = None) -> Chunk:
        """Return the next purchases, as fetched."""
        start = self.events.position
        records = records_of(messages, start)
        for record in records:
            record.timestamp = int(time.time() * 1000 if published_ms is None else published_ms)
        return Chunk(EVENTS, start, start + len(records), records)

    def deltas(self) -> list[Chunk]:
        """Return the deltas that the item tasks have not yet got."""
        chunks = [self.worker.deltas(task.tp, task.position) for task in self.items]
        return [chunk for chunk in chunks if chunk.records]

    async def count(self, messages: Sequence[EventMessage], published_ms: float | None = None) -> None:
        """Count purchases, in one cycle, and the deltas that follow, in another."""
        await self.worker.once(self.bought(messages, published_ms))
        await self.worker.once(*self.deltas())

    async def ask_to_settle(self) -> list[int]:
        """Ask every item task to list exactly, as `drain` does; return the positions that they reach."""
        settle = encode_settle(time.time_ns())
        for task in self.items:
            self.worker.outbox.send(Record(task.tp.topic, task.tp.partition, None, settle))
        await self.worker.settle()
        self.broker.acknowledge(PAIR_DELTAS.name)
        await self.worker.once(*self.deltas())
        return [task.position for task in self.items]

    async def settle(self) -> list[int]:
        """Ask every item task to list exactly, and wait until they begin."""
        positions = await self.ask_to_settle()

        def begun() -> bool:
            self.broker.acknowledge(BOUGHT.popularity.name)
            return all(task.refresher.settling for task in self.items)

        await self.worker.until(begun)
        return positions

    def lists(self) -> dict[str, Any]:
        """Return the newest list of every item."""
        newest = {record.key: record.value for record in self.broker.of(LISTS)}
        return {key_text(key): json.loads(value) for key, value in newest.items() if value is not None}

    def published(self) -> int:
        return len(self.broker.of(LISTS))

    @property
    def has_waiting(self) -> bool:
        """Return whether a cycle without anything fetched has rows to rank."""
        return any(task.refresher.ready and task.refresher.has_waiting for task in self.items)

    @property
    def waiting(self) -> int:
        """Return the rows that wait to be ranked."""
        return sum(len(task.machine.waiting()) for task in self.items)


def oracle_of(messages: Sequence[EventMessage]) -> Oracle:
    return Oracle(WINDOW).feed(as_event(message) for message in messages)
