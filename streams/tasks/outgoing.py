"""What follows from a chunk and is to be sent, and the dead letters of what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from faust.types import TP

from streams.connections.records import UnreadableBatch
from streams.kafka.outbox import Record
from streams.messages.decoding import Refused
from streams.messages.schema import DeadLetter, encode
from streams.tasks.following import FollowedEvents
from streams.topics import DEAD_LETTERS

MOST_KEPT_BYTES = DEAD_LETTERS.max_message_bytes // 4
"""The size up to which a refused record is kept whole: of purchases, each."""
KEPT_BYTES = 65_536


@dataclass
class Outgoing:
    """What follows from a chunk and is to be sent: records of topics, and the refused records.

    `followed` has the spans of its traced events, None without any.
    """

    records: list[Record] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    followed: FollowedEvents | None = None


def explained(refused: Sequence[Refused]) -> list[Refused]:
    """Return refused records with their reasons; of what stands in for a batch, with why that is so."""
    return [
        Refused(one.record, (one.record.value or b"").decode())
        if isinstance(one.record, UnreadableBatch)
        else one
        for one in refused
    ]


def dead_letters(tp: TP, refused: Sequence[Refused]) -> list[Record]:
    """Return the dead letters of records of a partition, spread over their partitions as the records are."""
    letters = (_letter(tp, one) for one in refused)
    return [Record(DEAD_LETTERS.name, tp.partition, letter.key, encode(letter)) for letter in letters]


def _letter(tp: TP, refused: Refused) -> DeadLetter:
    record, reason = refused.record, refused.reason
    key, value = record.key, record.value
    size = len(key or b"") + len(value or b"")
    if size > MOST_KEPT_BYTES:  # in Kafka's base64 and JSON it would be more than the topic takes
        key, value = key and key[:KEPT_BYTES], value and value[:KEPT_BYTES]
        reason += f" (of its {size:,} bytes only the beginning is kept here)"
    return DeadLetter(tp.topic, tp.partition, record.offset, reason, record.timestamp, key, value)
