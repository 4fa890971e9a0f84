"""What follows from a chunk and is to be sent, and the dead letters of what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from faust.types import TP

from streams.kafka.outbox import Record
from streams.messages.decoding import Refused
from streams.messages.schema import DeadLetter, encode
from streams.topics import DEAD_LETTERS


@dataclass
class Outgoing:
    """What follows from a chunk and is to be sent: records of topics, and the refused records."""

    records: list[Record] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def dead_letters(tp: TP, refused: Sequence[Refused]) -> list[Record]:
    """Return the dead letters of records of a partition, spread over their partitions as the records are."""
    return [
        Record(DEAD_LETTERS.name, tp.partition, one.record.key, encode(_letter(tp, one))) for one in refused
    ]


def _letter(tp: TP, refused: Refused) -> DeadLetter:
    record = refused.record
    return DeadLetter(
        tp.topic, tp.partition, record.offset, refused.reason, record.timestamp, record.key, record.value,
    )  # fmt: skip
