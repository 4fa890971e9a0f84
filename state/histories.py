"""Customers' purchase histories in memory, as numba kernels.

A history is the customer's distinct items in order of first purchase. It lies in one block of an arena:

    u32 items[c] | u32 quantities[c] | i64 first_ms[c] | i64 last_ms[c]
    u32 days[c] | f32 recent[c]                                                4 c words, c even

so that looking for an item reads only the items. `days` has in its low 24 bits on how many days the item
was bought (counted when an event's day is not that of the newest one), in its high 8 bits the customer's
profile that bought it last. `recent` is how often it was bought, decayed from each event to the newest one
(tau 30 days). The hashes of the customer's last 128 event ids lie in a block of their own, a ring that
grows with use.

What an item says of repeats is its `days` and its span, the minutes from its first event to its newest one,
0 as long as all are on one day.
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
ENTRY_WORDS = 4
DAY_MS = 86_400_000
TAU_MS = 30.0 * DAY_MS
MOST_DAYS = (1 << 24) - 1
PROFILE_BITS = 24  # the profile is above them

# what `again` says of a repeat
DAY_ADDED, REPEATER, SPAN_BITS = 1, 2, 2


class Histories(NamedTuple):
    """The histories of one customer machine; per-customer arrays by customer number."""

    arena: npt.NDArray[np.uint64]
    arena32: npt.NDArray[np.uint32]  # the same memory
    arena_f: npt.NDArray[np.float32]  # the same memory
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
        arena_f=arena.view(np.float32),
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
    for name in Histories._fields[6:]:
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
def _columns(h: Histories, customer: int) -> tuple[int, int, int, int, int, int]:
    """Where a block's parts start: items and quantities in arena32, first and last times in arena, days and
    recent in arena32 and arena_f.
    """
    start, capacity = h.start[customer], CLASSES[h.size[customer]]
    days = 2 * (start + 3 * capacity)
    return 2 * start, 2 * start + capacity, start + capacity, start + 2 * capacity, days, days + capacity


@kernel
def _resize(h: Histories, customer: int, size: int) -> None:
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = _columns(h, customer)
    old, old_size = h.start[customer], h.size[customer]
    h.start[customer] = allocate(h.arena, h.free, size, ENTRY_WORDS * CLASSES[size])
    h.size[customer] = size
    to_items, to_quantities, to_firsts, to_lasts, to_days, to_recents = _columns(h, customer)
    h.arena32[to_items : to_items + n] = h.arena32[items : items + n]
    h.arena32[to_quantities : to_quantities + n] = h.arena32[quantities : quantities + n]
    h.arena[to_firsts : to_firsts + n] = h.arena[firsts : firsts + n]
    h.arena[to_lasts : to_lasts + n] = h.arena[lasts : lasts + n]
    h.arena32[to_days : to_days + n] = h.arena32[days : days + n]
    h.arena32[to_recents : to_recents + n] = h.arena32[recents : recents + n]
    _wipe(h.arena, old, ENTRY_WORDS * CLASSES[old_size])
    release(h.arena, h.free, old_size, old)


@kernel
def _wipe(arena: npt.NDArray[np.uint64], start: int, words: int) -> None:
    """Overwrite a block before it is freed: nothing of a customer who is erased may be left in it."""
    arena[start : start + words] = np.uint64(0)


@kernel
def append(
    h: Histories, customer: int, item: int, quantity: int, first_ms: int, last_ms: int, days: int,
    recent: float, profile: int,
) -> None:  # fmt: skip
    """Put an item that is not there yet at the end of a history."""
    n = np.int64(h.length[customer])
    if n == CLASSES[h.size[customer]]:
        _resize(h, customer, np.int64(h.size[customer]) + 1)
    items, quantities, firsts, lasts, all_days, recents = _columns(h, customer)
    h.arena32[items + n] = item
    h.arena32[quantities + n] = quantity
    h.arena[firsts + n] = np.uint64(first_ms)
    h.arena[lasts + n] = np.uint64(last_ms)
    h.arena32[all_days + n] = np.uint32(days | (profile << PROFILE_BITS))
    h.arena_f[recents + n] = np.float32(recent)
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
def add_quantity(h: Histories, customer: int, rank: int, quantity: int) -> int:
    """Change the quantity of the item at a rank by `quantity`, which may be negative; returns the new one.

    A quantity stops at 2^32 - 1.
    """
    quantities = _columns(h, customer)[1]
    now = min(np.int64(h.arena32[quantities + rank]) + quantity, 0xFFFFFFFF)
    if now > 0:
        h.arena32[quantities + rank] = now
    return now


@kernel
def span_at(h: Histories, customer: int, rank: int) -> int:
    """Minutes from the first event of the item at a rank to its newest one; 0 if all are on one day."""
    _, _, firsts, lasts, days, _ = _columns(h, customer)
    if np.int64(h.arena32[days + rank]) & MOST_DAYS < 2:
        return 0
    return max(np.int64(h.arena[lasts + rank]) - np.int64(h.arena[firsts + rank]), 0) // 60_000


@kernel
def days_at(h: Histories, customer: int, rank: int) -> int:
    """On how many days the item at a rank was bought."""
    return np.int64(h.arena32[_columns(h, customer)[4] + rank]) & MOST_DAYS


@kernel
def again(h: Histories, customer: int, rank: int, time_ms: int, profile: int) -> int:
    """Note one more event of the item at a rank; what that changes of its repeats.

    Returns
    -------
    int
        DAY_ADDED | REPEATER (the customer was none before) | growth of the span in minutes << SPAN_BITS.
    """
    _, _, _, lasts, all_days, recents = _columns(h, customer)
    span = span_at(h, customer, rank)
    last = np.int64(h.arena[lasts + rank])
    days = np.int64(h.arena32[all_days + rank]) & MOST_DAYS
    code = 0
    if time_ms // DAY_MS != last // DAY_MS and days < MOST_DAYS:
        days += 1
        code = DAY_ADDED | (REPEATER if days == 2 else 0)
    recent = np.float64(h.arena_f[recents + rank])
    if time_ms >= last:
        recent = recent * np.exp((last - time_ms) / TAU_MS) + 1.0
        h.arena[lasts + rank] = np.uint64(time_ms)
    else:
        recent += np.exp((time_ms - last) / TAU_MS)
    h.arena_f[recents + rank] = np.float32(recent)
    h.arena32[all_days + rank] = np.uint32(days | (profile << PROFILE_BITS))
    return code | ((span_at(h, customer, rank) - span) << SPAN_BITS)


@kernel
def quantity_at(h: Histories, customer: int, rank: int) -> int:
    """Quantity of the item at a rank."""
    return np.int64(h.arena32[_columns(h, customer)[1] + rank])


@kernel
def remove(h: Histories, customer: int, rank: int) -> None:
    """Take the item at a rank out of a history; later ones move up."""
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = _columns(h, customer)
    for i in range(rank, n - 1):
        h.arena32[days + i] = h.arena32[days + i + 1]
        h.arena32[recents + i] = h.arena32[recents + i + 1]
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
            _wipe(h.arena, h.start[customer], ENTRY_WORDS * CLASSES[h.size[customer]])
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
) -> tuple[
    npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64],
    npt.NDArray[np.uint32], npt.NDArray[np.float32],
]:  # fmt: skip
    """A history's columns, copied: items, quantities, first and last times, days with profiles, recent."""
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = _columns(h, customer)
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
        h.arena32[days : days + n].copy(),
        h.arena_f[recents : recents + n].copy(),
    )


@kernel
def newest_ms(h: Histories, customer: int) -> int:
    """Time of a customer's newest purchase; the smallest int64 of one who has none."""
    lasts = _columns(h, customer)[3]
    newest = np.iinfo(np.int64).min
    for i in range(np.int64(h.length[customer])):
        newest = max(newest, np.int64(h.arena[lasts + i]))
    return newest


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
    days: npt.NDArray[np.uint32], recents: npt.NDArray[np.float32],
    hashes: npt.NDArray[np.uint64], seen: int,
) -> None:  # fmt: skip
    """Fill an empty history from what `read` and `read_ring` gave."""
    for i in range(len(items)):
        both = np.int64(days[i])
        append(
            h, customer, items[i], quantities[i], first_ms[i], last_ms[i], both & MOST_DAYS, recents[i],
            both >> PROFILE_BITS,
        )  # fmt: skip
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
    return 8 * ENTRY_WORDS * CLASSES[h.size] + 8 * RINGS[h.ring_size]


def close_gaps(h: Histories) -> None:
    """Move all blocks together, and give the memory behind them back to the system."""
    for arena, free, start, words in (
        (h.arena, h.free, h.start, ENTRY_WORDS * CLASSES[h.size]),
        (h.rings, h.ring_free, h.ring_start, RINGS[h.ring_size]),
    ):
        held = np.flatnonzero(words)
        held = held[np.argsort(start[held])]
        starts = start[held]
        give_back(arena, *blocks.close_gaps(arena, free, starts, words[held]))
        start[held] = starts
