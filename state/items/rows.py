"""Co-occurrence rows: count a pair, take one back, find a neighbour, and make room, as numba kernels.

A row is a hash table with open addressing; `state.items.row_layout` draws how it lies in memory. The home
line of a neighbour comes from a multiplicative hash; the next line is read only when a line is full. Rows
grow by about a third, to a line class whose freed blocks other rows reuse. A full row drops the eighth of its
entries with the least F (ties: the larger neighbour number), and counts how many it dropped.
"""

from __future__ import annotations

import numpy as np

from state.items.row_layout import (
    CLASSES,
    DEAD,
    DROPPED,
    LINE_WORDS,
    LIVE,
    LOST,
    MASS,
    RECENT_MASS,
    SIZE,
    START,
    Rows,
    entry_f,
    free_side,
    new_side,
)
from state.memory.arrays import add_float, kernel, load, prefetch, store
from state.memory.blocks import allocate, release
from state.memory.entries import AFTER, DELETED, HIGH, ID, INDEX, MINUTE, REPEATED, decay_weight

LOOKAHEAD = 24

_HASH = np.uint64(0x9E3779B1)


@kernel
def _home(neighbour: int, lines: int) -> int:
    return np.int64((((np.uint64(neighbour) * _HASH) & ID) * np.uint64(lines)) >> HIGH)


@kernel
def move(arena: int, old: int, old_lines: int, new: int, lines: int) -> None:
    """Put the entries of old lines (first word `old`) into empty new ones; `arena` is its address."""
    for slot in range(old, old + old_lines * LINE_WORDS):
        entry = load(arena + slot * 8)
        if entry == 0 or (entry & ID) == DELETED:
            continue
        line = _home(np.int64(entry & ID) - 1, lines)
        at = arena + 8 * new + line * 64
        end = at + 64
        while load(at) != 0:
            at = at + 8
            if at == end:
                line = line + 1 if line + 1 < lines else 0
                at = arena + 8 * new + line * 64
                end = at + 64
        store(at, entry)


@kernel
def _rebuild(rows: Rows, row: int, size: int) -> None:
    """Move a row's entries to a new block of class `size`, without its deleted ones."""
    old, old_size = rows.heads[row, START], rows.heads[row, SIZE]
    new = allocate(rows.arena, rows.free, size, CLASSES[size] * LINE_WORDS)
    move(np.int64(rows.arena.ctypes.data), old, CLASSES[old_size], new, CLASSES[size])
    release(rows.arena, rows.free, old_size, old)
    rows.heads[row, START] = new
    rows.heads[row, SIZE] = size
    rows.heads[row, DEAD] = 0


@kernel
def _drop_least(rows: Rows, row: int, share: int) -> None:
    """Drop the 1/share of a row's entries with the least F; of ties the larger neighbour is dropped."""
    live = rows.heads[row, LIVE]
    decayed = np.empty(live, np.float64)
    slots = np.empty(live, np.int64)
    neighbours = np.empty(live, np.int64)
    n = 0
    first = rows.heads[row, START]
    for slot in range(first, first + CLASSES[rows.heads[row, SIZE]] * LINE_WORDS):
        entry = rows.arena[slot]
        if entry != 0 and (entry & ID) != DELETED:
            decayed[n] = entry_f(rows, entry)
            slots[n] = slot
            neighbours[n] = -np.int64(entry & ID)
            n += 1
    by_neighbour = np.argsort(neighbours, kind="mergesort")
    order = by_neighbour[np.argsort(decayed[by_neighbour], kind="mergesort")]
    for i in order[: max(1, live // share)]:
        entry = rows.arena[slots[i]]
        payload = entry >> HIGH
        if payload & REPEATED:
            free_side(rows, np.int64(payload & INDEX))
        rows.arena[slots[i]] = DELETED
        rows.heads_f[row, LOST] = max(rows.heads_f[row, LOST], decayed[i])
        rows.heads[row, LIVE] -= 1
        rows.heads[row, DEAD] += 1
        rows.heads[row, DROPPED] += 1
    _rebuild(rows, row, rows.heads[row, SIZE])


@kernel
def make_room(rows: Rows, row: int, capacity: int) -> None:
    """Make room for one more neighbour in a row: grow it, remove deleted entries, or drop the least."""
    if rows.heads[row, LIVE] >= capacity:
        _drop_least(rows, row, 8)
    slots = CLASSES[rows.heads[row, SIZE]] * LINE_WORDS
    if rows.heads[row, LIVE] + rows.heads[row, DEAD] + 1 > slots - slots // 8:
        grows = rows.heads[row, LIVE] + 1 > slots - slots // 4
        _rebuild(rows, row, rows.heads[row, SIZE] + 1 if grows else rows.heads[row, SIZE])


@kernel
def find(rows: Rows, row: int, neighbour: int) -> int:
    """Return the word of a neighbour's entry in the arena, -1 if the row has none."""
    lines = CLASSES[rows.heads[row, SIZE]]
    if lines == 0:
        return -1
    key = np.uint64(neighbour + 1)
    line = _home(neighbour, lines)
    for _ in range(lines):
        base = rows.heads[row, START] + line * LINE_WORDS
        for slot in range(base, base + LINE_WORDS):
            entry = rows.arena[slot]
            if (entry & ID) == key:
                return slot
            if entry == 0:
                return -1
        line = line + 1 if line + 1 < lines else 0
    return -1


@kernel
def bump(
    heads: int, arena: int, side: int, meta: int, row: int, neighbour: int, after: int, minute: int,
    weight: float, capacity: int,
) -> tuple[int, float]:  # fmt: skip
    """Count one more pair if the row has room. Return the entry's new N, 0 if there was no room, and F.

    This is the hot path: `heads`, `arena`, `side` and `meta` are the addresses of the arrays of that name.
    """
    head = heads + row * 64
    size = np.int64(load(head + SIZE * 8))
    lines = CLASSES[size]
    start = arena + 8 * np.int64(load(head))
    key = np.uint64(neighbour + 1)
    line = _home(neighbour, lines)
    for _ in range(lines):
        at = start + line * 64
        for _ in range(LINE_WORDS):
            entry = load(at)
            if (entry & ID) == key:
                return _again(head, at, side, meta, entry, after, weight)
            if entry == 0:
                live = load(head + LIVE * 8)
                slots = lines * LINE_WORDS
                full = np.int64(live) >= capacity
                if full or np.int64(live + load(head + DEAD * 8)) + 1 > slots - slots // 8:
                    return 0, 0.0
                payload = (np.uint64(after) << np.uint64(30)) | np.uint64(minute)
                store(at, (payload << HIGH) | key)
                store(head + LIVE * 8, live + np.uint64(1))
                store(head + MASS * 8, load(head + MASS * 8) + np.uint64(1))
                add_float(head + RECENT_MASS * 8, weight)
                return 1, weight
            at += 8
        line = line + 1 if line + 1 < lines else 0
    return 0, 0.0


@kernel
def _again(
    head: int, at: int, side: int, meta: int, entry: int, after: int, weight: float
) -> tuple[int, float]:
    """Count a pair that was seen before; its entry is at an address."""
    store(head + MASS * 8, load(head + MASS * 8) + np.uint64(1))
    add_float(head + RECENT_MASS * 8, weight)
    payload = entry >> HIGH
    step = np.uint64(1) if after else np.uint64(1) << HIGH
    if payload & REPEATED:
        record = side + 16 * np.int64(payload & INDEX)
        both = load(record) + step
        store(record, both)
        return np.int64((both & ID) + (both >> HIGH)), add_float(record + 8, weight)
    index = new_side(side, meta)
    record = side + 16 * index
    was = np.uint64(1) if payload & AFTER else np.uint64(1) << HIGH
    store(record, was + step)
    store(record + 8, np.uint64(0))
    f = add_float(record + 8, decay_weight(np.int64(payload & MINUTE)) + weight)
    store(at, ((REPEATED | np.uint64(index)) << HIGH) | (entry & ID))
    return 2, f


@kernel
def add(
    rows: Rows, row: int, neighbour: int, after: int, minute: int, weight: float, capacity: int
) -> tuple[int, float]:
    """Count one more pair (`after` 1: the neighbour was bought later). Return the entry's new (N, F)."""
    heads, arena = np.int64(rows.heads.ctypes.data), np.int64(rows.arena.ctypes.data)
    side, meta = np.int64(rows.side.ctypes.data), np.int64(rows.meta.ctypes.data)
    count, f = bump(heads, arena, side, meta, row, neighbour, after, minute, weight, capacity)
    if count == 0:
        make_room(rows, row, capacity)
        count, f = bump(heads, arena, side, meta, row, neighbour, after, minute, weight, capacity)
    return count, f


@kernel
def take(rows: Rows, row: int, neighbour: int, after: int, weight: float) -> None:
    """Take one pair back.

    Nothing happens if the neighbour was dropped from a full row. If it came back since, it does not have all
    of its pairs.
    """
    rows.heads[row, MASS] -= 1
    rows.heads_f[row, RECENT_MASS] -= weight
    slot = find(rows, row, neighbour)
    if slot < 0:
        return
    payload = rows.arena[slot] >> HIGH
    if payload & REPEATED:
        index = np.int64(payload & INDEX)
        both = rows.side[2 * index]
        if (both & ID if after else both >> HIGH) == 0:
            return
        both -= np.uint64(1) if after else np.uint64(1) << HIGH
        if np.int64(both & ID) + np.int64(both >> HIGH) > 0:
            rows.side[2 * index] = both
            rows.side_f[2 * index + 1] = max(rows.side_f[2 * index + 1] - weight, 0.0)
            return
        free_side(rows, index)
    elif ((payload & AFTER) != 0) != (after != 0):
        return
    rows.arena[slot] = DELETED
    rows.heads[row, LIVE] -= 1
    rows.heads[row, DEAD] += 1
    if rows.heads[row, MASS] == 0:
        rows.heads_f[row, RECENT_MASS] = 0.0  # without what rounding left


@kernel
def hint(heads: int, arena: int, row: int, neighbour: int) -> None:
    """Prefetch the line where a neighbour's entry is, or will be; addresses as for `bump`."""
    head = heads + row * 64
    line = _home(neighbour, CLASSES[np.int64(load(head + SIZE * 8))])
    prefetch(arena + 8 * np.int64(load(head)) + line * 64)
