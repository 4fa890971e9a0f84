"""Histories in and out of memory: reading, filling, and closing the gaps; `codec` stores them.

A customer has up to three blocks, each in an arena of its kind: the history, the ring of event ids and the
log of repeat purchases. Freed blocks leave gaps that only blocks of the same size fill, so the resident
memory is given by the end of the used words, not by their sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.customers.event_rings import RINGS, write_ring
from state.customers.histories import (
    CLASSES,
    ENTRY_WORDS,
    MOST_DAYS,
    PROFILE_BITS,
    Histories,
    append,
    columns,
)
from state.customers.purchase_logs import LOGS, write_log
from state.memory import blocks
from state.memory.arrays import give_back, kernel


@kernel
def read(
    h: Histories, customer: int
) -> tuple[
    npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64],
    npt.NDArray[np.uint32], npt.NDArray[np.float32],
]:  # fmt: skip
    """Return copies of a history's columns.

    These are items, quantities, first times, last times, days with profiles, and recent.
    """
    n = np.int64(h.length[customer])
    items, quantities, firsts, lasts, days, recents = columns(h, customer)
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
def write(
    h: Histories, customer: int, items: npt.NDArray[np.uint32], quantities: npt.NDArray[np.uint32],
    first_ms: npt.NDArray[np.int64], last_ms: npt.NDArray[np.int64],
    days: npt.NDArray[np.uint32], recents: npt.NDArray[np.float32],
    hashes: npt.NDArray[np.uint64], seen: int, log: npt.NDArray[np.uint64],
) -> None:  # fmt: skip
    """Fill an empty history with what `read`, `read_ring` and `read_log` returned."""
    for i in range(len(items)):
        both = np.int64(days[i])
        append(
            h, customer, np.int64(items[i]), np.int64(quantities[i]), first_ms[i], last_ms[i],
            both & MOST_DAYS, np.float64(recents[i]), both >> PROFILE_BITS,
        )  # fmt: skip
    write_ring(h, customer, hashes, seen)
    write_log(h, customer, log)


def footprint_bytes(h: Histories) -> int:
    """Return the memory that histories, event ids and days have touched so far, gaps included."""
    return 8 * int(h.free[-1] + h.ring_free[-1] + h.log_free[-1])


def block_bytes(h: Histories) -> npt.NDArray[np.int64]:
    """Return the bytes of each customer's three blocks."""
    return 8 * (ENTRY_WORDS * CLASSES[h.size] + RINGS[h.ring_size] + LOGS[h.log_size])


def close_gaps(h: Histories) -> None:
    """Move all blocks together, and return the memory behind them to the system."""
    for arena, free, start, words in (
        (h.arena, h.free, h.start, ENTRY_WORDS * CLASSES[h.size]),
        (h.rings, h.ring_free, h.ring_start, RINGS[h.ring_size]),
        (h.logs, h.log_free, h.log_start, LOGS[h.log_size]),
    ):
        held = np.flatnonzero(words)
        held = held[np.argsort(start[held])]
        starts = start[held]
        give_back(arena, *blocks.close_gaps(arena, free, starts, words[held]))
        start[held] = starts
