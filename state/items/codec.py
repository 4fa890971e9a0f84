"""The records of items, ROW, POPULARITY, CLOCK and HIDDEN: `state.storage.codec` describes their bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from state.errors import CorruptRecord
from state.items import row_layout as rl
from state.items import row_packing
from state.popularity.counts import BUYERS, DAY_MS, DAYS, PURCHASES, WATERMARK_MS, Popularity
from state.storage.codec import FRAME_BYTES, RecordKind, check, frame, reads_records, unframe

_CLOCK = struct.Struct("<qqq")
ROW_BYTES = 8 * row_packing.HEAD_WORDS  # of a ROW without sizes and entries


def pack_rows(
    rows: rl.Rows, which: npt.NDArray[np.int64], sizes: npt.NDArray[np.uint32],
    included: npt.NDArray[np.int64],
) -> list[bytes]:  # fmt: skip
    """Return a ROW record for each of n rows.

    `sizes` uint32[n, 2, cells] and `included` int64[n] have an element per row.
    """
    words, ends = row_packing.dump(rows, which, sizes, included)
    raw = words.data.cast("B")
    bounds = [0, *(8 * ends).tolist()]
    return [frame(RecordKind.ROW, raw[start:end]) for start, end in pairwise(bounds)]


def unpack_rows(
    rows: rl.Rows, which: Sequence[int], records: Sequence[tuple[bytes, bytes]],
    sizes: npt.NDArray[np.uint32], included: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Put ROW records, given as keys and values, into rows without entries.

    The sizes and included offsets of the records are written to `sizes` uint32[rows, 2, cells] and `included`
    int64[rows].

    Raises
    ------
    CorruptRecord, UnknownLayout
    """
    for key, raw in records:
        check(RecordKind.ROW, key, raw)
        if len(raw) < FRAME_BYTES + ROW_BYTES or len(raw) % 8:
            raise CorruptRecord(f"record {key!r} has {len(raw)} bytes, which no row has")
    ends = np.cumsum([(len(raw) - FRAME_BYTES) // 8 for _, raw in records])
    words = np.empty(ends[-1], np.uint64)
    for (_, raw), start, end in zip(records, [0, *ends.tolist()], ends.tolist(), strict=False):
        words[start:end] = np.frombuffer(raw, np.uint64, offset=FRAME_BYTES)
    wrong = row_packing.restore(rows, np.array(which, np.int64), words, ends, sizes, included)
    if wrong >= 0:
        raise CorruptRecord(f"record {records[wrong][0]!r} is no row of {sizes.shape[2]} size cells")


def pack_clock(p: Popularity, included: int) -> bytes:
    """Return a CLOCK record."""
    totals = p.totals
    return frame(RecordKind.CLOCK, _CLOCK.pack(included, totals[WATERMARK_MS], totals[PURCHASES]))


@reads_records
def unpack_clock(p: Popularity, key: bytes, raw: bytes) -> int:
    """Put a CLOCK record into empty tables; return the offset that the POPULARITY records include."""
    included, p.totals[WATERMARK_MS], p.totals[PURCHASES] = _CLOCK.unpack(unframe(RecordKind.CLOCK, key, raw))
    return int(included)


def pack_popularity(p: Popularity, items: npt.NDArray[np.int64]) -> bytes:
    """Return a POPULARITY record of those of some items that have counts."""
    days = p.days[items]
    some = days.any(axis=1) | (p.buyers[items] != 0) | p.repeats[items].any(axis=1)
    items, days = items[some], days[some]
    which, slots = np.nonzero(days)
    counts = np.stack([(slots << 27) + items[which], days[which, slots]]).astype(np.uint64)
    return frame(
        RecordKind.POPULARITY,
        b"".join((
            struct.pack("<qQ", p.totals[WATERMARK_MS] // DAY_MS, len(items)), items.tobytes(),
            p.buyers[items].tobytes(), p.repeats[items].tobytes(), p.first_days[items].tobytes(),
            p.recent_buyers[items].tobytes(), struct.pack("<Q", len(which)), counts.tobytes(),
        )),
    )  # fmt: skip


@reads_records
def unpack_popularity(p: Popularity, key: bytes, raw: bytes) -> None:
    """Put a POPULARITY record into tables with room for it, in which the clock is already loaded."""
    payload = unframe(RecordKind.POPULARITY, key, raw)
    day, n = struct.unpack_from("<qQ", payload)
    items = np.frombuffer(payload, np.int64, n, 16)
    if len(items) and items.min() < 0:
        raise ValueError("an item has a negative number")
    at = 16 + 8 * n
    p.buyers[items] = np.frombuffer(payload, np.int64, n, at)
    p.totals[BUYERS] += p.buyers[items].sum()
    at += 8 * n
    p.repeats[items] = np.frombuffer(payload, np.int64, 3 * n, at).reshape(n, 3)
    at += 24 * n
    p.first_days[items] = np.frombuffer(payload, np.int64, n, at)
    at += 8 * n
    p.recent_buyers[items] = np.frombuffer(payload, np.float64, n, at)
    at += 8 * n
    slots, numbers, counts = _unpack_days(payload, at)
    newest = p.totals[WATERMARK_MS] // DAY_MS
    # slots of days that have begun since are of days that have left the window
    stays = (slots - day - 1) % DAYS >= min(newest - day, DAYS)
    p.days[numbers[stays], slots[stays]] = counts[stays]


def _unpack_days(
    payload: bytes, at: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return the day slots, items and counts of a POPULARITY's days."""
    (m,) = struct.unpack_from("<Q", payload, at)
    where, counts = np.frombuffer(payload, np.uint64, 2 * m, at + 8).reshape(2, m)
    item_mask = np.uint64((1 << 27) - 1)
    return (where >> np.uint64(27)).astype(np.int64), (where & item_mask).astype(np.int64), counts


def pack_hidden(p: Popularity, items: int) -> bytes:
    """Return a HIDDEN record of items 0 .. items - 1."""
    return frame(RecordKind.HIDDEN, np.flatnonzero(p.available[:items] == 0).astype(np.int32).tobytes())


@reads_records
def unpack_hidden(p: Popularity, key: bytes, raw: bytes) -> None:
    """Put a HIDDEN record into tables in which all items are available."""
    p.available[np.frombuffer(unframe(RecordKind.HIDDEN, key, raw), np.int32)] = 0
