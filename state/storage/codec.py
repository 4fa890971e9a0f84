"""The stored records, byte by byte, and those that are small. Little-endian; every record is framed:

    frame      u8 layout (8) | u8 kind | u16 0 | u32 CRC-32C of the payload | payload

    META       JSON: see the stores
    PAGE       ids: u32 n | u16 bytes[n] | utf-8
    NUMBERS    i32[n]: items of rows, partitions of items, or a source's items, from the key's number on
    HASHES     u64[n]: hashes of the ids of items (`state.memory.item_ids`), from the key's number on
    HISTORY    i64 included | i64 event ids seen | u32 items n | u32 ring r | u32 log l
               u32 the counter of state.customers.daily_limit
               u32 item[n] | u32 quantity[n] | i64 first_ms[n] | i64 last_ms[n] | u32 days[n] | f32 recent[n]
               u64 event id hash[r] | u64 record of state.customers.purchase_logs[l]
               the customer's id and those of the profiles in utf-8, NUL in between
    ROW        i64 included | i64 mass | f64 recent mass | i64 dropped | f64 lost
               u32 once | u32 repeated | u32 cells c | u32 least minute | u8 bits of a neighbour
               u8 of a minute | u8 of a count after | u8 of a count before | u32 0 | u32 sizes[2 c]
               bits (neighbour, after (1), minute - least minute)[once], (neighbour, after, before)[repeated]
               up to a word's end | f64 F[repeated]
    CLOCK      i64 included | i64 newest event time in ms | i64 purchases
    POPULARITY of a block of items: i64 newest day | u64 items n | i64 item[n] | i64 buyers[n]
               i64 repeats[n, 3] | i64 first_days[n] | f64 recent_buyers[n]
               u64 counts m | u64 (day slot * 2^27 + item)[m] | u64 count[m]
    HIDDEN     i32[n]: items that are not available
    SENT       i64: an offset
    NUMBER     u32: the number of an id
    ID         utf-8: the id of a number
    TOTALS     i64 ids in the dictionary | i64 customers with an item
    NEWEST     i64: time of the newest event that brought an item into a history

Stores of earlier layouts cannot be used; `alsobought rebuild` recounts the events that Kafka still has.
Layout 2 had no log in HISTORY, so that purchases could not be taken back from their days; layout 4 had no
HASHES, and the popularity of the whole catalogue in every item partition; layout 5 had a record for the id of
every item; layout 6 had no buyers decayed by age in POPULARITY; layout 7 had the words of entries in ROW.

`included` is the included offset: that of the last event which the record includes. A replay skips what a
record already includes. `state.customers.codec` packs HISTORY, `state.items.codec` ROW and POPULARITY.
"""

from __future__ import annotations

import functools
import inspect
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import crc32c
import msgspec
import numpy as np
import numpy.typing as npt

from state.errors import CorruptRecord, UnknownLayout

Unpack = TypeVar("Unpack", bound=Callable[..., Any])

LAYOUT = 8
_FRAME = struct.Struct("<BBHI")
FRAME_BYTES = _FRAME.size
_NUMBER = struct.Struct("<I")
_SENT = struct.Struct("<q")
_TOTALS = struct.Struct("<qq")
_NEWEST = struct.Struct("<q")


def reads_records(unpack: Unpack) -> Unpack:
    """Let a function with a parameter `key` raise CorruptRecord where a payload is not laid out as it says.

    A record with a right checksum has what was written. It is not laid out like this only if somebody else
    wrote it.
    """
    at = list(inspect.signature(unpack).parameters).index("key")

    @functools.wraps(unpack)
    def unpacking(*arguments: Any) -> Any:
        try:
            return unpack(*arguments)
        except (struct.error, ValueError, IndexError, OverflowError, msgspec.MsgspecError) as error:
            raise CorruptRecord(f"record {arguments[at]!r} is damaged: {error}") from error

    return unpacking  # type: ignore[return-value]


class RecordKind(IntEnum):
    """The kinds of records."""

    META = 1
    PAGE = 2
    NUMBERS = 3
    HISTORY = 4
    ROW = 5
    POPULARITY = 6
    NUMBER = 7
    ID = 8
    TOTALS = 9
    HASHES = 10
    CLOCK = 11
    HIDDEN = 12
    SENT = 13
    NEWEST = 14


def frame(kind: RecordKind, payload: bytes | memoryview) -> bytes:
    """Return a record of a payload."""
    return b"".join((_FRAME.pack(LAYOUT, kind, 0, crc32c.crc32c(payload)), payload))


def unframe(kind: RecordKind, key: bytes, raw: bytes, oldest: int = LAYOUT) -> bytes:
    """Return the payload of a record of this layout, or of an equal one from layout `oldest` on.

    Raises as `check` does.
    """
    check(kind, key, raw, oldest)
    return raw[FRAME_BYTES:]


def check(kind: RecordKind, key: bytes, raw: bytes, oldest: int = LAYOUT) -> None:
    """Raise if a record is not of a kind, or is not whole; its payload begins after FRAME_BYTES.

    Raises
    ------
    UnknownLayout
        If another version wrote it.
    CorruptRecord
        If its bytes are not those that were written.
    """
    if len(raw) < FRAME_BYTES:
        raise CorruptRecord(f"record {key!r} has {len(raw)} bytes, less than a frame")
    written, found, zero, crc = _FRAME.unpack_from(raw)
    if not oldest <= written <= LAYOUT:
        what_to_do = (
            "an older version wrote it: run `alsobought rebuild`, which recounts the events that Kafka has"
            if written < LAYOUT
            else "a newer version wrote it: run that version"
        )
        raise UnknownLayout(f"record {key!r} has layout {written}, this program reads {LAYOUT}; {what_to_do}")
    if found != kind or zero or crc != crc32c.crc32c(memoryview(raw)[FRAME_BYTES:]):
        raise CorruptRecord(f"record {key!r} is damaged: kind {found}, or a wrong checksum")


def pack_meta(meta: dict[str, Any]) -> bytes:
    """Return a META record."""
    return frame(RecordKind.META, msgspec.json.encode(meta))


@reads_records
def unpack_meta(key: bytes, raw: bytes) -> dict[str, Any]:
    """Return what `pack_meta` packed."""
    return msgspec.json.decode(unframe(RecordKind.META, key, raw), type=dict[str, Any])


@reads_records
def unpack_any_meta(key: bytes, raw: bytes) -> dict[str, Any]:
    """Return the META of any layout so far.

    META never changed, so the position of an old store can be read.
    """
    return msgspec.json.decode(unframe(RecordKind.META, key, raw, oldest=1), type=dict[str, Any])


def pack_page(ids: list[str]) -> bytes:
    """Return a PAGE record of ids."""
    raw = [name.encode() for name in ids]
    lengths = np.array([len(name) for name in raw], np.uint16)
    return frame(RecordKind.PAGE, struct.pack("<I", len(raw)) + lengths.tobytes() + b"".join(raw))


@reads_records
def unpack_page(key: bytes, raw: bytes) -> list[str]:
    """Return the ids of a PAGE record."""
    payload = unframe(RecordKind.PAGE, key, raw)
    (n,) = struct.unpack_from("<I", payload)
    ends = np.cumsum(np.frombuffer(payload, np.uint16, n, 4)).tolist() if n else []
    blob = payload[4 + 2 * n :]
    if len(blob) != (ends[-1] if ends else 0):
        raise ValueError(f"{n} ids do not take {len(blob)} bytes")
    return [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]


def pack_numbers(numbers: npt.NDArray[np.integer[Any]]) -> bytes:
    """Return a NUMBERS record."""
    return frame(RecordKind.NUMBERS, numbers.astype(np.int32).tobytes())


@reads_records
def unpack_numbers(key: bytes, raw: bytes) -> npt.NDArray[np.int32]:
    """Return the numbers of a NUMBERS record."""
    return np.frombuffer(unframe(RecordKind.NUMBERS, key, raw), np.int32)


def pack_hashes(hashes: npt.NDArray[np.uint64]) -> bytes:
    """Return a HASHES record."""
    return frame(RecordKind.HASHES, hashes.tobytes())


@reads_records
def unpack_hashes(key: bytes, raw: bytes) -> npt.NDArray[np.uint64]:
    """Return the hashes of a HASHES record."""
    return np.frombuffer(unframe(RecordKind.HASHES, key, raw), np.uint64)


def pack_number(number: int) -> bytes:
    """Return a NUMBER record."""
    return frame(RecordKind.NUMBER, _NUMBER.pack(number))


@reads_records
def unpack_number(key: bytes, raw: bytes) -> int:
    """Return the number of a NUMBER record."""
    number: int = _NUMBER.unpack(unframe(RecordKind.NUMBER, key, raw))[0]
    return number


def pack_sent(offset: int) -> bytes:
    """Return a SENT record."""
    return frame(RecordKind.SENT, _SENT.pack(offset))


@reads_records
def unpack_sent(key: bytes, raw: bytes) -> int:
    """Return the offset of a SENT record."""
    offset: int = _SENT.unpack(unframe(RecordKind.SENT, key, raw))[0]
    return offset


def pack_id(name: str) -> bytes:
    """Return an ID record."""
    return frame(RecordKind.ID, name.encode())


@reads_records
def unpack_id(key: bytes, raw: bytes) -> str:
    """Return the id of an ID record."""
    return unframe(RecordKind.ID, key, raw).decode()


def pack_totals(ids: int, customers: int) -> bytes:
    """Return a TOTALS record."""
    return frame(RecordKind.TOTALS, _TOTALS.pack(ids, customers))


@reads_records
def unpack_totals(key: bytes, raw: bytes) -> tuple[int, int]:
    """Return ids and customers of a TOTALS record."""
    ids, customers = _TOTALS.unpack(unframe(RecordKind.TOTALS, key, raw))
    return ids, customers


def pack_newest(time_ms: int) -> bytes:
    """Return a NEWEST record."""
    return frame(RecordKind.NEWEST, _NEWEST.pack(time_ms))


@reads_records
def unpack_newest(key: bytes, raw: bytes) -> int:
    """Return the time of a NEWEST record."""
    (time_ms,) = _NEWEST.unpack(unframe(RecordKind.NEWEST, key, raw))
    return int(time_ms)
