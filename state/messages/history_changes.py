"""History changes: which items a batch of events brought into customers' histories, and took out of them.

They are published to the topic `first-events`. The customer machines of watches write them, and those of
purchases once anything is watched (`state.watched_bought.exchange`); the crossing machine of the same
partition reads them. The binary layout is little-endian, with every array padded to 8 bytes. A message stands
alone: its tables have all customers and items that its effects number.

    header   magic "AF" | u8 version | u8 0 | u16 source topic | u16 source partition
             i64 first | i64 end              source offsets covered: [first, end)
             i64 since                        source offset from which on it publishes all its effects
             u32 customers | u32 items | u32 effects
    tables   u16 bytes[customers] | utf-8 | u16 bytes[items] | utf-8
    effects  u32 offset - first | u32 customer | u32 item | u8 effect | i64 time_ms

An effect is NEW or GONE, as in `state.messages.deltas`; `time_ms` of a GONE has no meaning. An erasure is a
GONE of every item. The source topic is 0 for purchases, 1 for watches.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.errors import BadDelta, NoMessage
from state.messages.deltas import Effect, Source
from state.messages.wire import (
    MOST_OFFSET,
    Reader,
    Writer,
    are_times,
    require,
    require_ascending,
    require_below,
)

MAGIC = b"AF"
VERSION = 1
BOUGHT, WATCHED = 0, 1
_HEADER = struct.Struct("<2sBBHHqqqIII")
_COLUMNS = (np.uint32, np.uint32, np.uint32, np.uint8, np.int64)


class HistoryChanges(NamedTuple):
    """One message; the module's docstring has its layout."""

    source: Source
    first: int
    end: int
    since: int
    customers: list[str]
    item_ids: list[str]
    offsets: npt.NDArray[np.uint32]
    whose: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    effects: npt.NDArray[np.uint8]
    times_ms: npt.NDArray[np.int64]


def encode_history_changes(f: HistoryChanges) -> bytes:
    """Return the bytes of a message."""
    w = Writer()
    w.put(
        _HEADER.pack(
            MAGIC, VERSION, 0, *f.source, f.first, f.end, f.since, len(f.customers), len(f.item_ids),
            len(f.offsets),
        )
    )  # fmt: skip
    w.ids(f.customers)
    w.ids(f.item_ids)
    for column in f[6:]:
        w.put(column.tobytes())
    return w.message()


def decode_history_changes(raw: bytes, *, offsets: bool = True) -> HistoryChanges:
    """Return the message of some bytes; its arrays are views of a copy of the bytes.

    Without `offsets`, those of the effects have no meaning, as in a transfer.

    Raises
    ------
    NoMessage
        If the bytes are no message, or its parts do not fit together.
    BadDelta
        If they are a message of another layout.
    """
    if raw[:2] != MAGIC or len(raw) < _HEADER.size:
        raise NoMessage(f"not a first-events message: starts with {raw[:8]!r}")
    if raw[2] != VERSION:
        raise BadDelta(f"first-events message has layout {raw[2]}, this program reads {VERSION}")
    topic, partition, first, end, since, n_customers, n_items, n = _HEADER.unpack_from(raw)[3:]
    r = Reader(raw, _HEADER.size + -_HEADER.size % 8, "first-events")
    customers, items = r.ids(n_customers), r.ids(n_items)
    columns = [r.array(dtype, n) for dtype in _COLUMNS]
    changes = HistoryChanges(Source(topic, partition), first, end, since, customers, items, *columns)  # type: ignore[arg-type]
    _check(changes, offsets)
    return changes


def _check(f: HistoryChanges, offsets: bool) -> None:
    """Raise NoMessage unless a message can be applied; with `offsets` also check those of its effects."""
    what = "first-events"
    require(0 <= f.first <= f.end < MOST_OFFSET and 0 <= f.since < MOST_OFFSET, what, "offsets")
    if offsets:
        require_ascending(f.offsets, f.end - f.first, what)
    require_below(f.whose, len(f.customers), what, "customers")
    require_below(f.items, len(f.item_ids), what, "items")
    require(((f.effects == Effect.NEW) | (f.effects == Effect.GONE)).all(), what, "effects")
    require(are_times(f.times_ms), what, "times")
