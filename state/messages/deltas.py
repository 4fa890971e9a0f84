"""Deltas: what one batch of customers' events changes in the counts of one item partition.

Customer machines write them, item machines read them, in this binary layout (little-endian). A partition gets
a message only of batches with events that concern it: those of its own items, and those whose neighbours in
the customer's history it owns. Items are numbered by the message's own table, in which each is the hash of
its id (`state.memory.item_ids`), those first that the partition owns.

    header   magic "AD" | u8 version | u8 type | u16 source topic | u16 source partition
             i64 previous | i64 first | i64 end   source offsets covered: [first, end); those from previous to
                                                  first do not concern the partition
             i64 customers                        customers of the source partition that have an item
             u32 items | u32 own | u32 new ids | u32 events | u32 near | u32 histories | u32 history items
             u32 taken
    u64      hash[items]
             taken: records of `state.customers.purchase_logs` of what was removed, but for each item's first
    u32      events:   offset - first | effect * 2^30 + item | rank of a NEW, `again` of a REPEAT | near end |
                       minute | milliseconds of it
             near:     distance * 2^24 + item      neighbours of NEW events that the partition needs
             gone:     event | i32 removed rank (-1: all) | end | taken end,
                       then item | minute | days | span of the histories
             new ids:  item                        whose ids follow
    ids      u16 bytes[new ids], padded to 8 | utf-8

`near` of an event: if the partition owns the event's item, all items within the window before it, nearest
first; else those of them that it owns. `again` is what `state.customers.repeats.again` says of a REPEAT,
which only the item's partition gets. A GONE event carries the whole history as it was before, to each
partition that owns an item of it; `taken` are those of the partition's items. New ids are those of items
whose partitions have not got from the source since it started.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from state.errors import NoMessage
from state.memory.arrays import kernel
from state.messages.delta_types import MAGIC, VERSION, Type, message_type
from state.messages.wire import Reader, Writer

MOST_ITEMS = 1 << 24  # of a message
EFFECT_BITS = 30  # an item's number is below them
DISTANCE_BITS = 24
_HEADER = struct.Struct("<2sBBHHqqqqIIIIIIII")


class Effect(IntEnum):
    """What an event did to its customer's history."""

    NEW = 1  # a new item
    REPEAT = 2  # more of an item
    GONE = 3  # an item was taken out, or the customer was erased


class Source(NamedTuple):
    """The source of deltas: the number of the topic among the inputs, and the partition."""

    topic: int
    partition: int


Words = npt.NDArray[np.uint32]


class Deltas(NamedTuple):
    """One message; the module's docstring has its layout."""

    source: Source
    previous: int
    first: int
    end: int
    customers: int
    own: int
    events: int
    near: int
    gone: int
    histories: int
    new_ids: list[str]
    hashes: npt.NDArray[np.uint64]
    taken: npt.NDArray[np.uint64]
    words: Words
    new_items: Words

    def offsets(self) -> npt.NDArray[np.int64]:
        """Return the offsets of its events in their source, in order."""
        return self.first + self.words[: self.events].astype(np.int64)


class Columns(NamedTuple):
    """The columns of a message's words."""

    offsets: Words
    items: Words
    details: Words
    near_ends: Words
    minutes: Words
    millis: Words
    near: Words
    gone_events: Words
    gone_ranks: Words
    gone_ends: Words
    taken_ends: Words
    gone_items: Words
    gone_minutes: Words
    gone_days: Words
    gone_spans: Words


_LENGTHS = (6, 1, 4, 4)  # columns of events, near, gone, histories


@kernel
def columns_of(words: npt.NDArray[Any], events: int, near: int, gone: int, histories: int) -> Columns:
    """Split words into columns, which are one behind the other."""
    e, n, g, h = events, near, gone, histories
    to_near = 6 * e
    to_gone = to_near + n
    to_items = to_gone + 4 * g
    return Columns(
        words[:e], words[e : 2 * e], words[2 * e : 3 * e], words[3 * e : 4 * e], words[4 * e : 5 * e],
        words[5 * e : to_near], words[to_near:to_gone],
        words[to_gone : to_gone + g], words[to_gone + g : to_gone + 2 * g],
        words[to_gone + 2 * g : to_gone + 3 * g], words[to_gone + 3 * g : to_items],
        words[to_items : to_items + h], words[to_items + h : to_items + 2 * h],
        words[to_items + 2 * h : to_items + 3 * h], words[to_items + 3 * h : to_items + 4 * h],
    )  # fmt: skip


def nothing(source: Source, end: int) -> Deltas:
    """Return a source's first message, in which nothing happened up to offset `end`."""
    none, no_words = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    return Deltas(source, 0, 0, end, 0, 0, 0, 0, 0, 0, [], none, none, no_words, no_words)


def encode(d: Deltas) -> bytes:
    """Return the bytes of a message."""
    head = _HEADER.pack(
        MAGIC, VERSION, Type.COUNTS, *d.source, d.previous, d.first, d.end, d.customers, len(d.hashes), d.own,
        len(d.new_ids), d.events, d.near, d.gone, d.histories, len(d.taken),
    )  # fmt: skip
    parts: list[Any] = [head, d.hashes, d.taken, d.words]
    if d.new_ids:
        w = Writer()
        w.ids(d.new_ids)
        parts += [d.new_items, *w.parts]
    return b"".join(parts)


def decode(raw: bytes) -> Deltas:
    """Return the message of some bytes; its arrays are views of a copy of the bytes.

    Raises
    ------
    NoMessage
        If the bytes are no message of this type.
    BadDelta
        If they are of another version.
    """
    if message_type(raw) != Type.COUNTS:
        raise NoMessage(f"not a pair-deltas message of type COUNTS but {message_type(raw).name}")
    try:
        header = _HEADER.unpack_from(raw)
    except struct.error as error:
        raise NoMessage(f"not a pair-deltas message: {len(raw)} bytes have no whole header") from error
    _, _, _, topic, partition, previous, first, end, customers, items, own, n_new, *lengths, taken = header
    r = Reader(raw, _HEADER.size, padded=False)
    arrays: list[Any] = [r.array(np.uint64, items), r.array(np.uint64, taken)]
    arrays.append(r.array(np.uint32, sum(n * of_them for n, of_them in zip(lengths, _LENGTHS, strict=True))))
    arrays.append(r.array(np.uint32, n_new))
    ids: list[str] = []
    if n_new:
        r.padded = True
        ids = r.ids(n_new)
    source = Source(topic, partition)
    return Deltas(source, previous, first, end, customers, own, *lengths, ids, *arrays)  # type: ignore[call-arg]


class Availability(NamedTuple):
    """The items that the catalogue makes available or unavailable, from
    one batch of a catalogue partition.
    """

    source: Source
    first: int
    end: int
    ids: list[str]
    available: npt.NDArray[np.uint8]


_AVAILABILITY = struct.Struct("<2sBBHHqqII")


def encode_availability(a: Availability) -> bytes:
    """Return the bytes of a CATALOGUE message: header, u16 lengths, ids in utf-8, u8 flags."""
    w = Writer()
    w.put(_AVAILABILITY.pack(MAGIC, VERSION, Type.CATALOGUE, *a.source, a.first, a.end, len(a.ids), 0))
    w.ids(a.ids)
    w.put(a.available.tobytes())
    return w.message()


def decode_availability(raw: bytes) -> Availability:
    """Return the catalogue message of some bytes.

    Raises
    ------
    NoMessage
        If the bytes are no message of this type.
    BadDelta
        If they are of another version.
    """
    if message_type(raw) != Type.CATALOGUE:
        raise NoMessage(f"not a pair-deltas message of type CATALOGUE but {message_type(raw).name}")
    if len(raw) < _AVAILABILITY.size:
        raise NoMessage(f"not a pair-deltas message: {len(raw)} bytes have no whole header")
    topic, partition, first, end, n, _ = _AVAILABILITY.unpack_from(raw)[3:]
    r = Reader(raw, _AVAILABILITY.size)
    ids = r.ids(n)
    available: npt.NDArray[np.uint8] = r.array(np.uint8, n)  # type: ignore[assignment]
    if not 0 <= first <= end or "" in ids or (available > 1).any():
        raise NoMessage("not a pair-deltas message: its offsets, ids or flags are out of range")
    return Availability(Source(topic, partition), first, end, ids, available)
