"""Purchases to deltas: a partition of the purchases and its customer machine."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from state import pairing
from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import Source, encode
from state.saving import Saver
from state.settings import CountingSettings
from state.store import RocksStore
from streams.decoding import Decoded, Record, Refused, decode_purchases
from streams.partitioning import partition_for
from streams.settings import Settings
from streams.tasks import Task
from streams.topics import ALL, PAIR_DELTAS, PURCHASES

if TYPE_CHECKING:
    from streams.transport import Chunk

TURN_S = 0.005
TURNS = 100

TOPIC_NUMBER = ALL.index(PURCHASES)


def counting_settings(settings: Settings) -> CountingSettings:
    """The machines' settings."""
    return CountingSettings(
        settings.window, settings.row_capacity, settings.list_length, settings.score, settings.score_tolerance
    )


def _partition(partitions: int, item_id: str) -> int:
    return partition_for(item_id.encode(), partitions)


class CustomerTask(Task):
    """Applies purchases and sends what they change to the item partitions."""

    machine: CustomerMachine
    memory_share = 0.2

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        partitions = self.context.partitions
        self.machine = CustomerMachine(
            counting_settings(self.context.settings),
            Source(TOPIC_NUMBER, self.tp.partition),
            partitions,
            partial(_partition, partitions),
            self.memory_bytes(partitions),
        )
        return CustomerSaver(self.machine, store, self.context.stores.log_identity)

    def limit_memory(self, tasks: int) -> None:
        """Keep to the budget of a worker with so many tasks of this kind."""
        self.machine.budget_bytes = self.memory_bytes(tasks)

    async def turn(self) -> None:
        """Let the item tasks of this worker go first: deltas that pile up only make lists late.

        Bounded, so that purchases go on when a worker's item partitions have much to do from others.
        """
        for _ in range(TURNS):
            if sum(task.busy for task in self.context.item_tasks) * 2 <= len(self.context.item_tasks):
                return
            await asyncio.sleep(TURN_S)

    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Count a chunk of purchases."""
        decoded = decode_purchases(records, chunk.end, self.machine)
        applied = self.machine.apply(decoded.batch)
        at_ms = records[0].timestamp if records else None
        for partition, messages in enumerate(applied.deltas):
            for message in messages:
                await self.pending.add(
                    await self.context.outbox.send(PAIR_DELTAS.name, partition, None, encode(message), at_ms)
                )
        await self.refuse(decoded.refused + self._not_owned(decoded, applied.outcomes.tolist()))
        self.counters.events += len(decoded.batch)

    @staticmethod
    def _not_owned(decoded: Decoded, outcomes: list[int]) -> list[Refused]:
        reason = "return of more than the customer has of the item"
        return [
            Refused(record, reason)
            for record, outcome in zip(decoded.records, outcomes, strict=True)
            if outcome == pairing.NOT_OWNED
        ]
