"""The catalogue to the item partitions: a partition of the items topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from state.catalogue import CatalogueMachine, CatalogueSaver
from state.deltas import Source, encode_availability
from state.saving import Saver
from state.store import RocksStore
from streams.decoding import Record, decode_items
from streams.tasks import Task
from streams.topics import ALL, ITEMS, PAIR_DELTAS

if TYPE_CHECKING:
    from streams.transport import Chunk

TOPIC_NUMBER = ALL.index(ITEMS)


class CatalogueTask(Task):
    """Tells every item partition which items can be bought."""

    machine: CatalogueMachine

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        self.machine = CatalogueMachine(Source(TOPIC_NUMBER, self.tp.partition))
        return CatalogueSaver(self.machine, store, self.context.stores.log_identity)

    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Pass a chunk of the catalogue on."""
        decoded = decode_items(records)
        message = self.machine.apply(decoded.ids, decoded.available, chunk.end)
        if message is not None:
            raw = encode_availability(message)
            for partition in range(self.context.partitions):
                await self.pending.add(await self.context.outbox.send(PAIR_DELTAS.name, partition, None, raw))
        await self.refuse(decoded.refused)
        self.counters.events += len(decoded.ids)
