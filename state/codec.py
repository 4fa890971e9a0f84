"""The stored records, byte by byte. Little-endian; every record is framed:

    frame      u8 layout (2) | u8 kind | u16 0 | u32 crc32 of the payload | payload

    META       JSON: see the stores
    PAGE       ids: u32 n | u16 bytes[n] | utf-8
    NUMBERS    i32[n]: items of rows, partitions of items, or a source's items, from the key's number on
    HISTORY    i64 included | i64 event ids seen | u32 items n | u32 ring r
               u32 item[n] | u32 quantity[n] | i64 first_ms[n] | i64 last_ms[n] | u64 event id hash[r]
               the customer's id in utf-8
    ROW        i64 included | i64 mass | f64 recent mass | i64 dropped | f64 lost
               u32 once | u32 repeated | u32 cells c | u32 0 | u32 sizes[2 c], padded to 8
               u64 entry[once] as in state.entries
               u64 (neighbour, after | before << 32, bits of F)[repeated]
    POPULARITY i64 included | i64 totals[4] | u64 items n | i64 buyers[n] | u8 available[n], padded to 8
               u64 counts m | u32 (day slot * 2^27 + item)[m] as u64 pairs with the count
    NUMBER     u32: the number of an id
    ID         utf-8: the id of a number
    TOTALS     i64 ids in the dictionary | i64 customers with an item

Layout 1 had no customer's id in HISTORY, no NUMBER, ID or TOTALS, and its dictionaries in PAGEs;
`state.upgrade` makes 2 of it.

`included` is the offset of the last record the value includes: a replay skips what it already has.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from state import histories as hs
from state import row_memory
from state import rows as rw
from state.errors import CorruptRecord, UnknownLayout
from state.popularity import DAYS, Popularity

LAYOUT = 2
_FRAME = struct.Struct("<BBHI")
_HISTORY = struct.Struct("<qqII")
_ROW = struct.Struct("<qqdqdIIII")
_NUMBER = struct.Struct("<I")
_TOTALS = struct.Struct("<qq")


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


def frame(kind: Kind, payload: bytes) -> bytes:
    """A record of a payload."""
    return _FRAME.pack(LAYOUT, kind, 0, zlib.crc32(payload)) + payload


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


def pack_history(h: hs.Histories, customer: int, customer_id: str, included: int) -> bytes:
    """A HISTORY record of a customer."""
    columns = hs.read(h, customer)
    ring = hs.read_ring(h, customer)
    head = _HISTORY.pack(included, int(h.seen[customer]), len(columns[0]), len(ring))
    parts = [head, *(c.tobytes() for c in columns), ring.tobytes(), customer_id.encode()]
    return frame(Kind.HISTORY, b"".join(parts))


def history_customer(key: bytes, raw: bytes) -> str:
    """Whose HISTORY record it is."""
    payload = unframe(Kind.HISTORY, key, raw)
    return payload[_history_bytes(payload) :].decode()


def upgrade_history(key: bytes, raw: bytes, customer_id: str) -> tuple[bytes, int, int]:
    """A HISTORY record of layout 1 in this layout, and how many items and event ids it has."""
    payload = unframe(Kind.HISTORY, key, raw, layout=1)
    _, seen, items, _ = _HISTORY.unpack_from(payload)
    return frame(Kind.HISTORY, payload + customer_id.encode()), items, seen


def history_items(key: bytes, raw: bytes) -> int:
    """How many items a HISTORY record has."""
    items: int = _HISTORY.unpack_from(unframe(Kind.HISTORY, key, raw))[2]
    return items


def _history_bytes(payload: bytes) -> int:
    """Length of a HISTORY's payload without the id."""
    _, _, items, ring = _HISTORY.unpack_from(payload)
    return int(_HISTORY.size + 24 * items + 8 * ring)


def unpack_history(h: hs.Histories, customer: int, key: bytes, raw: bytes) -> int:
    """Put a HISTORY record into a history that is empty; returns the offset it includes."""
    payload = unframe(Kind.HISTORY, key, raw)
    included, seen, n, ring = _HISTORY.unpack_from(payload)
    at = _HISTORY.size
    columns: list[Any] = []
    for dtype in (np.uint32, np.uint32, np.int64, np.int64):
        columns.append(np.frombuffer(payload, dtype, n, at).copy())
        at += columns[-1].nbytes
    hashes = np.frombuffer(payload, np.uint64, ring, at).copy()
    items, quantities, first_ms, last_ms = columns
    hs.write(h, customer, items, quantities, first_ms, last_ms, hashes, seen)
    return int(included)


def pack_row(rows: rw.Rows, row: int, sizes: npt.NDArray[np.uint32], included: int) -> bytes:
    """A ROW record; `sizes` uint32[2, cells]."""
    once, repeated = row_memory.dump(rows, row)
    head, head_f = rows.heads[row], rows.heads_f[row]
    raw = _ROW.pack(
        included, int(head[rw.MASS]), float(head_f[rw.RECENT_MASS]), int(head[rw.DROPPED]),
        float(head_f[rw.LOST]), len(once), len(repeated), sizes.shape[1], 0,
    )  # fmt: skip
    return frame(Kind.ROW, b"".join((raw, _padded(sizes.tobytes()), once.tobytes(), repeated.tobytes())))


def unpack_row(rows: rw.Rows, row: int, sizes: npt.NDArray[np.uint32], key: bytes, raw: bytes) -> int:
    """Put a ROW record into a row without entries, its sizes into `sizes`; returns what it includes."""
    payload = unframe(Kind.ROW, key, raw)
    included, mass, recent_mass, dropped, lost, n_once, n_repeated, cells, _ = _ROW.unpack_from(payload)
    if cells != sizes.shape[1]:
        raise CorruptRecord(f"record {key!r} has {cells} size cells, {sizes.shape[1]} expected")
    at = _ROW.size
    sizes[:] = np.frombuffer(payload, np.uint32, 2 * cells, at).reshape(2, cells)
    at += len(_padded(bytes(8 * cells)))
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
    slots, numbers = np.nonzero(p.days[:, :items])
    counts = np.stack([(slots << 27) + numbers, p.days[slots, numbers]]).astype(np.uint64)
    return frame(
        Kind.POPULARITY,
        b"".join((
            struct.pack("<q", included), p.totals.tobytes(), struct.pack("<Q", items),
            p.buyers[:items].tobytes(), _padded(p.available[:items].tobytes()),
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
    p.available[:n] = np.frombuffer(payload, np.uint8, n, at)
    at += n + -n % 8
    (m,) = struct.unpack_from("<Q", payload, at)
    where, counts = np.frombuffer(payload, np.uint64, 2 * m, at + 8).reshape(2, m)
    slots, numbers = (
        (where >> np.uint64(27)).astype(np.int64),
        (where & np.uint64((1 << 27) - 1)).astype(np.int64),
    )
    p.days[slots, numbers] = counts
    p.recent[:] = p.days.sum(axis=0, dtype=np.int64)
    assert len(p.days) == DAYS
    return int(included)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 8)
