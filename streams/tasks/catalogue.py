"""The task of a partition of the items topic: it sends the catalogue to the item partitions of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.catalogue import CatalogueMachine, CatalogueSaver
from state.messages.deltas import Availability, Source, encode_availability
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.kafka.outbox import Record
from streams.kinds import BOUGHT, CATALOGUE_SOURCE, Kind
from streams.messages.decoding import decode_items
from streams.tasks.context import Context
from streams.tasks.outgoing import Outgoing
from streams.tasks.task import Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk


class CatalogueTask(Task):
    """Sends to every item partition which items can be bought."""

    machine: CatalogueMachine
    saver: CatalogueSaver

    def __init__(self, tp: TP, context: Context, kinds: Sequence[Kind]) -> None:
        super().__init__(tp, context)
        self._topics = [kind.deltas.name for kind in kinds]

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        self.machine = CatalogueMachine(Source(CATALOGUE_SOURCE, self.tp.partition))
        return CatalogueSaver(self.machine, store, self.log_identity)

    def begin(self) -> list[Record]:
        """Return everything that was sent, for kinds that are new or were not in the settings for a while."""
        # stores from before there were kinds do not record the readers, which were these
        known = self.saver.readers or [BOUGHT.deltas.name]
        missing = [topic for topic in self._topics if topic not in known]
        self.saver.readers = self._topics
        if missing and (message := self.machine.all_sent()) is not None:
            return self._records(message, missing)
        return []

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Send a chunk of the catalogue on."""
        decoded = decode_items(records)
        message = self.machine.apply(decoded.ids, decoded.available, chunk.end)
        self.counters.events += len(decoded.ids)
        return Outgoing([] if message is None else self._records(message, self._topics), decoded.refused)

    def _records(self, message: Availability, topics: Sequence[str]) -> list[Record]:
        raw = encode_availability(message)
        return [
            Record(topic, partition, None, raw)
            for topic in topics
            for partition in range(self.context.partitions)
        ]
