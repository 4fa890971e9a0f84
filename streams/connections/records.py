"""Records as consumers deliver them, without what nobody here looks at.

aiokafka makes an object of eleven fields for each record, which takes five times as long as to read the
record itself. With `deliver_few_fields` its consumers make one of eight in C.

In place of a batch that cannot be read (`streams.connections.decompressing`) an `UnreadableBatch` is
delivered, which becomes a dead letter: otherwise nobody could read behind the batch any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
from aiokafka.consumer import fetcher

from streams.connections.decompressing import BatchUnreadable, bound_batches

log = logging.getLogger("alsobought")


class ConsumedRecord(msgspec.Struct, gc=False):
    """A record of a topic.

    Attributes
    ----------
    timestamp
        Milliseconds since 1970.
    timestamp_type
        0: the time that the producer gave it. 1: the broker's time when it was appended.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class UnreadableBatch(ConsumedRecord, gc=False):
    """Stands in for all records of a batch that cannot be read; its offset is that of the last of them.

    The value is a sentence that says so, and no message of any topic.
    """


class _Batches:
    """The batches of a fetch, and which of them was taken last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None
        self.has_next = records.has_next

    def next_batch(self) -> Any:
        self.last = self._records.next_batch()
        return self.last


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a partition that one fetch brought. Nobody here asks for other types than bytes."""

    _records: Any

    def _unpack_records(self) -> Iterator[ConsumedRecord]:
        self._records = batches = _Batches(self._records)
        while True:
            try:
                yield from super()._unpack_records()
                return
            except BatchUnreadable as error:
                batch = batches.last
                first, last = batch.base_offset, batch.next_offset - 1
                text = f"a batch of records, offsets {first} to {last}, cannot be read: {error}"
                log.warning("%s %d: %s", self._tp.topic, self._tp.partition, text)
                self.next_fetch_offset = batch.next_offset
                yield UnreadableBatch(
                    self._tp.topic, self._tp.partition, last, batch.max_timestamp,
                    batch.timestamp_type or 0, None, text.encode(), [],
                )  # fmt: skip

    def _consumer_record(self, tp: Any, record: Any) -> ConsumedRecord:
        return ConsumedRecord(
            tp.topic, tp.partition, record.offset, record.timestamp, record.timestamp_type, record.key,
            record.value, record.headers,
        )  # fmt: skip


def deliver_few_fields() -> None:
    """Let aiokafka's consumers in this process deliver `ConsumedRecord`s, of batches of bounded size."""
    fetcher.PartitionRecords = PartitionRecords
    bound_batches()
