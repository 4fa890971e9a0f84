"""The records of items, ROW and POPULARITY: their bytes are described in `state.codec`."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from state import row_memory
from state import rows as rw
from state.codec import Kind, frame, unframe
from state.errors import CorruptRecord
from state.popularity import Popularity, count_recent

_ROW = struct.Struct("<qqdqdIIII")


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
            p.buyers[:items].tobytes(), p.repeats[:items].tobytes(), p.first_days[:items].tobytes(),
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
    p.first_days[:n] = np.frombuffer(payload, np.int64, n, at)
    at += 8 * n
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


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 8)
