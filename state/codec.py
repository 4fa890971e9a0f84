"""The stored records, byte by byte. Little-endian; every record is framed:

    frame      u8 layout (2) | u8 kind | u16 0 | u32 crc32 of the payload | payload

    META       JSON: see the stores
    PAGE       ids: u32 n | u16 bytes[n] | utf-8
    NUMBERS    i32[n]: items of rows, partitions of items, or a source's items, from the key's number on
    HISTORY    i64 included | i64 event ids seen | u32 items n | u32 ring r
               u32 item[n] | u32 quantity[n] | i64 first_ms[n] | i64 last_ms[n] | u32 days[n] | f32 recent[n]
               u64 event id hash[r] | the customer's id and those of the profiles in utf-8, NUL in between
    ROW        i64 included | i64 mass | f64 recent mass | i64 dropped | f64 lost
               u32 once | u32 repeated | u32 cells c | u32 0 | u32 sizes[2 c]
               u64 entry[once] as in state.entries
               u64 (neighbour, after | before << 32, bits of F)[repeated]
    POPULARITY i64 included | i64 totals[4] | u64 items n | i64 buyers[n] | i64 repeats[n, 3]
               i32 first_day[n], padded to 8 | u8 available[n], padded to 8
               u64 counts m | u64 (day slot * 2^27 + item)[m] | u64 count[m]
    NUMBER     u32: the number of an id
    ID         utf-8: the id of a number
    TOTALS     i64 ids in the dictionary | i64 customers with an item

Layout 1 had no customer's id, days and recent in HISTORY, in POPULARITY no repeats and only 14 days, no
NUMBER, ID or TOTALS, and its dictionaries in PAGEs; `state.upgrade` makes 2 of it. What it had not counted
begins then: every item was bought on one day, repeats and days of more than two weeks ago are none.

`included` is the offset of the last record the value includes: a replay skips what it already has.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from state import histories as hs
from state import row_memory
from state import rows as rw
from state.errors import CorruptRecord, UnknownLayout
from state.popularity import DAY_MS, DAYS, WATERMARK_MS, Popularity, count_recent, new_popularity

LAYOUT = 2
_FRAME = struct.Struct("<BBHI")
_HISTORY = struct.Struct("<qqII")
_ROW = struct.Struct("<qqdqdIIII")
_NUMBER = struct.Struct("<I")
_TOTALS = struct.Struct("<qq")
_ENTRY_BYTES, _OLD_ENTRY_BYTES = 32, 24  # an item of a HISTORY, in this layout and in 1
_OLD_DAYS = 14


class Kind(IntEnum):
    """Kinds of records."""

    META = 1
    PAGE = 2
    NUMBERS = 3
    HISTORY = 4
    ROW = 5
    POPULARITY = 6
    NUMBER = 7
    ID = 8
    TOTALS = 9


def frame(kind: Kind, payload: bytes | memoryview) -> bytes:
    """A record of a payload."""
    return b"".join((_FRAME.pack(LAYOUT, kind, 0, zlib.crc32(payload)), payload))


def unframe(kind: Kind, key: bytes, raw: bytes, layout: int = LAYOUT) -> bytes:
    """The payload of a record of a layout.

    Raises
    ------
    UnknownLayout
        If another version wrote it.
    CorruptRecord
        If its bytes are not what was written.
    """
    if len(raw) < _FRAME.size:
        raise CorruptRecord(f"record {key!r} has {len(raw)} bytes, less than a frame")
    written, found, zero, crc = _FRAME.unpack_from(raw)
    if written != layout:
        raise UnknownLayout(f"record {key!r} has layout {written}, this program reads {layout}")
    payload = raw[_FRAME.size :]
    if found != kind or zero or crc != zlib.crc32(payload):
        raise CorruptRecord(f"record {key!r} is damaged: kind {found}, or a wrong checksum")
    return payload


def layout_of(raw: bytes) -> int:
    """The layout a record says it has; 0 if it has none."""
    return raw[0] if raw else 0


def pack_meta(meta: dict[str, Any]) -> bytes:
    """A META record."""
    return frame(Kind.META, msgspec.json.encode(meta))


def unpack_meta(key: bytes, raw: bytes) -> dict[str, Any]:
    """What `pack_meta` packed. It was the same in layout 1, so that a store can be told before an upgrade."""
    layout = 1 if layout_of(raw) == 1 else LAYOUT
    return msgspec.json.decode(unframe(Kind.META, key, raw, layout), type=dict[str, Any])


def pack_page(ids: list[str]) -> bytes:
    """A PAGE record of ids."""
    raw = [name.encode() for name in ids]
    lengths = np.array([len(name) for name in raw], np.uint16)
    return frame(Kind.PAGE, struct.pack("<I", len(raw)) + lengths.tobytes() + b"".join(raw))


def unpack_page(key: bytes, raw: bytes, layout: int = LAYOUT) -> list[str]:
    """The ids of a PAGE record of a layout."""
    payload = unframe(Kind.PAGE, key, raw, layout)
    (n,) = struct.unpack_from("<I", payload)
    ends = np.cumsum(np.frombuffer(payload, np.uint16, n, 4)).tolist()
    blob = payload[4 + 2 * n :]
    return [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]


def pack_numbers(numbers: npt.NDArray[np.integer[Any]]) -> bytes:
    """A NUMBERS record."""
    return frame(Kind.NUMBERS, numbers.astype(np.int32).tobytes())


def unpack_numbers(key: bytes, raw: bytes) -> npt.NDArray[np.int32]:
    """The numbers of a NUMBERS record."""
    return np.frombuffer(unframe(Kind.NUMBERS, key, raw), np.int32)


def pack_number(number: int) -> bytes:
    """A NUMBER record."""
    return frame(Kind.NUMBER, _NUMBER.pack(number))


def unpack_number(key: bytes, raw: bytes) -> int:
    """The number of a NUMBER record."""
    number: int = _NUMBER.unpack(unframe(Kind.NUMBER, key, raw))[0]
    return number


def pack_id(name: str) -> bytes:
    """An ID record."""
    return frame(Kind.ID, name.encode())


def unpack_id(key: bytes, raw: bytes) -> str:
    """The id of an ID record."""
    return unframe(Kind.ID, key, raw).decode()


def pack_totals(ids: int, customers: int) -> bytes:
    """A TOTALS record."""
    return frame(Kind.TOTALS, _TOTALS.pack(ids, customers))


def unpack_totals(key: bytes, raw: bytes) -> tuple[int, int]:
    """Ids and customers of a TOTALS record."""
    ids, customers = _TOTALS.unpack(unframe(Kind.TOTALS, key, raw))
    return ids, customers


def pack_history(
    h: hs.Histories, customer: int, customer_id: str, included: int, profiles: list[str]
) -> bytes:
    """A HISTORY record of a customer with some profiles."""
    columns = hs.read(h, customer)
    ring = hs.read_ring(h, customer)
    head = _HISTORY.pack(included, int(h.seen[customer]), len(columns[0]), len(ring))
    names = "\0".join([customer_id, *profiles]).encode()
    parts = [head, *(c.tobytes() for c in columns), ring.tobytes(), names]
    return frame(Kind.HISTORY, b"".join(parts))


def history_customer(key: bytes, raw: bytes) -> tuple[str, list[str]]:
    """Whose HISTORY record it is, and the customer's profiles."""
    payload = unframe(Kind.HISTORY, key, raw)
    customer_id, *profiles = payload[_history_bytes(payload) :].decode().split("\0")
    return customer_id, profiles


def upgrade_history(key: bytes, raw: bytes, customer_id: str) -> tuple[bytes, int, int]:
    """A HISTORY record of layout 1 in this layout, and how many items and event ids it has."""
    payload = unframe(Kind.HISTORY, key, raw, layout=1)
    _, seen, items, _ = _HISTORY.unpack_from(payload)
    at = _HISTORY.size + _OLD_ENTRY_BYTES * items
    added = np.ones(items, np.uint32).tobytes() + np.ones(items, np.float32).tobytes()
    return frame(Kind.HISTORY, payload[:at] + added + payload[at:] + customer_id.encode()), items, seen


def history_items(key: bytes, raw: bytes) -> int:
    """How many items a HISTORY record has."""
    items: int = _HISTORY.unpack_from(unframe(Kind.HISTORY, key, raw))[2]
    return items


def _history_bytes(payload: bytes) -> int:
    """Length of a HISTORY's payload without the id."""
    _, _, items, ring = _HISTORY.unpack_from(payload)
    return int(_HISTORY.size + _ENTRY_BYTES * items + 8 * ring)


def unpack_history(h: hs.Histories, customer: int, key: bytes, raw: bytes) -> int:
    """Put a HISTORY record into a history that is empty; returns the offset it includes."""
    payload = unframe(Kind.HISTORY, key, raw)
    included, seen, n, ring = _HISTORY.unpack_from(payload)
    at = _HISTORY.size
    columns: list[Any] = []
    for dtype in (np.uint32, np.uint32, np.int64, np.int64, np.uint32, np.float32):
        columns.append(np.frombuffer(payload, dtype, n, at).copy())
        at += columns[-1].nbytes
    hashes = np.frombuffer(payload, np.uint64, ring, at).copy()
    columns += [hashes, seen]
    hs.write(h, customer, *columns)
    return int(included)


def pack_rows(
    rows: rw.Rows, which: npt.NDArray[np.int64], sizes: npt.NDArray[np.uint32],
    included: npt.NDArray[np.int64],
) -> list[bytes]:  # fmt: skip
    """A ROW record of each of n rows; `sizes` uint32[n, 2, cells] and `included` int64[n] are theirs."""
    words, ends = row_memory.dump(rows, which, sizes, included)
    raw = words.data.cast("B")
    bounds = [0, *(8 * ends).tolist()]
    return [frame(Kind.ROW, raw[start:end]) for start, end in pairwise(bounds)]


def unpack_row(rows: rw.Rows, row: int, sizes: npt.NDArray[np.uint32], key: bytes, raw: bytes) -> int:
    """Put a ROW record into a row without entries, its sizes into `sizes`; returns what it includes."""
    payload = unframe(Kind.ROW, key, raw)
    included, mass, recent_mass, dropped, lost, n_once, n_repeated, cells, _ = _ROW.unpack_from(payload)
    if cells != sizes.shape[1]:
        raise CorruptRecord(f"record {key!r} has {cells} size cells, {sizes.shape[1]} expected")
    at = _ROW.size
    sizes[:] = np.frombuffer(payload, np.uint32, 2 * cells, at).reshape(2, cells)
    at += 8 * cells
    once = np.frombuffer(payload, np.uint64, n_once, at).copy()
    repeated = np.frombuffer(payload, np.uint64, 3 * n_repeated, at + 8 * n_once).reshape(-1, 3).copy()
    row_memory.fill(rows, row, once, repeated)
    rows.heads[row, rw.MASS] = mass
    rows.heads[row, rw.DROPPED] = dropped
    rows.heads_f[row, rw.RECENT_MASS] = recent_mass
    rows.heads_f[row, rw.LOST] = lost
    return int(included)


def pack_popularity(p: Popularity, items: int, included: int) -> bytes:
    """A POPULARITY record of items 0 .. items - 1."""
    numbers, slots = np.nonzero(p.days[:items])
    counts = np.stack([(slots << 27) + numbers, p.days[numbers, slots]]).astype(np.uint64)
    return frame(
        Kind.POPULARITY,
        b"".join((
            struct.pack("<q", included), p.totals.tobytes(), struct.pack("<Q", items),
            p.buyers[:items].tobytes(), p.repeats[:items].tobytes(), _padded(p.first_day[:items].tobytes()),
            _padded(p.available[:items].tobytes()),
            struct.pack("<Q", len(numbers)), counts.tobytes(),
        )),
    )  # fmt: skip


def unpack_popularity(p: Popularity, key: bytes, raw: bytes) -> int:
    """Put a POPULARITY record into empty tables with room for it; returns the offset it includes."""
    payload = unframe(Kind.POPULARITY, key, raw)
    included, *totals = struct.unpack_from("<q4q", payload)
    (n,) = struct.unpack_from("<Q", payload, 40)
    p.totals[:] = totals
    at = 48
    p.buyers[:n] = np.frombuffer(payload, np.int64, n, at)
    at += 8 * n
    p.repeats[:n] = np.frombuffer(payload, np.int64, 3 * n, at).reshape(n, 3)
    at += 24 * n
    p.first_day[:n] = np.frombuffer(payload, np.int32, n, at)
    at += 4 * n + -4 * n % 8
    p.available[:n] = np.frombuffer(payload, np.uint8, n, at)
    at += n + -n % 8
    slots, numbers, counts = _unpack_days(payload, at)
    p.days[numbers, slots] = counts
    count_recent(p)
    return int(included)


def _unpack_days(
    payload: bytes, at: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Day slots, items and counts of a POPULARITY's days."""
    (m,) = struct.unpack_from("<Q", payload, at)
    where, counts = np.frombuffer(payload, np.uint64, 2 * m, at + 8).reshape(2, m)
    item_mask = np.uint64((1 << 27) - 1)
    return (where >> np.uint64(27)).astype(np.int64), (where & item_mask).astype(np.int64), counts


def upgrade_popularity(key: bytes, raw: bytes) -> bytes:
    """A POPULARITY record of layout 1 in this layout."""
    payload = unframe(Kind.POPULARITY, key, raw, layout=1)
    included, *totals = struct.unpack_from("<q4q", payload)
    (n,) = struct.unpack_from("<Q", payload, 40)
    p = new_popularity(n)
    p.totals[:] = totals
    p.buyers[:] = np.frombuffer(payload, np.int64, n, 48)
    p.available[:] = np.frombuffer(payload, np.uint8, n, 48 + 8 * n)
    slots, numbers, counts = _unpack_days(payload, 48 + 8 * n + n + -n % 8)
    newest = int(p.totals[WATERMARK_MS]) // DAY_MS
    days = newest - (newest - slots) % _OLD_DAYS
    p.days[numbers, days % DAYS] = counts
    np.minimum.at(p.first_day, numbers, days.astype(np.int32))
    return pack_popularity(p, n, included)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 8)
