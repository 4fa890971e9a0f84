"""Co-occurrence rows: for each item the neighbours it was bought with, in memory, as numba kernels.

A row is an open-addressing hash table of 64-byte lines, 8 entries a line, in one arena of lines. The home
line comes from a multiplicative hash; the next line is looked at only when a line is full. Rows grow by
about a third, to a line class whose freed blocks others reuse.

    entry, u64      high 32 bits: payload        low 32 bits: neighbour + 1 (0 empty, 2^32 - 1 deleted)
    payload         seen once:   0 | after (1 bit) | minute of the pair since 1970 (30 bits)
                    repeated:    1 | index of a record in the side table (31 bits)
    side record     u32 after, u32 before, f64 F

84 % of the pairs of a year of groceries are seen once, so they cost 8 bytes; the others 24. `after` counts
customers who bought the neighbour after the row's item, `before` those who bought it earlier. F is the
forward-decayed count: the sum of exp((minute - LANDMARK_MINUTE) / TAU_MINUTES) over the pairs, a pair's
minute being that of its later purchase; dividing by the same term of a later moment gives the decayed count
of that moment (Cormode et al., Forward Decay, ICDE 2009). A full row drops the eighth of its entries that
have the least F (ties: the larger neighbour number), and says how many it dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.blocks import allocate, new_free, release, size_classes
from state.memory import kernel, prefetch, reserve

LANDMARK_MINUTE = 26_297_280  # 2020-01-01: any fixed moment; keeps exp() in range from 1963 to 2077
TAU_MINUTES = 30 * 24 * 60
RESERVED_BYTES = 32 << 30
RESERVED_SIDE_BYTES = 16 << 30
LINE_WORDS = 8
LOOKAHEAD = 24

DELETED = np.uint64(0xFFFFFFFF)
_ID = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_REPEATED = np.uint64(1 << 31)
_AFTER = np.uint64(1 << 30)
_MINUTE = np.uint64((1 << 30) - 1)
_INDEX = np.uint64((1 << 31) - 1)
_HASH = np.uint64(0x9E3779B1)

# `meta` words
SIDE_END, SIDE_FREE, ENTRIES, UPDATES = range(4)


CLASSES = size_classes(1, 1 << 22)


class Rows(NamedTuple):
    """The rows of one item machine. Per-row arrays have one element per row number."""

    arena: npt.NDArray[np.uint64]  # lines
    side: npt.NDArray[np.uint64]  # records of two words: after | before << 32, bits of F
    side_f: npt.NDArray[np.float64]  # the same memory as floats
    free: npt.NDArray[np.int64]  # of blocks.allocate
    meta: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]  # first word
    size: npt.NDArray[np.uint8]  # class
    live: npt.NDArray[np.uint32]  # neighbours
    dead: npt.NDArray[np.uint32]  # deleted entries still in the lines
    mass: npt.NDArray[np.int64]  # sum of N over neighbours
    recent_mass: npt.NDArray[np.float64]  # sum of F over neighbours
    dropped: npt.NDArray[np.int64]  # neighbours dropped because the row was full
    lost: npt.NDArray[np.float64]  # largest F ever dropped: no dropped neighbour had more then


def new_rows(capacity: int) -> Rows:
    """Empty rows 0 .. capacity - 1."""
    side = reserve(RESERVED_SIDE_BYTES)
    meta = np.zeros(4, np.int64)
    meta[SIDE_FREE] = -1
    return Rows(
        arena=reserve(RESERVED_BYTES),
        side=side,
        side_f=side.view(np.float64),
        free=new_free(CLASSES),
        meta=meta,
        start=np.zeros(capacity, np.int64),
        size=np.zeros(capacity, np.uint8),
        live=np.zeros(capacity, np.uint32),
        dead=np.zeros(capacity, np.uint32),
        mass=np.zeros(capacity, np.int64),
        recent_mass=np.zeros(capacity, np.float64),
        dropped=np.zeros(capacity, np.int64),
        lost=np.zeros(capacity, np.float64),
    )


def grow_rows(rows: Rows, capacity: int) -> Rows:
    """The same rows with room for `capacity`; arenas stay where they are."""
    grown = {}
    for name in Rows._fields[5:]:
        old = getattr(rows, name)
        new = np.zeros(capacity, old.dtype)
        new[: len(old)] = old
        grown[name] = new
    return rows._replace(**grown)


@kernel
def decay_weight(minute: int) -> float:
    """F of one pair at `minute`."""
    return np.exp((minute - LANDMARK_MINUTE) / TAU_MINUTES)


@kernel
def _home(neighbour: int, lines: int) -> int:
    return np.int64((((np.uint64(neighbour) * _HASH) & _ID) * np.uint64(lines)) >> _HIGH)


@kernel
def _new_side(rows: Rows) -> int:
    head = rows.meta[SIDE_FREE]
    if head >= 0:
        rows.meta[SIDE_FREE] = np.int64(rows.side[2 * head])
        return head
    head = rows.meta[SIDE_END]
    rows.meta[SIDE_END] = head + 1
    return head


@kernel
def _free_side(rows: Rows, index: int) -> None:
    rows.side[2 * index] = np.uint64(rows.meta[SIDE_FREE])
    rows.meta[SIDE_FREE] = index


@kernel
def _place(rows: Rows, start: int, lines: int, entry: int) -> None:
    """Put an entry that is not there yet into lines without deleted entries."""
    line = _home(np.int64(entry & _ID) - 1, lines)
    while True:
        base = start + line * LINE_WORDS
        for slot in range(base, base + LINE_WORDS):
            if rows.arena[slot] == 0:
                rows.arena[slot] = entry
                return
        line = line + 1 if line + 1 < lines else 0


@kernel
def _rebuild(rows: Rows, row: int, size: int) -> None:
    """Move a row's entries to a new block of class `size`, without its deleted ones."""
    old, old_size = rows.start[row], rows.size[row]
    new = allocate(rows.arena, rows.free, size, CLASSES[size] * LINE_WORDS)
    for slot in range(old, old + CLASSES[old_size] * LINE_WORDS):
        entry = rows.arena[slot]
        if entry != 0 and (entry & _ID) != DELETED:
            _place(rows, new, CLASSES[size], entry)
    release(rows.arena, rows.free, old_size, old)
    rows.start[row] = new
    rows.size[row] = size
    rows.dead[row] = 0


@kernel
def entry_f(rows: Rows, entry: int) -> float:
    """F of an entry."""
    payload = entry >> _HIGH
    if payload & _REPEATED:
        return rows.side_f[2 * np.int64(payload & _INDEX) + 1]
    return decay_weight(np.int64(payload & _MINUTE))


@kernel
def entry_counts(rows: Rows, entry: int) -> tuple[int, int]:
    """(after, before) of an entry."""
    payload = entry >> _HIGH
    if payload & _REPEATED:
        both = rows.side[2 * np.int64(payload & _INDEX)]
        return np.int64(both & _ID), np.int64(both >> _HIGH)
    after = np.int64((payload & _AFTER) >> np.uint64(30))
    return after, 1 - after


@kernel
def _drop_least(rows: Rows, row: int, share: int) -> None:
    """Drop the 1/share of a row's entries with the least F; ties drop the larger neighbour."""
    live = np.int64(rows.live[row])
    decayed = np.empty(live, np.float64)
    slots = np.empty(live, np.int64)
    neighbours = np.empty(live, np.int64)
    n = 0
    first = rows.start[row]
    for slot in range(first, first + CLASSES[rows.size[row]] * LINE_WORDS):
        entry = rows.arena[slot]
        if entry != 0 and (entry & _ID) != DELETED:
            decayed[n] = entry_f(rows, entry)
            slots[n] = slot
            neighbours[n] = -np.int64(entry & _ID)
            n += 1
    by_neighbour = np.argsort(neighbours, kind="mergesort")
    order = by_neighbour[np.argsort(decayed[by_neighbour], kind="mergesort")]
    for i in order[: max(1, live // share)]:
        entry = rows.arena[slots[i]]
        payload = entry >> _HIGH
        if payload & _REPEATED:
            _free_side(rows, np.int64(payload & _INDEX))
        rows.arena[slots[i]] = DELETED
        rows.lost[row] = max(rows.lost[row], decayed[i])
        rows.live[row] -= np.uint32(1)
        rows.dead[row] += np.uint32(1)
        rows.dropped[row] += 1
        rows.meta[ENTRIES] -= 1
    _rebuild(rows, row, rows.size[row])


@kernel
def _make_room(rows: Rows, row: int, capacity: int) -> None:
    if rows.live[row] >= capacity:
        _drop_least(rows, row, 8)
    slots = CLASSES[rows.size[row]] * LINE_WORDS
    if np.int64(rows.live[row]) + np.int64(rows.dead[row]) + 1 > slots - slots // 8:
        grows = np.int64(rows.live[row]) + 1 > slots - slots // 4
        _rebuild(rows, row, np.int64(rows.size[row]) + 1 if grows else np.int64(rows.size[row]))


@kernel
def find(rows: Rows, row: int, neighbour: int) -> int:
    """Word of a neighbour's entry in the arena, -1 if the row has none."""
    lines = CLASSES[rows.size[row]]
    if lines == 0:
        return -1
    key = np.uint64(neighbour + 1)
    line = _home(neighbour, lines)
    for _ in range(lines):
        base = rows.start[row] + line * LINE_WORDS
        for slot in range(base, base + LINE_WORDS):
            entry = rows.arena[slot]
            if (entry & _ID) == key:
                return slot
            if entry == 0:
                return -1
        line = line + 1 if line + 1 < lines else 0
    return -1


@kernel
def add(
    rows: Rows, row: int, neighbour: int, after: int, minute: int, weight: float, capacity: int
) -> tuple[int, float]:
    """Count one more pair (`after` 1: neighbour bought after the row's item). Returns the entry's new (N, F)."""
    slot = find(rows, row, neighbour)
    rows.mass[row] += 1
    rows.recent_mass[row] += weight
    rows.meta[UPDATES] += 1
    if slot < 0:
        _make_room(rows, row, capacity)
        payload = (np.uint64(after) << np.uint64(30)) | np.uint64(minute)
        entry = (payload << _HIGH) | np.uint64(neighbour + 1)
        _place(rows, rows.start[row], CLASSES[rows.size[row]], entry)
        rows.live[row] += np.uint32(1)
        rows.meta[ENTRIES] += 1
        return 1, weight
    entry = rows.arena[slot]
    payload = entry >> _HIGH
    step = np.uint64(1) if after else np.uint64(1) << _HIGH
    if payload & _REPEATED:
        index = np.int64(payload & _INDEX)
        rows.side[2 * index] += step
        rows.side_f[2 * index + 1] += weight
        both = rows.side[2 * index]
        return np.int64(both & _ID) + np.int64(both >> _HIGH), rows.side_f[2 * index + 1]
    index = _new_side(rows)
    was = np.uint64(1) if payload & _AFTER else np.uint64(1) << _HIGH
    rows.side[2 * index] = was + step
    f = decay_weight(np.int64(payload & _MINUTE)) + weight
    rows.side_f[2 * index + 1] = f
    rows.arena[slot] = ((_REPEATED | np.uint64(index)) << _HIGH) | np.uint64(neighbour + 1)
    return 2, f


@kernel
def take(rows: Rows, row: int, neighbour: int, after: int, weight: float) -> None:
    """Take one pair back. A neighbour that a full row has dropped is no longer there to take from."""
    rows.mass[row] -= 1
    rows.recent_mass[row] -= weight
    rows.meta[UPDATES] += 1
    slot = find(rows, row, neighbour)
    if slot < 0:
        return
    payload = rows.arena[slot] >> _HIGH
    if payload & _REPEATED:
        index = np.int64(payload & _INDEX)
        step = np.uint64(1) if after else np.uint64(1) << _HIGH
        both = rows.side[2 * index] - step
        if np.int64(both & _ID) + np.int64(both >> _HIGH) > 0:
            rows.side[2 * index] = both
            rows.side_f[2 * index + 1] = max(rows.side_f[2 * index + 1] - weight, 0.0)
            return
        _free_side(rows, index)
    rows.arena[slot] = DELETED
    rows.live[row] -= np.uint32(1)
    rows.dead[row] += np.uint32(1)
    rows.meta[ENTRIES] -= 1
    if rows.mass[row] == 0:
        rows.recent_mass[row] = 0.0  # without what rounding left


@kernel
def hint(rows: Rows, row: int, neighbour: int) -> None:
    """Prefetch the line where a neighbour's entry is, or will be."""
    lines = CLASSES[rows.size[row]]
    if lines > 0:
        word = rows.start[row] + _home(neighbour, lines) * LINE_WORDS
        prefetch(np.uintp(rows.arena.ctypes.data + word * 8))


@kernel
def read(rows: Rows, row: int) -> tuple[
    npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float64]
]:
    """A row's entries, in the order of its lines: neighbours, after, before, F."""
    live = np.int64(rows.live[row])
    neighbours = np.empty(live, np.uint32)
    after = np.empty(live, np.uint32)
    before = np.empty(live, np.uint32)
    f = np.empty(live, np.float64)
    n = 0
    first = rows.start[row]
    for slot in range(first, first + CLASSES[rows.size[row]] * LINE_WORDS):
        entry = rows.arena[slot]
        if entry != 0 and (entry & _ID) != DELETED:
            neighbours[n] = np.uint32((entry & _ID) - np.uint64(1))
            a, b = entry_counts(rows, entry)
            after[n] = a
            before[n] = b
            f[n] = entry_f(rows, entry)
            n += 1
    return neighbours, after, before, f
