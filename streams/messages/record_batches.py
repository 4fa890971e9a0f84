"""Write Kafka's record batches (format v2) whole: many records in one pass instead of a call for each.

aiokafka's own builder takes a Python call and several small objects per record, a fifth of the worker's time
when lists are published. Here a kernel frames all records of a batch at once, and `RecordBatch` takes the
place of aiokafka's `BatchBuilder`. The layout is that of the protocol (KIP-98, "Message format"):

    batch    i64 base offset | i32 length | i32 leader epoch | i8 magic 2 | u32 CRC-32C of what follows
             i16 attributes | i32 last offset delta | i64 first time | i64 largest time
             i64 producer id | i16 producer epoch | i32 base sequence | i32 records, then the records
    record   varint length | i8 attributes | varint time delta | varint offset delta
             varint key length | key | varint value length | value | varint headers, then the headers
    header   varint name length | name | varint value length | value

A varint is zigzag-encoded; a length of -1 stands for null.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import crc32c
import numpy as np
import numpy.typing as npt

from state.memory.arrays import address_of, kernel, store_any
from streams.messages.json_text import put_bytes
from streams.messages.packing import pack

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _ATTRIBUTES_AT = 17, 21
_AFTER_LENGTH = 12
_STATE = struct.Struct(">qhi")
_STATE_AT = 43  # producer id, epoch and base sequence
ZSTD = 4  # the codec in a batch's attributes
_FRAME_BYTES = 40  # the most that a record's frame takes without its key, value and headers

Bytes = npt.NDArray[np.uint8]
Ends = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """Pieces of one array of bytes: where each starts and ends. 7 bytes beyond each piece can be read."""

    raw: Bytes
    starts: Ends
    ends: Ends


def parts_of(texts: Sequence[bytes]) -> Parts:
    """Return texts joined, as parts."""
    sizes = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(sizes)
    # writable, so that the kernel sees one type of array
    return Parts(np.frombuffer(bytearray(b"".join((*texts, bytes(8)))), np.uint8), ends - sizes, ends)


def successive(raw: Bytes, ends: Ends) -> Parts:
    """Return the parts of an array that lie one behind the other."""
    return Parts(raw, np.append(0, ends[:-1]), ends)


class Framed(NamedTuple):
    """The records of one batch, framed and compressed, and their number."""

    raw: memoryview
    n: int


class RecordBatch:
    """A finished batch, in place of aiokafka's `BatchBuilder`.

    Parameters
    ----------
    records
        The framed records, one behind the other.
    count
        How many they are.
    at_ms
        The time of all of them in Kafka, ms since 1970.
    compressed
        Whether the records are compressed, by the function `compressed`.
    """

    def __init__(
        self, records: bytes | memoryview, count: int, at_ms: int, *, compressed: bool = False
    ) -> None:
        self._count = count
        self._buffer = bytearray(_HEADER.size + len(records))
        self._buffer[_HEADER.size :] = records
        _HEADER.pack_into(
            self._buffer, 0, 0, len(self._buffer) - _AFTER_LENGTH, -1, 2, 0, ZSTD if compressed else 0,
            count - 1, at_ms, at_ms, -1, -1, -1, count,
        )  # fmt: skip

    def append(self, **_record: object) -> None:
        """Take no further record, so that aiokafka begins another batch."""

    def close(self) -> None:
        """Do nothing, as the batch is finished."""

    def closed(self) -> bool:
        """Return whether it takes no more records."""
        return True

    def record_count(self) -> int:
        """Return how many records it has."""
        return self._count

    def size(self) -> int:
        """Return its size in bytes."""
        return len(self._buffer)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        _STATE.pack_into(self._buffer, _STATE_AT, producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        crc = crc32c.crc32c(memoryview(self._buffer)[_ATTRIBUTES_AT:])
        struct.pack_into(">I", self._buffer, _CRC_AT, crc)
        return self._buffer


def packed(records: Sequence[tuple[bytes, bytes | None]]) -> Framed:
    """Frame and compress records, keys and values."""
    keys, values = parts_of([key for key, _ in records]), parts_of([value or b"" for _, value in records])
    null = np.array([value is None for _, value in records])
    return Framed(compressed(frame(keys, values, null)), len(records))


def frame(keys: Parts, values: Parts, null: npt.NDArray[np.bool_]) -> memoryview:
    """Frame records; `null` has which values are null (tombstones)."""
    size = int((keys.ends - keys.starts).sum() + (values.ends - values.starts).sum())
    out = np.empty(size + _FRAME_BYTES * len(null) + 8, np.uint8)
    return out[: _frame(out, keys, values, null)].data


def compressed(records: memoryview) -> memoryview:
    """Return framed records, compressed with Zstandard."""
    return memoryview(pack(records))


def _varint(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append((zigzag & 0x7F) | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _field(value: bytes | None) -> bytes:
    return b"\x01" if value is None else _varint(len(value)) + value


def framed(
    records: Iterable[tuple[bytes | None, bytes | None]],
    headers: Sequence[tuple[str, bytes]] = (),
    first: int = 0,
) -> tuple[bytes, int]:
    """Frame a few records, keys and values, all with the same headers; return them and their number.

    Parameters
    ----------
    first
        The offset delta of the first: how many records of the batch are before it.
    """
    extra = _varint(len(headers)) + b"".join(_field(name.encode()) + _field(value) for name, value in headers)
    parts, n = [], first
    for key, value in records:
        body = b"".join((b"\0\0", _varint(n), _field(key), _field(value), extra))
        parts += [_varint(len(body)), body]
        n += 1
    return b"".join(parts), n - first


@kernel
def _put_varint(at: int, value: int) -> int:
    """Write a varint of a number that is not negative; return the address behind it."""
    rest = np.uint64(value) << np.uint64(1)
    while rest > np.uint64(0x7F):
        store_any(at, (rest & np.uint64(0x7F)) | np.uint64(0x80))
        rest >>= np.uint64(7)
        at += 1
    store_any(at, rest)
    return at + 1


@kernel
def _varint_bytes(value: int) -> int:
    """Return how many bytes the varint of a number that is not negative takes."""
    rest = np.uint64(value) << np.uint64(1)
    size = 1
    while rest > np.uint64(0x7F):
        rest >>= np.uint64(7)
        size += 1
    return size


@kernel
def _frame(out: Bytes, keys: Parts, values: Parts, null: npt.NDArray[np.bool_]) -> int:
    """Frame records into `out`, which has room for them, _FRAME_BYTES more for each, and 8 more.

    Return how many bytes were written.
    """
    at = begin = address_of(out)
    for i in range(len(null)):
        key, value = int(keys.ends[i] - keys.starts[i]), int(values.ends[i] - values.starts[i])
        body = 2 + _varint_bytes(i) + _varint_bytes(key) + key + 1
        body += 1 if null[i] else _varint_bytes(value) + value
        at = _put_varint(at, body)
        store_any(at, np.uint64(0))  # attributes, and no time after the batch's
        at = _put_varint(_put_varint(at + 2, i), key)
        at = put_bytes(at, address_of(keys.raw) + int(keys.starts[i]), key)
        if null[i]:
            store_any(at, np.uint64(1))  # a length of -1
            at += 1
        else:
            at = put_bytes(_put_varint(at, value), address_of(values.raw) + int(values.starts[i]), value)
        store_any(at, np.uint64(0))  # no headers
        at += 1
    return at - begin
