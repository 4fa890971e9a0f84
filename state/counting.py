"""Applying deltas to rows: the item machine's kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state import rows as rw
from state.deltas import Effect
from state.entries import HIGH, LANDMARK_MINUTE, TAU_MINUTES, decay_weight
from state.memory import kernel, load_any
from state.opportunity import opportunity
from state.popularity import (
    WATERMARK_MS,
    Popularity,
    add_buyer,
    add_purchase,
    add_repeat,
    refresh_item,
    take_buyer,
    take_purchases,
    undo_repeats,
)
from state.purchase_logs import day_of, purchases_of
from state.rows import LOOKAHEAD, Rows, add, hint, take

NEW, REPEAT, GONE = map(int, Effect)
DAY_MINUTES = 24 * 60

# marks of a row: its list may have changed, or hardly; not stored since it changed; used since the clock's
# hand came by; not in memory; its list may have changed since `ItemMachine.fresh` was last called; all its
# entries are to be looked at, as `Touched` does not have all those that may have entered the list
RANK, QUIET, SAVE, USED, ABSENT, FRESH, WHOLE = (np.uint8(1 << bit) for bit in range(7))
MAY_ENTER = np.uint8(RANK | FRESH)
CHANGED_LIST = np.uint8(MAY_ENTER | WHOLE)
CHANGED = np.uint8(SAVE | USED)
_FRESH_OF_EIGHT = np.uint64(0x0101010101010101 * int(FRESH))
_NOT_FRESH = np.uint8(0xFF ^ FRESH)

_ROOT_SHRINK = np.sqrt(20.0)
_ROOT_SHRINK_RECENT = np.sqrt(5.0)


class Tables(NamedTuple):
    """What the kernels change."""

    rows: Rows
    popularity: Popularity
    sizes: npt.NDArray[np.uint32]  # [rows, 2, cells] of state.opportunity
    row_of: npt.NDArray[np.int32]  # per item: its row, -1 if another partition owns it
    item_of: npt.NDArray[np.int32]  # per row: its item
    marks: npt.NDArray[np.uint8]  # per row
    included: npt.NDArray[np.int64]  # per row: position its loaded record has
    threshold: npt.NDArray[np.float32]  # per row: score that an entry needs to enter the list
    ranked_buyers: npt.NDArray[np.int64]  # per row: buyers of its item when it was last ranked
    partly: npt.NDArray[np.uint8]  # per row: how often it was ranked since all its entries were looked at
    cell_of: npt.NDArray[np.int64]  # state.opportunity.Cells.of_size
    above: npt.NDArray[np.int64]
    touched: Touched


class Touched(NamedTuple):
    """Entries whose counts grew so that they may enter, or are in, the lists of their rows.

    Beyond the room there is, rows are marked WHOLE instead.
    """

    pairs: npt.NDArray[np.uint64]  # row << 32 | neighbour
    n: npt.NDArray[np.int64]  # [1]


class Pending(NamedTuple):
    """Increments laid out one after the other, so that memory can be prefetched ahead of them."""

    row: npt.NDArray[np.int32]
    neighbour: npt.NDArray[np.int32]
    after: npt.NDArray[np.uint8]
    event: npt.NDArray[np.int32]


@kernel
def buyers_of(t: Tables, row: int) -> int:
    """Customers whose histories a row counts."""
    n = 0
    for cell in range(t.sizes.shape[2]):
        n += np.int64(t.sizes[row, 0, cell])
    return n


@kernel
def put_size(t: Tables, row: int, size: int) -> None:
    """Count a customer with an opportunity."""
    t.sizes[row, 0, t.cell_of[size]] += np.uint32(1)
    t.sizes[row, 1, t.cell_of[size]] += np.uint32(t.above[size])


@kernel
def take_size(t: Tables, row: int, size: int) -> None:
    """Take it back."""
    t.sizes[row, 0, t.cell_of[size]] -= np.uint32(1)
    t.sizes[row, 1, t.cell_of[size]] -= np.uint32(t.above[size])


@kernel
def run(t: Tables, p: Pending, n: int, minutes: npt.NDArray[np.int64], capacity: int, bounded: bool) -> None:
    """Apply n increments. `bounded`: mark a row for ranking only if the entry may enter its list."""
    latest = np.exp((LANDMARK_MINUTE - t.popularity.totals[WATERMARK_MS] / 60_000.0) / TAU_MINUTES)
    heads, arena = np.int64(t.rows.heads.ctypes.data), np.int64(t.rows.arena.ctypes.data)
    side, meta = np.int64(t.rows.side.ctypes.data), np.int64(t.rows.meta.ctypes.data)
    marks, threshold, roots = t.marks, t.threshold, t.popularity.roots
    touched, room = t.touched.pairs, len(t.touched.pairs)
    known = t.touched.n[0]
    rows, neighbours, afters, events = p.row, p.neighbour, p.after, p.event
    event = -1
    weight = 0.0
    minute = 0
    for i in range(min(LOOKAHEAD, n)):
        hint(heads, arena, np.int64(rows[i]), np.int64(neighbours[i]))
    for i in range(n):
        if i + LOOKAHEAD < n:
            hint(heads, arena, np.int64(rows[i + LOOKAHEAD]), np.int64(neighbours[i + LOOKAHEAD]))
        if events[i] != event:
            event = events[i]
            minute = minutes[event]
            weight = decay_weight(minute)
        row, neighbour, after = np.int64(rows[i]), np.int64(neighbours[i]), np.int64(afters[i])
        count, f = rw.bump(heads, arena, side, meta, row, neighbour, after, minute, weight, capacity)
        if count == 0:
            rw.make_room(t.rows, row, capacity)
            count, f = rw.bump(heads, arena, side, meta, row, neighbour, after, minute, weight, capacity)
        best = (0.5 * count / _ROOT_SHRINK + f * latest / _ROOT_SHRINK_RECENT) * roots[neighbour]
        if bounded and best < threshold[row]:
            marks[row] |= CHANGED | QUIET
        elif known < room:
            touched[known] = (np.uint64(row) << HIGH) | np.uint64(neighbour)
            known += 1
            marks[row] |= CHANGED | MAY_ENTER
        else:
            marks[row] |= CHANGED | CHANGED_LIST
    t.touched.n[0] = known


@kernel
def _unpair(
    t: Tables, position: int, removed: int, items: npt.NDArray[np.int64], minutes: npt.NDArray[np.uint32],
    window: int, capacity: int,
) -> None:  # fmt: skip
    """Take an item (rank `removed`; -1: all) out of a history: undo its pairs, pair what moves together."""
    n = len(items)
    for i in range(n):
        row = t.row_of[items[i]]
        if row < 0 or t.included[row] >= position:
            continue
        size = opportunity(i, n, window)
        if removed < 0 or i == removed:
            take_size(t, row, size)
            for j in range(max(0, i - window), min(n, i + window + 1)):
                if j != i:
                    take(t.rows, row, items[j], np.int64(j > i), decay_weight(np.int64(minutes[max(i, j)])))
            t.marks[row] |= CHANGED_LIST | CHANGED
            continue
        moved = i - 1 if i > removed else i
        new_size = opportunity(moved, n - 1, window)
        if new_size != size:
            take_size(t, row, size)
            put_size(t, row, new_size)
            t.marks[row] |= CHANGED_LIST | CHANGED
        if abs(i - removed) <= window:
            minute = np.int64(minutes[max(i, removed)])
            take(t.rows, row, items[removed], np.int64(removed > i), decay_weight(minute))
            t.marks[row] |= CHANGED_LIST | CHANGED
            other = i + window + 1 if i < removed else i - window - 1
            if 0 <= other < n:
                minute = np.int64(minutes[max(i, other)])
                add(t.rows, row, items[other], np.int64(other > i), minute, decay_weight(minute), capacity)


@kernel
def count(
    t: Tables, position: int, popularity_included: int, skip: int, window: int, capacity: int, bounded: bool,
    tolerance: float, items: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.uint32], effects: npt.NDArray[np.uint8],
    ranks: npt.NDArray[np.uint32], near_ends: npt.NDArray[np.uint32], times_ms: npt.NDArray[np.int64],
    again: npt.NDArray[np.uint32], near_items: npt.NDArray[np.int64], near_distances: npt.NDArray[np.uint8],
    gone_events: npt.NDArray[np.uint32], gone_ranks: npt.NDArray[np.int32],
    gone_ends: npt.NDArray[np.uint32], taken_ends: npt.NDArray[np.uint32],
    gone_items: npt.NDArray[np.int64],
    gone_minutes: npt.NDArray[np.uint32], gone_days: npt.NDArray[np.uint32],
    gone_spans: npt.NDArray[np.uint32], taken_items: npt.NDArray[np.int64],
    taken: npt.NDArray[np.uint64], pending: Pending,
) -> int:  # fmt: skip
    """Apply a message whose item numbers are already this machine's; returns the events it applied.

    `position` is the message's own in pair-deltas; events before source offset first + `skip` are dropped,
    what a row or the popularity already includes is skipped.
    """
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    popular = t.popularity
    sizes, row_of, included, cell_of, above = t.sizes, t.row_of, t.included, t.cell_of, t.above
    to_row, to_neighbour, to_after, to_event = pending.row, pending.neighbour, pending.after, pending.event
    one = np.uint32(1)
    fresh = position > popularity_included
    minutes = times_ms // 60_000
    n = 0
    near = 0
    gone = 0
    done = 0
    for i in range(len(items)):
        start, near = near, np.int64(near_ends[i])
        if np.int64(offsets[i]) < skip:
            gone += gone < len(gone_events) and gone_events[gone] == i
            continue
        done += 1
        item = items[i]
        if effects[i] == GONE:
            run(t, pending, n, minutes, capacity, bounded)
            n = 0
            first = np.int64(gone_ends[gone - 1]) if gone > 0 else 0
            history = gone_items[first : np.int64(gone_ends[gone])]
            removed = np.int64(gone_ranks[gone])
            _unpair(
                t,
                position,
                removed,
                history,
                gone_minutes[first : np.int64(gone_ends[gone])],
                window,
                capacity,
            )
            if fresh:
                for rank in range(len(history)):
                    if removed < 0 or rank == removed:
                        take_buyer(
                            popular, history[rank], np.int64(gone_minutes[first + rank]) // DAY_MINUTES
                        )
                        days, span = np.int64(gone_days[first + rank]), np.int64(gone_spans[first + rank])
                        undo_repeats(popular, history[rank], days, span)
                        refresh_item(popular, history[rank])
                for j in range(np.int64(taken_ends[gone - 1]) if gone > 0 else 0, np.int64(taken_ends[gone])):
                    take_purchases(popular, taken_items[j], day_of(taken[j]), purchases_of(taken[j]))
                    refresh_item(popular, taken_items[j])
            gone += 1
            continue
        if fresh:
            add_purchase(popular, item, times_ms[i])
            if effects[i] == NEW:
                add_buyer(popular, item, minutes[i] // DAY_MINUTES)
            else:
                add_repeat(popular, item, np.int64(again[i]))
            refresh_item(popular, item)
        if effects[i] != NEW:
            continue
        rank = np.int64(ranks[i])
        own = row_of[item]
        if own >= 0 and included[own] >= position:
            own = -1
        if own >= 0:
            put_size(t, own, min(rank, window))
            # one buyer more changes every expectation of the row a little
            grown = popular.buyers[item] - t.ranked_buyers[own]
            t.marks[own] |= CHANGED | (CHANGED_LIST if grown > tolerance * t.ranked_buyers[own] else QUIET)
        for j in range(start, near):
            other = near_items[j]
            if own >= 0:
                to_row[n], to_neighbour[n], to_after[n], to_event[n] = own, other, 0, i
                n += 1
            row = row_of[other]
            if row >= 0 and included[row] < position:
                to_row[n], to_neighbour[n], to_after[n], to_event[n] = row, item, 1, i
                n += 1
                distance = np.int64(near_distances[j])
                size = min(rank - distance, window) + distance - 1
                cell, next_cell = cell_of[size], cell_of[size + 1]
                sizes[row, 0, cell] -= one
                sizes[row, 0, next_cell] += one
                sizes[row, 1, cell] -= np.uint32(above[size])
                sizes[row, 1, next_cell] += np.uint32(above[size + 1])
    run(t, pending, n, minutes, capacity, bounded)
    return done


@kernel
def take_fresh(marks: npt.NDArray[np.uint8], out: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Clear the marks FRESH: write the numbers of their rows as long as there is room, mark the others WHOLE.

    Returns how many rows were written, and how many were not.
    """
    at = np.int64(marks.ctypes.data)
    n = left = row = 0
    while row < len(marks):
        if row + 8 <= len(marks) and load_any(at + row) & _FRESH_OF_EIGHT == 0:
            row += 8
            continue
        if marks[row] & FRESH:
            marks[row] &= _NOT_FRESH
            if n < len(out):
                out[n] = row
                n += 1
            else:
                marks[row] |= WHOLE
                left += 1
        row += 1
    return n, left


@kernel
def mark_holders(t: Tables, rows: int, item: int) -> None:
    """Mark every row that has `item` as a neighbour for ranking; also those whose neighbours are not here."""
    for row in range(rows):
        if t.marks[row] & ABSENT or rw.find(t.rows, row, item) >= 0:
            t.marks[row] |= CHANGED_LIST


@kernel
def absent_rows(t: Tables, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of items that are not in memory, as often as their items occur."""
    found = np.empty(len(items), np.int64)
    n = 0
    for item in items:
        row = np.int64(t.row_of[item])
        if row >= 0 and t.marks[row] & ABSENT:
            found[n] = row
            n += 1
    return found[:n].copy()
