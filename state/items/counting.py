"""The item machine's kernel: it counts pairs, by applying deltas to rows.

`count` applies the events of a message, `run` adds their pairs to rows, and `_unpair` takes pairs back when
an item left a history. `state.customers.pairing` found the pairs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.customers.purchase_logs import day_of, item_of, purchases_of
from state.items import rows as rw
from state.items.marks import CHANGED_LIST, MAY_ENTER, QUIET, TOUCHED
from state.items.opportunity import opportunity
from state.items.rows import LOOKAHEAD, add, hint, take
from state.items.tables import BLOCK_BITS, Pending, Tables, put_size, take_size
from state.memory.arrays import kernel, prefetch
from state.memory.entries import HIGH, decay_weight
from state.messages.deltas import DISTANCE_BITS, EFFECT_BITS, Effect, Words, columns_of
from state.popularity.counts import (
    DAY_MINUTES,
    WATERMARK_MS,
    add_buyer,
    add_purchase,
    add_repeat,
    move_own_on,
    refresh_item,
    take_buyer,
    take_purchases,
    undo_repeats,
)
from state.popularity.others import expect_purchase

NEW, REPEAT, GONE = map(int, Effect)
_ITEM, _NEAR_ITEM = np.uint32((1 << EFFECT_BITS) - 1), np.uint32((1 << DISTANCE_BITS) - 1)

EVENTS_AHEAD = 8  # so many events ahead, what is read of an item's popularity is prefetched

_ROOT_SHRINK = np.sqrt(20.0)
_ROOT_SHRINK_RECENT = np.sqrt(5.0)


@kernel
def _hint_row(heads: int, marks: int, threshold: int, row: int) -> None:
    """Prefetch what `hint` and `run` read of a row beside its entries, at the addresses of these arrays."""
    prefetch(heads + 64 * row)
    prefetch(marks + row)
    prefetch(threshold + 4 * row)


@kernel
def run(
    t: Tables, p: Pending, n: int, minutes: npt.NDArray[np.int64], roots: npt.NDArray[np.float32],
    capacity: int, bounded: bool,
) -> None:  # fmt: skip
    """Apply n increments. If `bounded`, mark a row for ranking only if the entry may enter its list.

    `roots` are of the neighbours' popularity, by their places in the message.
    """
    latest = 1.0 / decay_weight(t.popularity.totals[WATERMARK_MS] / 60_000.0)
    heads, arena = np.int64(t.rows.heads.ctypes.data), np.int64(t.rows.arena.ctypes.data)
    side, meta = np.int64(t.rows.side.ctypes.data), np.int64(t.rows.meta.ctypes.data)
    marks, threshold = t.marks, t.threshold
    rows, neighbours, afters, events, places = p.row, p.neighbour, p.after, p.event, p.place
    touched, room = t.touched.pairs, len(t.touched.pairs)
    known = t.touched.n[0]
    event = -1
    weight = 0.0
    minute = 0
    marks_at, threshold_at = np.int64(marks.ctypes.data), np.int64(threshold.ctypes.data)
    for i in range(min(2 * LOOKAHEAD, n)):
        _hint_row(heads, marks_at, threshold_at, np.int64(rows[i]))
    for i in range(min(LOOKAHEAD, n)):
        hint(heads, arena, np.int64(rows[i]), np.int64(neighbours[i]))
    for i in range(n):
        if i + 2 * LOOKAHEAD < n:
            _hint_row(heads, marks_at, threshold_at, np.int64(rows[i + 2 * LOOKAHEAD]))
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
        best = (0.5 * count / _ROOT_SHRINK + f * latest / _ROOT_SHRINK_RECENT) * roots[places[i]]
        if bounded and best < threshold[row]:
            marks[row] |= TOUCHED | QUIET
        elif known < room:
            touched[known] = (np.uint64(row) << HIGH) | np.uint64(neighbour)
            known += 1
            marks[row] |= TOUCHED | MAY_ENTER
        else:
            marks[row] |= TOUCHED | CHANGED_LIST
    t.touched.n[0] = known


@kernel
def _unpair(
    t: Tables, position: int, removed: int, items: npt.NDArray[np.int64], minutes: npt.NDArray[np.uint32],
    window: int, capacity: int,
) -> None:  # fmt: skip
    """Take an item (rank `removed`; -1: all items) out of a history.

    This undoes its pairs, and pairs items that thereby move within the window of one another.
    """
    n = len(items)
    for i in range(n):
        row = np.int64(t.row_of[items[i]])
        if row < 0 or t.included[row] >= position:
            continue
        size = opportunity(i, n, window)
        if removed < 0 or i == removed:
            take_size(t, row, size)
            for j in range(max(0, i - window), min(n, i + window + 1)):
                if j != i:
                    take(t.rows, row, items[j], np.int64(j > i), decay_weight(np.int64(minutes[max(i, j)])))
            t.marks[row] |= CHANGED_LIST | TOUCHED
            continue
        moved = i - 1 if i > removed else i
        new_size = opportunity(moved, n - 1, window)
        if new_size != size:
            take_size(t, row, size)
            put_size(t, row, new_size)
            t.marks[row] |= CHANGED_LIST | TOUCHED
        if abs(i - removed) <= window:
            minute = np.int64(minutes[max(i, removed)])
            take(t.rows, row, items[removed], np.int64(removed > i), decay_weight(minute))
            t.marks[row] |= CHANGED_LIST | TOUCHED
            other = i + window + 1 if i < removed else i - window - 1
            if 0 <= other < n:
                minute = np.int64(minutes[max(i, other)])
                add(t.rows, row, items[other], np.int64(other > i), minute, decay_weight(minute), capacity)


@kernel
def changed_popularity(t: Tables, item: int) -> None:
    """Note that an item's popularity is to be stored and published, and update what ranking reads of it."""
    t.popularity.changes[item] += np.uint32(1)
    t.popular_blocks[item >> BLOCK_BITS] = 1
    refresh_item(t.popularity, item)


@kernel
def count(
    t: Tables, position: int, popularity_included: int, skip: int, window: int, capacity: int, bounded: bool,
    tolerance: float, numbers: npt.NDArray[np.int64], own_items: int, words: Words, n_events: int,
    n_near: int, n_gone: int, n_histories: int, taken: npt.NDArray[np.uint64], pending: Pending,
) -> int:  # fmt: skip
    """Apply a message; return how many of its events were applied.

    `numbers` are this machine's numbers of the items in the message's table; the first `own_items` of them
    have rows. `position` is the message's own in pair-deltas. Events before source offset first + `skip` are
    dropped, and what a row or the popularity already includes is skipped.
    """
    # plain local arrays: taking one out of a tuple counts a reference, which costs more than its use
    popular = t.popularity
    sizes, row_of, included, cell_of, above = t.sizes, t.row_of, t.included, t.cell_of, t.above
    item_of_row = t.item_of
    to_row, to_neighbour, to_after, to_event = pending.row, pending.neighbour, pending.after, pending.event
    to_place = pending.place
    # read the arrays of all items of the message first: they are mostly not in the cache, and reads that
    # follow one another wait for memory at the same time
    roots = np.empty(len(numbers), np.float32)
    for place in range(len(numbers)):
        roots[place] = popular.roots[numbers[place]]
    rows = np.empty(own_items, np.int64)
    for place in range(own_items):
        rows[place] = row_of[numbers[place]]
    one = np.uint32(1)
    included_at, sizes_at = np.int64(included.ctypes.data), np.int64(sizes.ctypes.data)
    size_bytes = 8 * sizes.shape[2]
    c = columns_of(words, n_events, n_near, n_gone, n_histories)
    offsets, items, details, near_ends, all_minutes, millis, nears = (
        c.offsets, c.items, c.details, c.near_ends, c.minutes, c.millis, c.near,
    )  # fmt: skip
    gone_ends, taken_ends, gone_items, gone_minutes = c.gone_ends, c.taken_ends, c.gone_items, c.gone_minutes
    fresh = position > popularity_included
    minutes = np.empty(n_events, np.int64)
    n = np.int64(0)
    near = 0
    gone = 0
    done = 0
    buyers_at, recent_at = np.int64(popular.buyers.ctypes.data), np.int64(popular.recent.ctypes.data)
    positions_at, roots_at = np.int64(popular.positions.ctypes.data), np.int64(popular.roots.ctypes.data)
    for i in range(len(items)):
        if i + EVENTS_AHEAD < len(items):
            coming = numbers[np.int64(items[i + EVENTS_AHEAD] & _ITEM)]
            prefetch(buyers_at + 8 * coming)
            prefetch(recent_at + 8 * coming)
            prefetch(positions_at + 4 * coming)
            prefetch(roots_at + 4 * coming)
        minutes[i] = np.int64(np.int32(all_minutes[i]))
        start, near = near, np.int64(near_ends[i])
        effect = np.int64(items[i] >> np.uint32(EFFECT_BITS))
        if np.int64(offsets[i]) < skip:
            gone += effect == GONE
            continue
        done += 1
        if effect == GONE:
            run(t, pending, n, minutes, roots, capacity, bounded)
            n = np.int64(0)
            first = np.int64(gone_ends[gone - 1]) if gone > 0 else 0
            history = np.empty(np.int64(gone_ends[gone]) - first, np.int64)
            for rank in range(len(history)):
                history[rank] = numbers[gone_items[first + rank]]
            removed = np.int64(np.int32(c.gone_ranks[gone]))
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
                    if (removed < 0 or rank == removed) and row_of[history[rank]] >= 0:
                        take_buyer(
                            popular, history[rank], np.int64(gone_minutes[first + rank]) // DAY_MINUTES
                        )
                        days, span = np.int64(c.gone_days[first + rank]), np.int64(c.gone_spans[first + rank])
                        undo_repeats(popular, history[rank], days, span)
                        changed_popularity(t, history[rank])
                for j in range(np.int64(taken_ends[gone - 1]) if gone > 0 else 0, np.int64(taken_ends[gone])):
                    bought = numbers[item_of(taken[j])]
                    take_purchases(popular, bought, day_of(taken[j]), purchases_of(taken[j]))
                    changed_popularity(t, bought)
            gone += 1
            continue
        at = np.int64(items[i] & _ITEM)
        item = numbers[at]
        own = rows[at] if at < own_items else -1
        if fresh:
            time_ms = minutes[i] * 60_000 + np.int64(millis[i])
            move_own_on(popular, item_of_row, time_ms)
            if own >= 0:
                add_purchase(popular, item, time_ms)
                if effect == NEW:
                    add_buyer(popular, item, minutes[i] // DAY_MINUTES)
                else:
                    add_repeat(popular, item, np.int64(details[i]))
                changed_popularity(t, item)
                roots[at] = popular.roots[item]
            elif effect == NEW:
                expect_purchase(popular, item, time_ms)
                if popular.roots[item] >= 0.0:
                    refresh_item(popular, item)
                    roots[at] = popular.roots[item]
        if effect != NEW:
            continue
        rank = np.int64(details[i])
        if own >= 0 and included[own] >= position:
            own = -1
        if own >= 0:
            put_size(t, own, min(rank, window))
            # one buyer more changes every expectation of the row a little
            grown = popular.buyers[item] - t.ranked_buyers[own]
            t.marks[own] |= TOUCHED | (CHANGED_LIST if grown > tolerance * t.ranked_buyers[own] else QUIET)
        for j in range(start, near):
            if j + LOOKAHEAD < len(nears):
                coming = np.int64(nears[j + LOOKAHEAD] & _NEAR_ITEM)
                if coming < own_items and rows[coming] >= 0:
                    prefetch(included_at + 8 * rows[coming])
                    prefetch(sizes_at + size_bytes * rows[coming])
                    prefetch(sizes_at + size_bytes * rows[coming] + size_bytes // 2)
            place = np.int64(nears[j] & _NEAR_ITEM)
            other = numbers[place]
            if own >= 0:
                to_row[n], to_neighbour[n], to_after[n], to_event[n] = own, other, 0, i
                to_place[n] = place
                n += 1
            row = rows[place] if place < own_items else -1
            if row >= 0 and included[row] < position:
                to_row[n], to_neighbour[n], to_after[n], to_event[n] = row, item, 1, i
                to_place[n] = at
                n += 1
                distance = np.int64(nears[j] >> np.uint32(DISTANCE_BITS))
                size = min(rank - distance, window) + distance - 1
                cell, next_cell = cell_of[size], cell_of[size + 1]
                sizes[row, 0, cell] -= one
                sizes[row, 0, next_cell] += one
                sizes[row, 1, cell] -= np.uint32(above[size])
                sizes[row, 1, next_cell] += np.uint32(above[size + 1])
    run(t, pending, n, minutes, roots, capacity, bounded)
    return done
