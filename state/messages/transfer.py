"""The transfer of histories from a customer machine to the crossing machine, in the topic first-events.

Purchases are not published there while nobody watches anything (`state.watched_bought.exchange`). These
messages transfer them later, all at once. They are in the same topic as those of
`state.messages.history_changes` (little-endian):

    header   magic "AT" | u8 version | u8 step | u16 source topic | u16 source partition | i64 number
    changes  of a PART or LAST: a message of history changes, as of its `end`; its offsets have no meaning

    ASK      somebody watched something: the machine of this partition's purchases shall transfer them
    BEGIN    the source is about to transfer all that it has; `number` is of this transfer alone
    PART     what has to change for the reader to have what the source has
    LAST     the same, and nothing is left: from `end` on the source publishes its events as they come

Between the BEGIN and the LAST of a transfer nothing else of the source counts: neither events nor parts of
earlier transfers. If several processes consider one another gone, the transfer that began last thus counts,
and the log alone decides which that is (`number` is a fencing token).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from state.errors import BadDelta, NoMessage
from state.messages.deltas import Source
from state.messages.history_changes import HistoryChanges, decode_history_changes, encode_history_changes

MAGIC = b"AT"
VERSION = 1
_HEADER = struct.Struct("<2sBBHHq")


class Step(IntEnum):
    """The steps of a transfer."""

    ASK = 0
    BEGIN = 1
    PART = 2
    LAST = 3


class Transfer(NamedTuple):
    """One message of a transfer; the module's docstring has its layout."""

    step: Step
    source: Source
    number: int = 0
    changes: HistoryChanges | None = None


def encode_message(message: HistoryChanges | Transfer) -> bytes:
    """Return the bytes of a message of the topic."""
    if isinstance(message, HistoryChanges):
        return encode_history_changes(message)
    header = _HEADER.pack(MAGIC, VERSION, message.step, *message.source, message.number)
    return header if message.changes is None else header + encode_history_changes(message.changes)


def decode_message(raw: bytes) -> HistoryChanges | Transfer:
    """Return the message of some bytes; its arrays are views of the bytes.

    Raises
    ------
    NoMessage
        If the bytes are no message of the topic.
    BadDelta
        If they are of another version.
    """
    if raw[:2] != MAGIC:
        return decode_history_changes(raw)
    if len(raw) < _HEADER.size:
        raise NoMessage(f"not a first-events message: {len(raw)} bytes have no whole header")
    if raw[2] != VERSION:
        raise BadDelta(f"transfer has layout {raw[2]}, this program reads {VERSION}")
    if raw[3] not in set(Step):
        raise NoMessage(f"not a first-events message: a transfer's step {raw[3]}")
    step, topic, partition, number = _HEADER.unpack_from(raw)[2:]
    parted = step in (Step.PART, Step.LAST)
    changes = decode_history_changes(raw[_HEADER.size :], offsets=False) if parted else None
    return Transfer(Step(step), Source(topic, partition), number, changes)
