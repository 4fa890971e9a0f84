"""The records of items, ROW and POPULARITY: their bytes are described in `state.codec`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from state import row_memory
from state import rows as rw
from state.codec import Kind, frame, unframe
from state.errors import CorruptRecord
from state.popularity import Popularity, count_recent

ROW_BYTES = 56  # of a ROW without sizes and entries


def pack_rows(
    rows: rw.Rows, which: npt.NDArray[np.int64], sizes: npt.NDArray[np.uint32],
    included: npt.NDArray[np.int64],
) -> list[bytes]:  # fmt: skip
    """A ROW record of each of n rows; `sizes` uint32[n, 2, cells] and `included` int64[n] are theirs."""
    words, ends = row_memory.dump(rows, which, sizes, included)
    raw = words.data.cast("B")
    bounds = [0, *(8 * ends).tolist()]
    return [frame(Kind.ROW, raw[start:end]) for start, end in pairwise(bounds)]


def unpack_rows(
    rows: rw.Rows, which: Sequence[int], records: Sequence[tuple[bytes, bytes]],
    sizes: npt.NDArray[np.uint32], included: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Put ROW records, keys and values, into rows without entries.

    `sizes` uint32[rows, 2, cells] and `included` int64[rows] get what the records say, too.

    Raises
    ------
    CorruptRecord, UnknownLayout
    """
    payloads = [unframe(Kind.ROW, key, raw) for key, raw in records]
    for (key, _), payload in zip(records, payloads, strict=True):
        if len(payload) < ROW_BYTES or len(payload) % 8:
            raise CorruptRecord(f"record {key!r} has {len(payload)} bytes, which no row has")
    words = np.frombuffer(bytearray(b"".join(payloads)), np.uint64)
    ends = np.cumsum([len(payload) // 8 for payload in payloads])
    wrong = row_memory.restore(rows, np.array(which, np.int64), words, ends, sizes, included)
    if wrong >= 0:
        raise CorruptRecord(f"record {records[wrong][0]!r} has not the {sizes.shape[2]} size cells of a row")


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
