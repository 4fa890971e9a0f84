"""Customers' purchase histories in memory, as numba kernels.

A history has the customer's distinct items in order of first purchase. It lies in one block of an arena:

    u32 items[c] | u32 quantities[c] | i64 first_ms[c] | i64 last_ms[c]
    u32 days[c] | f32 recent[c]                                                4 c words, c even

Looking for an item thus reads only the items. The low 24 bits of `days` count the days on which the item was
bought (an event counts if its day is not that of the newest event); the high 8 bits are the customer's
profile that bought it last. `recent` is how often it was bought, with each purchase decayed from its event to
the newest one (tau 30 days). The hashes of the customer's last 128 event ids lie in a block of their own
(`state.customers.event_rings`), and so do the days of repeat purchases (`state.customers.purchase_logs`).
`state.customers.history_memory` reads and fills whole histories.

The repeats of an item are its `days` and its span: the minutes from its first event to its newest one, 0 as
long as all its events are on one day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers.event_rings import RINGS, forget_ring
from state.customers.purchase_logs import LOGS, forget_log
from state.memory.arrays import kernel, reserve, zeros
from state.memory.blocks import allocate, new_free, release, size_classes, wipe

RESERVED_BYTES = 16 << 30
CLASSES = size_classes(2, 1 << 24) // 2 * 2  # items of a block: even, so that its parts are aligned
ENTRY_WORDS = 4
MOST_DAYS = (1 << 24) - 1
PROFILE_BITS = 24  # the profile is above them


class Histories(NamedTuple):
    """The histories of one customer machine; per-customer arrays are indexed by the customer's slot."""

    arena: npt.NDArray[np.uint64]
    arena32: npt.NDArray[np.uint32]  # the same memory
    arena_f: npt.NDArray[np.float32]  # the same memory
    free: npt.NDArray[np.int64]
    ring_free: npt.NDArray[np.int64]
    rings: npt.NDArray[np.uint64]
    log_free: npt.NDArray[np.int64]
    logs: npt.NDArray[np.uint64]
    start: npt.NDArray[np.int64]  # first word of the block
    size: npt.NDArray[np.uint8]  # class of the block
    length: npt.NDArray[np.uint32]  # items
    ring_start: npt.NDArray[np.int64]
    ring_size: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.int64]  # event ids ever remembered; the newest is at (seen - 1) % ring
    log_start: npt.NDArray[np.int64]
    log_size: npt.NDArray[np.uint8]
    log_length: npt.NDArray[np.uint32]  # records
    today: npt.NDArray[np.uint32]  # of state.customers.daily_limit


def new_histories(capacity: int) -> Histories:
    """Return empty histories of customers 0 .. capacity - 1."""
    arena = reserve(RESERVED_BYTES)
    return Histories(
        arena=arena,
        arena32=arena.view(np.uint32),
        arena_f=arena.view(np.float32),
        free=new_free(CLASSES),
        ring_free=new_free(RINGS),
        rings=reserve(RESERVED_BYTES),
        log_free=new_free(LOGS),
        logs=reserve(RESERVED_BYTES),
        start=np.zeros(capacity, np.int64),
        size=np.zeros(capacity, np.uint8),
        length=np.zeros(capacity, np.uint32),
        ring_start=np.zeros(capacity, np.int64),
        ring_size=np.zeros(capacity, np.uint8),
        seen=np.zeros(capacity, np.int64),
        log_start=np.zeros(capacity, np.int64),
        log_size=np.zeros(capacity, np.uint8),
        log_length=np.zeros(capacity, np.uint32),
        today=np.zeros(capacity, np.uint32),
    )


def grow_histories(histories: Histories, capacity: int) -> Histories:
    """Return the same histories with room for `capacity` customers."""
    grown = {}
    for name in Histories._fields[8:]:
        old = getattr(histories, name)
        new = zeros(capacity, old.dtype)
        new[: len(old)] = old
        grown[name] = new
    return histories._replace(**grown)


@kernel
def rank_of(h: Histories, customer: int, item: int) -> int:
    """Return the rank of an item in a history, or -1 if it is not in the history."""
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
def columns(h: Histories, customer: int) -> tuple[int, int, int, int, int, int]:
    """Return where the parts of a block start.

    These are items and quantities in arena32, first and last times in arena, days in arena32 and recent in
    arena_f.
    """
    start, capacity = h.start[customer], CLASSES[h.size[customer]]
    days = 2 * (start + 3 * capacity)
    return 2 * start, 2 * start + capacity, start + capacity, start + 2 * capacity, days, days + capacity


@kernel
def _resize(h: Histories, customer: int, size: int) -> None:
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = columns(h, customer)
    old, old_size = h.start[customer], h.size[customer]
    h.start[customer] = allocate(h.arena, h.free, size, ENTRY_WORDS * CLASSES[size])
    h.size[customer] = size
    to_items, to_quantities, to_firsts, to_lasts, to_days, to_recents = columns(h, customer)
    h.arena32[to_items : to_items + n] = h.arena32[items : items + n]
    h.arena32[to_quantities : to_quantities + n] = h.arena32[quantities : quantities + n]
    h.arena[to_firsts : to_firsts + n] = h.arena[firsts : firsts + n]
    h.arena[to_lasts : to_lasts + n] = h.arena[lasts : lasts + n]
    h.arena32[to_days : to_days + n] = h.arena32[days : days + n]
    h.arena32[to_recents : to_recents + n] = h.arena32[recents : recents + n]
    wipe(h.arena, old, ENTRY_WORDS * CLASSES[old_size])
    release(h.arena, h.free, old_size, old)


@kernel
def append(
    h: Histories, customer: int, item: int, quantity: int, first_ms: int, last_ms: int, days: int,
    recent: float, profile: int,
) -> None:  # fmt: skip
    """Put an item that is not in a history yet at its end."""
    n = np.int64(h.length[customer])
    if n == CLASSES[h.size[customer]]:
        _resize(h, customer, np.int64(h.size[customer]) + 1)
    items, quantities, firsts, lasts, all_days, recents = columns(h, customer)
    h.arena32[items + n] = item
    h.arena32[quantities + n] = quantity
    h.arena[firsts + n] = np.uint64(first_ms)
    h.arena[lasts + n] = np.uint64(last_ms)
    h.arena32[all_days + n] = np.uint32(days | (profile << PROFILE_BITS))
    h.arena_f[recents + n] = np.float32(recent)
    h.length[customer] += np.uint32(1)


@kernel
def item_at(h: Histories, customer: int, rank: int) -> int:
    """Return the item number at a rank."""
    return np.int64(h.arena32[2 * h.start[customer] + rank])


@kernel
def first_ms_at(h: Histories, customer: int, rank: int) -> int:
    """Return the time of the first purchase of the item at a rank."""
    return np.int64(h.arena[columns(h, customer)[2] + rank])


@kernel
def add_quantity(h: Histories, customer: int, rank: int, quantity: int) -> int:
    """Change the quantity of the item at a rank by `quantity`, which may be negative; return the new
    quantity.

    A quantity stops at 2^32 - 1.
    """
    quantities = columns(h, customer)[1]
    now = min(np.int64(h.arena32[quantities + rank]) + quantity, 0xFFFFFFFF)
    if now > 0:
        h.arena32[quantities + rank] = now
    return now


@kernel
def quantity_at(h: Histories, customer: int, rank: int) -> int:
    """Return the quantity of the item at a rank."""
    return np.int64(h.arena32[columns(h, customer)[1] + rank])


@kernel
def remove(h: Histories, customer: int, rank: int) -> None:
    """Take the item at a rank out of a history; later items move up."""
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = columns(h, customer)
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
    """Erase customers with their histories, event ids and days, and overwrite the memory."""
    for customer in customers:
        if h.size[customer] > 0:
            wipe(h.arena, h.start[customer], ENTRY_WORDS * CLASSES[h.size[customer]])
            release(h.arena, h.free, h.size[customer], h.start[customer])
        h.size[customer] = 0
        h.length[customer] = 0
        h.today[customer] = 0
        forget_ring(h, customer)
        forget_log(h, customer)


@kernel
def newest_ms(h: Histories, customer: int) -> int:
    """Return the time of a customer's newest purchase; the smallest int64 if there is none."""
    lasts = columns(h, customer)[3]
    newest = np.iinfo(np.int64).min
    for i in range(np.int64(h.length[customer])):
        newest = max(newest, np.int64(h.arena[lasts + i]))
    return newest
