"""The types of messages in pair-deltas, and the one that has no arrays: SETTLE.

All begin with MAGIC, u8 version and u8 type. SETTLE goes on with 4 zeros and a u64 number (little-endian).
"""

from __future__ import annotations

from enum import IntEnum

from state.errors import BadDelta, NoMessage

MAGIC = b"AD"
VERSION = 4
MOST_SETTLE = (1 << 62) - 1


class Type(IntEnum):
    """Types of messages in pair-deltas."""

    COUNTS = 1
    CATALOGUE = 2
    SETTLE = 3
    PAIRS = 4  # see state.messages.pair_changes


def message_type(raw: bytes) -> Type:
    """Return the type of an encoded message.

    Raises
    ------
    NoMessage
        If the bytes are no message.
    BadDelta
        If they are of another version.
    """
    if len(raw) < 4 or raw[:2] != MAGIC:
        raise NoMessage(f"not a pair-deltas message: starts with {raw[:8]!r}")
    if raw[2] != VERSION:
        raise BadDelta(
            f"pair-deltas message has layout {raw[2]}, this program reads {VERSION}: run all workers in one"
            " version, and `alsobought rebuild` where another one counted before"
        )
    try:
        return Type(raw[3])
    except ValueError:
        raise NoMessage(f"not a pair-deltas message: its type is {raw[3]}") from None


def encode_settle(settle: int) -> bytes:
    """Return a SETTLE message, which asks the reader to bring every list exactly up to date and to report it.

    Each partition gets the same number, which grows from one settling to the next. A reader publishes the
    popularity of its items together with the number, and ranks by what all have published with it.
    """
    return MAGIC + bytes([VERSION, Type.SETTLE]) + bytes(4) + settle.to_bytes(8, "little")


def decode_settle(raw: bytes) -> int:
    """Return the number of a SETTLE message.

    Raises
    ------
    NoMessage
        If it has no number that was counted up to.
    """
    if len(raw) != 16:
        raise NoMessage(f"not a pair-deltas message: SETTLE of {len(raw)} bytes")
    number = int.from_bytes(raw[8:], "little")
    if number > MOST_SETTLE:
        raise NoMessage(f"not a pair-deltas message: SETTLE with the number {number}")
    return number
