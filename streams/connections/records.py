"""Records as consumers deliver them, without what nobody here looks at.

aiokafka makes an object of eleven fields for each record, which takes five times as long as to read the
record itself. With `deliver_few_fields` its consumers make one of eight in C.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiokafka.consumer import fetcher


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


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a partition that one fetch brought. Nobody here asks for other types than bytes."""

    def _consumer_record(self, tp: Any, record: Any) -> ConsumedRecord:
        return ConsumedRecord(
            tp.topic, tp.partition, record.offset, record.timestamp, record.timestamp_type, record.key,
            record.value, record.headers,
        )  # fmt: skip


def deliver_few_fields() -> None:
    """Let all of aiokafka's consumers in this process deliver `ConsumedRecord`s."""
    fetcher.PartitionRecords = PartitionRecords
