"""Customers' purchase histories in memory, as numba kernels.

A history is the customer's distinct items in order of first purchase. It lies in one block of an arena:

    u32 items[c] | u32 quantities[c] | i64 first_ms[c] | i64 last_ms[c]        3 c words, c even

so that looking for an item reads only the items. The hashes of the customer's last 128 event ids lie in a
block of their own, a ring that grows with use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state import blocks
from state.blocks import allocate, new_free, release, size_classes
from state.memory import give_back, kernel, reserve

RESERVED_BYTES = 16 << 30
REMEMBERED_EVENTS = 128
CLASSES = size_classes(2, 1 << 24) // 2 * 2  # items of a block: even, so that its parts are aligned
RINGS = np.array([0, 4, 8, 16, 32, 64, 128], dtype=np.int64)  # event ids of a ring block


class Histories(NamedTuple):
    """The histories of one customer machine; per-customer arrays by customer number."""

    arena: npt.NDArray[np.uint64]
    arena32: npt.NDArray[np.uint32]  # the same memory
    free: npt.NDArray[np.int64]
    ring_free: npt.NDArray[np.int64]
    rings: npt.NDArray[np.uint64]
    start: npt.NDArray[np.int64]  # first word of the block
    size: npt.NDArray[np.uint8]  # class of the block
    length: npt.NDArray[np.uint32]  # items
    ring_start: npt.NDArray[np.int64]
    ring_size: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.int64]  # event ids ever remembered; the newest is at (seen - 1) % ring


def new_histories(capacity: int) -> Histories:
    """Empty histories of customers 0 .. capacity - 1."""
    arena = reserve(RESERVED_BYTES)
    return Histories(
        arena=arena,
        arena32=arena.view(np.uint32),
        free=new_free(CLASSES),
        ring_free=new_free(RINGS),
        rings=reserve(RESERVED_BYTES),
        start=np.zeros(capacity, np.int64),
        size=np.zeros(capacity, np.uint8),
        length=np.zeros(capacity, np.uint32),
        ring_start=np.zeros(capacity, np.int64),
        ring_size=np.zeros(capacity, np.uint8),
        seen=np.zeros(capacity, np.int64),
    )


def grow_histories(histories: Histories, capacity: int) -> Histories:
    """The same histories with room for `capacity` customers."""
    grown = {}
    for name in Histories._fields[5:]:
        old = getattr(histories, name)
        new = np.zeros(capacity, old.dtype)
        new[: len(old)] = old
        grown[name] = new
    return histories._replace(**grown)


@kernel
def rank_of(h: Histories, customer: int, item: int) -> int:
    """Rank of an item in a history, -1 if it is not in it."""
    n = np.int64(h.length[customer])
    first = 2 * h.start[customer]
    items = h.arena32[first : first + n]
    key = np.uint32(item)
    done = 0
    while done + 32 <= n:  # 32 at a time without a branch, so that the compiler vectorises
        found = 0
        for i in range(done, done + 32):
            found |= items[i] == key
        if found:
            break
        done += 32
    for i in range(done, n):
        if items[i] == key:
            return i
    return -1


@kernel
def _columns(h: Histories, customer: int) -> tuple[int, int, int, int]:
    """Where a block's parts start: items and quantities in arena32, first and last times in arena."""
    start, capacity = h.start[customer], CLASSES[h.size[customer]]
    return 2 * start, 2 * start + capacity, start + capacity, start + 2 * capacity


@kernel
def _resize(h: Histories, customer: int, size: int) -> None:
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts = _columns(h, customer)
    old, old_size = h.start[customer], h.size[customer]
    h.start[customer] = allocate(h.arena, h.free, size, 3 * CLASSES[size])
    h.size[customer] = size
    to_items, to_quantities, to_firsts, to_lasts = _columns(h, customer)
    h.arena32[to_items : to_items + n] = h.arena32[items : items + n]
    h.arena32[to_quantities : to_quantities + n] = h.arena32[quantities : quantities + n]
    h.arena[to_firsts : to_firsts + n] = h.arena[firsts : firsts + n]
    h.arena[to_lasts : to_lasts + n] = h.arena[lasts : lasts + n]
    _wipe(h.arena, old, 3 * CLASSES[old_size])
    release(h.arena, h.free, old_size, old)


@kernel
def _wipe(arena: npt.NDArray[np.uint64], start: int, words: int) -> None:
    """Overwrite a block before it is freed: nothing of a customer who is erased may be left in it."""
    arena[start : start + words] = np.uint64(0)


@kernel
def append(h: Histories, customer: int, item: int, quantity: int, first_ms: int, last_ms: int) -> None:
    """Put an item that is not there yet at the end of a history."""
    n = np.int64(h.length[customer])
    if n == CLASSES[h.size[customer]]:
        _resize(h, customer, np.int64(h.size[customer]) + 1)
    items, quantities, firsts, lasts = _columns(h, customer)
    h.arena32[items + n] = item
    h.arena32[quantities + n] = quantity
    h.arena[firsts + n] = np.uint64(first_ms)
    h.arena[lasts + n] = np.uint64(last_ms)
    h.length[customer] += np.uint32(1)


@kernel
def item_at(h: Histories, customer: int, rank: int) -> int:
    """Item number at a rank."""
    return np.int64(h.arena32[2 * h.start[customer] + rank])


@kernel
def first_ms_at(h: Histories, customer: int, rank: int) -> int:
    """Time of the first purchase of the item at a rank."""
    return np.int64(h.arena[_columns(h, customer)[2] + rank])


@kernel
def add_quantity(h: Histories, customer: int, rank: int, quantity: int, time_ms: int) -> int:
    """Change the quantity of the item at a rank by `quantity`, which may be negative; returns the new one.

    A quantity stops at 2^32 - 1.
    """
    _, quantities, _, lasts = _columns(h, customer)
    now = min(np.int64(h.arena32[quantities + rank]) + quantity, 0xFFFFFFFF)
    if now > 0:
        h.arena32[quantities + rank] = now
    if quantity > 0:
        h.arena[lasts + rank] = np.uint64(max(np.int64(h.arena[lasts + rank]), time_ms))
    return now


@kernel
def quantity_at(h: Histories, customer: int, rank: int) -> int:
    """Quantity of the item at a rank."""
    return np.int64(h.arena32[_columns(h, customer)[1] + rank])


@kernel
def remove(h: Histories, customer: int, rank: int) -> None:
    """Take the item at a rank out of a history; later ones move up."""
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts = _columns(h, customer)
    for i in range(rank, n - 1):
        h.arena32[items + i] = h.arena32[items + i + 1]
        h.arena32[quantities + i] = h.arena32[quantities + i + 1]
        h.arena[firsts + i] = h.arena[firsts + i + 1]
        h.arena[lasts + i] = h.arena[lasts + i + 1]
    h.length[customer] -= np.uint32(1)


@kernel
def forget(h: Histories, customers: npt.NDArray[np.int64]) -> None:
    """Erase customers: histories and event ids, overwritten in memory."""
    for customer in customers:
        if h.size[customer] > 0:
            _wipe(h.arena, h.start[customer], 3 * CLASSES[h.size[customer]])
            release(h.arena, h.free, h.size[customer], h.start[customer])
        if h.ring_size[customer] > 0:
            _wipe(h.rings, h.ring_start[customer], RINGS[h.ring_size[customer]])
            release(h.rings, h.ring_free, h.ring_size[customer], h.ring_start[customer])
        h.size[customer] = 0
        h.length[customer] = 0
        h.ring_size[customer] = 0
        h.seen[customer] = 0


@kernel
def seen_before(h: Histories, customer: int, event_hash: int) -> bool:
    """Whether an event id is among the customer's last 128; remembers it if not."""
    ring = RINGS[h.ring_size[customer]]
    start = h.ring_start[customer]
    found = False
    for i in range(start, start + min(ring, h.seen[customer])):
        found |= h.rings[i] == event_hash
    if found:
        return True
    if h.seen[customer] == ring and ring < REMEMBERED_EVENTS:
        size = np.int64(h.ring_size[customer]) + 1
        new = allocate(h.rings, h.ring_free, size, RINGS[size])
        h.rings[new : new + ring] = h.rings[start : start + ring]
        _wipe(h.rings, start, ring)
        release(h.rings, h.ring_free, h.ring_size[customer], start)
        h.ring_start[customer] = new
        h.ring_size[customer] = size
        start, ring = new, RINGS[size]
    h.rings[start + h.seen[customer] % ring] = event_hash
    h.seen[customer] += 1
    return False


@kernel
def read(
    h: Histories, customer: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A history's columns, copied: items, quantities, first times, last times."""
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts = _columns(h, customer)
    first_ms = np.empty(n, np.int64)
    last_ms = np.empty(n, np.int64)
    for i in range(n):
        first_ms[i] = np.int64(h.arena[firsts + i])
        last_ms[i] = np.int64(h.arena[lasts + i])
    return (
        h.arena32[items : items + n].copy(),
        h.arena32[quantities : quantities + n].copy(),
        first_ms,
        last_ms,
    )


@kernel
def read_ring(h: Histories, customer: int) -> npt.NDArray[np.uint64]:
    """The remembered event id hashes, as they lie in the ring."""
    ring = RINGS[h.ring_size[customer]]
    start = h.ring_start[customer]
    return h.rings[start : start + min(ring, h.seen[customer])].copy()


@kernel
def write(
    h: Histories, customer: int, items: npt.NDArray[np.uint32], quantities: npt.NDArray[np.uint32],
    first_ms: npt.NDArray[np.int64], last_ms: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64], seen: int,
) -> None:  # fmt: skip
    """Fill an empty history from what `read` and `read_ring` gave."""
    for i in range(len(items)):
        append(h, customer, items[i], quantities[i], first_ms[i], last_ms[i])
    size = 0
    while RINGS[size] < len(hashes):
        size += 1
    if size > 0:
        start = allocate(h.rings, h.ring_free, size, RINGS[size])
        h.rings[start : start + len(hashes)] = hashes
        h.ring_start[customer] = start
        h.ring_size[customer] = size
    h.seen[customer] = seen


def footprint_bytes(h: Histories) -> int:
    """Memory that histories and event ids touched so far, gaps included."""
    return 8 * int(h.free[-1] + h.ring_free[-1])


def block_bytes(h: Histories) -> npt.NDArray[np.int64]:
    """Bytes of each customer's two blocks."""
    return 24 * CLASSES[h.size] + 8 * RINGS[h.ring_size]


def close_gaps(h: Histories) -> None:
    """Move all blocks together, and give the memory behind them back to the system."""
    for arena, free, start, words in (
        (h.arena, h.free, h.start, 3 * CLASSES[h.size]),
        (h.rings, h.ring_free, h.ring_start, RINGS[h.ring_size]),
    ):
        held = np.flatnonzero(words)
        held = held[np.argsort(start[held])]
        starts = start[held]
        give_back(arena, *blocks.close_gaps(arena, free, starts, words[held]))
        start[held] = starts
