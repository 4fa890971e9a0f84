"""Writes the records of a copy, and marks how far it is.

The last record of each batch has a header which says from where it is: the topic's id, partition and offset.
A partition takes a batch as a whole, so the last record of a partition of the copy says how far it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alsobought.options import CommandError
from streams.messages.partitioning import partition_for

MARK = "alsobought-copied-from"
"""The header: topic id, partition and offset, separated by slashes."""

BATCH_BYTES = 256 << 10


@dataclass(frozen=True)
class Place:
    """A record of the original."""

    topic_id: str
    partition: int
    offset: int

    @classmethod
    def of(cls, headers: Sequence[tuple[str, bytes]]) -> Place | None:
        """Return the place that the headers of a copied record name; None if they name none."""
        with contextlib.suppress(KeyError, ValueError):
            topic_id, partition, offset = dict(headers)[MARK].decode().split("/")
            return cls(topic_id, int(partition), int(offset))
        return None

    def header(self) -> tuple[str, bytes]:
        """Return the header that names this place."""
        return MARK, f"{self.topic_id}/{self.partition}/{self.offset}".encode()


def copied_to(key: bytes | None, partition: int, n: int, m: int) -> int:
    """Return the partition of m to which a record goes that is in partition `partition` of n.

    >>> partition_for(b"dora", 4), partition_for(b"dora", 8), copied_to(b"dora", 2, 4, 8)
    (2, 6, 6)
    >>> copied_to(b"dora", 3, 4, 8)  # it was not in its partition: it stays apart from those that were
    7
    """
    return partition if key is None else partition + n * (partition_for(key, m) // n)


@dataclass
class Written:
    """A partition of the copy.

    Attributes
    ----------
    copied
        The offset of the newest record of the original that it has; -1 if it has none.
    end
        The offset after its last record.
    """

    copied: int
    end: int


class Writer:
    """Writes records to the partitions of a copy, each in the order in which they are given.

    Parameters
    ----------
    producer
        An idempotent producer of aiokafka, started.
    topic
        The name of the copy.
    topic_id
        The id of the original.
    partitions
        The partitions of the copy, as they are; what is written is noted there.
    place_of
        Returns the partition of the copy to which a record goes.
    """

    def __init__(
        self, producer: Any, topic: str, topic_id: str, partitions: dict[int, Written],
        place_of: Callable[[Any], int],
    ) -> None:  # fmt: skip
        self._producer, self._topic, self._topic_id = producer, topic, topic_id
        self._partitions, self._place_of = partitions, place_of
        self._waiting: dict[int, list[Any]] = {to: [] for to in partitions}
        self._bytes = dict.fromkeys(partitions, 0)
        self._sent: dict[int, tuple[Any, int]] = {}
        self.count = 0

    async def add(self, records: Sequence[Any]) -> None:
        """Take records, leave out those that the copy has, and send what is enough for a batch.

        Raises
        ------
        CommandError
            Somebody else writes to the copy.
        KafkaError
        """
        for record in records:
            to = self._place_of(record)
            if record.offset <= self._partitions[to].copied:
                continue
            size = len(record.key or b"") + len(record.value or b"")
            if self._bytes[to] + size > BATCH_BYTES:
                await self._send(to)
            self._waiting[to].append(record)
            self._bytes[to] += size

    async def finish(self) -> int:
        """Send the rest, wait for Kafka, and return how many records were copied; raises as `add` does."""
        for to in self._partitions:
            await self._send(to)
        for to in self._partitions:
            await self._acknowledged(to)
        return self.count

    async def _send(self, to: int) -> None:
        records, self._waiting[to], self._bytes[to] = self._waiting[to], [], 0
        if not records:
            return
        await self._acknowledged(to)  # one batch of a partition is on its way
        builder = self._producer.create_batch()
        for record in records:
            headers = [(name, value) for name, value in record.headers if name != MARK]
            if record is records[-1]:
                headers.append(Place(self._topic_id, record.partition, record.offset).header())
            builder.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers)
        builder.close()
        assert builder.record_count() == len(records), "the producer's batches are smaller than ours"
        future = await self._producer.send_batch(builder, self._topic, partition=to)
        self._sent[to] = future, len(records)

    async def _acknowledged(self, to: int) -> None:
        if to not in self._sent:
            return
        future, count = self._sent.pop(to)
        offset, written = (await future).offset, self._partitions[to]
        if offset != written.end:
            raise CommandError(
                f"somebody else wrote to {self._topic}-{to} at offset {written.end}: the order of a"
                " customer's events may be wrong. Stop who writes there, delete the copy's topics, create"
                " them anew, and copy."
            )
        written.end = offset + count
        self.count += count
