"""PAIRS messages: what a batch of history changes means for the pairs of what was watched and then bought.

Crossing machines write them to their item partitions, beside the other types of `state.messages.deltas`
(little-endian, every array padded to 8 bytes; ids and numbers as in COUNTS):

    header   magic "AD" | u8 version | u8 4 | u16 source topic | u16 source partition
             i64 first | i64 end              effects of the source's log covered: [first, end)
             i64 customers                    customers of the source partition that have an item
             u32 base | u32 new ids | u32 buyers | u32 sizes | u32 pairs
    ids      u16 partition[new] | u16 bytes[new] | utf-8
    buyers   u32 effect - first | u32 item | i8 change | i64 time_ms   of every item, bought
    sizes    u32 effect - first | u32 item | i32 before | i32 now      of watchers of the partition's items
    pairs    u32 effect - first | u32 item | u32 bought | i8 change | u32 minute

A size is the opportunity of one customer who watched the item, -1 where the customer is no watcher.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.errors import NoMessage
from state.messages.delta_types import MAGIC, VERSION, Type, message_type
from state.messages.deltas import Source
from state.messages.wire import Reader, Writer

_HEADER = struct.Struct("<2sBBHHqqqIIIII")
_BUYERS = (np.uint32, np.uint32, np.int8, np.int64)
_SIZES = (np.uint32, np.uint32, np.int32, np.int32)
_PAIRS = (np.uint32, np.uint32, np.uint32, np.int8, np.uint32)


class Buyers(NamedTuple):
    """One customer more (1) or fewer (-1) who has an item."""

    offsets: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    changes: npt.NDArray[np.int8]
    times_ms: npt.NDArray[np.int64]


class Sizes(NamedTuple):
    """The opportunities of one customer each."""

    offsets: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    before: npt.NDArray[np.int32]
    now: npt.NDArray[np.int32]


class Pairs(NamedTuple):
    """One pair more (1) or fewer (-1) of an item watched and an item then bought."""

    offsets: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    bought: npt.NDArray[np.uint32]
    changes: npt.NDArray[np.int8]
    minutes: npt.NDArray[np.uint32]


class PairChanges(NamedTuple):
    """One message; the module's docstring has its layout."""

    source: Source
    first: int
    end: int
    customers: int
    base: int
    new_ids: list[str]
    new_partitions: npt.NDArray[np.uint16]
    buyers: Buyers
    sizes: Sizes
    pairs: Pairs


def no_pairs(source: Source, end: int) -> PairChanges:
    """Return a source's first message, in which nothing happened up to offset `end`."""
    buyers, sizes, pairs = ([np.zeros(0, dtype) for dtype in dtypes] for dtypes in (_BUYERS, _SIZES, _PAIRS))
    return PairChanges(
        source, 0, end, 0, 0, [], np.zeros(0, np.uint16),
        Buyers(*buyers), Sizes(*sizes), Pairs(*pairs),  # type: ignore[arg-type]
    )  # fmt: skip


def encode_pairs(p: PairChanges) -> bytes:
    """Return the bytes of a message."""
    w = Writer()
    w.put(
        _HEADER.pack(
            MAGIC, VERSION, Type.PAIRS, *p.source, p.first, p.end, p.customers, p.base, len(p.new_ids),
            len(p.buyers.items), len(p.sizes.items), len(p.pairs.items),
        )
    )  # fmt: skip
    w.put(p.new_partitions.tobytes())
    w.ids(p.new_ids)
    for column in (*p.buyers, *p.sizes, *p.pairs):
        w.put(column.tobytes())
    return w.message()


def decode_pairs(raw: bytes) -> PairChanges:
    """Return the message of some bytes; its arrays are views of the bytes.

    Raises
    ------
    NoMessage
        If the bytes are no message of this type.
    BadDelta
        If they are of another version.
    """
    if message_type(raw) != Type.PAIRS:
        raise NoMessage(f"not a pair-deltas message of type PAIRS but {message_type(raw).name}")
    if len(raw) < _HEADER.size:
        raise NoMessage(f"not a pair-deltas message: {len(raw)} bytes have no whole header")
    topic, partition, first, end, customers, base, n_new, *lengths = _HEADER.unpack_from(raw)[3:]
    r = Reader(raw, _HEADER.size + -_HEADER.size % 8)
    partitions = r.array(np.uint16, n_new)
    ids = r.ids(n_new)
    buyers, sizes, pairs = (
        [r.array(dtype, n) for dtype in dtypes]
        for dtypes, n in zip((_BUYERS, _SIZES, _PAIRS), lengths, strict=True)
    )
    return PairChanges(
        Source(topic, partition), first, end, customers, base, ids, partitions,  # type: ignore[arg-type]
        Buyers(*buyers), Sizes(*sizes), Pairs(*pairs),  # type: ignore[arg-type]
    )  # fmt: skip
