"""Deltas: what one batch of customers' events changes in the counts of one item partition.

Customer machines write them, item machines read them, in this binary layout (little-endian, every array
padded to 8 bytes). Item numbers are those of the source's dictionary; only ids the source had not sent
before travel, so a reader holds the source's dictionary after reading all of its messages.

    header   magic "AD" | u8 version | u8 type | u16 source topic | u16 source partition
             i64 first | i64 end              source offsets covered: [first, end)
             i64 customers                    customers of the source partition that have an item
             u32 base | u32 new ids           numbers base .. base + new - 1 are the new ids
             u32 events | u32 near | u32 histories | u32 history items | u32 taken
    ids      u16 partition[new] | u16 bytes[new] | utf-8
    events   u32 offset - first | u32 item | u8 effect | u32 rank | u32 near end | i64 time_ms | u32 again
    near     u32 item | u8 distance           neighbours of NEW events that the partition needs
    gone     u32 event | i32 removed rank (-1: all) | u32 end | u32 taken end,
             then u32 item | u32 minute | u32 days | u32 span of the histories
    taken    u64 record of `state.purchase_logs`: purchases of what was removed, but for each item's first

`near` of an event: if the partition owns the event's item, all items within the window before it, nearest
first; else those of them that it owns. `again` is what `state.history_repeats.again` says of a REPEAT, 0 of
others. A GONE event carries the whole history as it was before.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from state.errors import BadDelta
from state.wire import Reader, Writer

MAGIC = b"AD"
VERSION = 3
_HEADER = struct.Struct("<2sBBHHqqqIIIIIII")


class Effect(IntEnum):
    """What an event did to its customer's history."""

    NEW = 1  # a new item
    REPEAT = 2  # more of an item
    GONE = 3  # an item was taken out, or the customer was erased


class Type(IntEnum):
    """Types of messages in pair-deltas."""

    COUNTS = 1
    CATALOGUE = 2
    SETTLE = 3
    PAIRS = 4  # see state.pair_changes


class Source(NamedTuple):
    """Where deltas come from: the number of the topic among the inputs, and the partition."""

    topic: int
    partition: int


class Deltas(NamedTuple):
    """One message. See the module's drawing."""

    source: Source
    first: int
    end: int
    customers: int
    base: int
    new_ids: list[str]
    new_partitions: npt.NDArray[np.uint16]
    offsets: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    effects: npt.NDArray[np.uint8]
    ranks: npt.NDArray[np.uint32]
    near_ends: npt.NDArray[np.uint32]
    times_ms: npt.NDArray[np.int64]
    again: npt.NDArray[np.uint32]
    near_items: npt.NDArray[np.uint32]
    near_distances: npt.NDArray[np.uint8]
    gone_events: npt.NDArray[np.uint32]
    gone_ranks: npt.NDArray[np.int32]
    gone_ends: npt.NDArray[np.uint32]
    taken_ends: npt.NDArray[np.uint32]
    gone_items: npt.NDArray[np.uint32]
    gone_minutes: npt.NDArray[np.uint32]
    gone_days: npt.NDArray[np.uint32]
    gone_spans: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint64]


_COLUMNS: tuple[tuple[type, ...], ...] = (
    (np.uint32, np.uint32, np.uint8, np.uint32, np.uint32, np.int64, np.uint32),  # events
    (np.uint32, np.uint8),  # near
    (np.uint32, np.int32, np.uint32, np.uint32),  # gone
    (np.uint32, np.uint32, np.uint32, np.uint32),  # items of gone histories
    (np.uint64,),  # taken
)


def message_type(raw: bytes) -> Type:
    """Type of an encoded message.

    Raises
    ------
    BadDelta
        If the bytes are of another version, or no message at all.
    """
    if len(raw) < 4 or raw[:2] != MAGIC:
        raise BadDelta(f"not a pair-deltas message: starts with {raw[:8]!r}")
    if raw[2] != VERSION:
        raise BadDelta(
            f"pair-deltas message has layout {raw[2]}, this program reads {VERSION}: run all workers in one"
            " version, and `alsobought rebuild` where another one counted before"
        )
    try:
        return Type(raw[3])
    except ValueError:
        raise BadDelta(f"pair-deltas message has unknown type {raw[3]}") from None


def nothing(source: Source, end: int) -> Deltas:
    """A source's first message, in which nothing happened up to offset `end`."""
    columns: list[Any] = [np.zeros(0, dtype) for dtypes in _COLUMNS for dtype in dtypes]
    return Deltas(source, 0, end, 0, 0, [], np.zeros(0, np.uint16), *columns)


def encode(d: Deltas) -> bytes:
    """The bytes of a message."""
    w = Writer()
    w.put(
        _HEADER.pack(
            MAGIC, VERSION, Type.COUNTS, *d.source, d.first, d.end, d.customers, d.base, len(d.new_ids),
            len(d.offsets), len(d.near_items), len(d.gone_events), len(d.gone_items), len(d.taken),
        )
    )  # fmt: skip
    w.put(d.new_partitions.tobytes())
    w.ids(d.new_ids)
    for column in d[7:]:
        w.put(column.tobytes())
    return w.message()


def decode(raw: bytes) -> Deltas:
    """The message of some bytes; its arrays are views of them.

    Raises
    ------
    BadDelta
        If the bytes are no message of this layout.
    """
    if message_type(raw) != Type.COUNTS:
        raise BadDelta(f"pair-deltas message is {message_type(raw).name}, not COUNTS")
    try:
        header = _HEADER.unpack_from(raw)
    except struct.error as error:
        raise BadDelta(f"pair-deltas message of {len(raw)} bytes has no whole header") from error
    topic, partition, first, end, customers, base, n_new, *lengths = header[3:]
    r = Reader(raw, _HEADER.size + -_HEADER.size % 8)
    partitions = r.array(np.uint16, n_new)
    ids = r.ids(n_new)
    columns = [r.array(dtype, n) for dtypes, n in zip(_COLUMNS, lengths, strict=True) for dtype in dtypes]
    return Deltas(Source(topic, partition), first, end, customers, base, ids, partitions, *columns)  # type: ignore[arg-type]


class Availability(NamedTuple):
    """Which items the catalogue says can be bought; from one batch of a catalogue partition."""

    source: Source
    first: int
    end: int
    ids: list[str]
    available: npt.NDArray[np.uint8]


_AVAILABILITY = struct.Struct("<2sBBHHqqII")


def encode_availability(a: Availability) -> bytes:
    """The bytes of a CATALOGUE message: header, u16 lengths, ids in utf-8, u8 flags."""
    w = Writer()
    w.put(_AVAILABILITY.pack(MAGIC, VERSION, Type.CATALOGUE, *a.source, a.first, a.end, len(a.ids), 0))
    w.ids(a.ids)
    w.put(a.available.tobytes())
    return w.message()


def decode_availability(raw: bytes) -> Availability:
    """The catalogue message of some bytes.

    Raises
    ------
    BadDelta
        If the bytes are no message of this layout.
    """
    if message_type(raw) != Type.CATALOGUE:
        raise BadDelta(f"pair-deltas message is {message_type(raw).name}, not CATALOGUE")
    if len(raw) < _AVAILABILITY.size:
        raise BadDelta(f"pair-deltas message of {len(raw)} bytes has no whole header")
    topic, partition, first, end, n, _ = _AVAILABILITY.unpack_from(raw)[3:]
    r = Reader(raw, _AVAILABILITY.size)
    ids = r.ids(n)
    return Availability(Source(topic, partition), first, end, ids, r.array(np.uint8, n))  # type: ignore[arg-type]


def encode_settle() -> bytes:
    """A SETTLE message: asks the reader to bring every list exactly up to date and to report it."""
    return MAGIC + bytes([VERSION, Type.SETTLE]) + bytes(4)
