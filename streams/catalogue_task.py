"""The catalogue to the item partitions of every kind: a partition of the items topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from faust.types import TP

from state.catalogue import CatalogueMachine, CatalogueSaver
from state.deltas import Availability, Source, encode_availability
from state.saving import Saver
from state.store import RocksStore
from streams.context import Context
from streams.decoding import Record, decode_items
from streams.kinds import BOUGHT, CATALOGUE_SOURCE, Kind
from streams.tasks import Task

if TYPE_CHECKING:
    from streams.transport import Chunk


class CatalogueTask(Task):
    """Tells every item partition which items can be bought."""

    machine: CatalogueMachine
    saver: CatalogueSaver

    def __init__(self, tp: TP, context: Context, kinds: Sequence[Kind]) -> None:
        super().__init__(tp, context)
        self._topics = [kind.deltas.name for kind in kinds]

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        self.machine = CatalogueMachine(Source(CATALOGUE_SOURCE, self.tp.partition))
        return CatalogueSaver(self.machine, store, self.log_identity)

    async def begin(self) -> None:
        """Tell kinds that are new, or were not in the settings for a while, what the others were told."""
        # stores of before there were kinds do not say to whom; it was these
        told = self.saver.readers or [BOUGHT.deltas.name]
        missing = [topic for topic in self._topics if topic not in told]
        if missing and (message := self.machine.all_sent()) is not None:
            await self._send(message, missing)
        self.saver.readers = self._topics

    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Pass a chunk of the catalogue on."""
        decoded = decode_items(records)
        message = self.machine.apply(decoded.ids, decoded.available, chunk.end)
        if message is not None:
            await self._send(message, self._topics)
        await self.refuse(decoded.refused)
        self.counters.events += len(decoded.ids)

    async def _send(self, message: Availability, topics: Sequence[str]) -> None:
        raw = encode_availability(message)
        for topic in topics:
            for partition in range(self.context.partitions):
                await self.pending.add(await self.context.outbox.send(topic, partition, None, raw))
