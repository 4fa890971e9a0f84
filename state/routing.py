"""Which item partition needs what of a batch: the customer machine's kernel that writes the parts of messages.

An event concerns the partition of its item, and those of its neighbours: most partitions have no part in it. So
what a batch did is dealt out in one pass over events and neighbours, whatever the number of partitions is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.deltas import DISTANCE_BITS, EFFECT_BITS, Effect
from state.memory import kernel
from state.pairing import Paired

NEW, REPEAT, GONE = map(int, Effect)
_ITEM = np.uint64(32)
_REST = np.uint64(0xFFFFFFFF)
_SERIAL_BITS = 26
_PLACE = (1 << _SERIAL_BITS) - 1
_OTHER = 1 << (_SERIAL_BITS - 1)
LIVE_EVENTS = 64  # of a message: in one of more, as in a backlog, ids go to the items' partitions alone


class Routed(NamedTuple):
    """The columns of all partitions' messages, one partition behind the other, and where each ends.

    Columns are those of `state.deltas.Deltas`; `table` has the numbers of each message's items in the source's
    dictionary, and `fresh` the places in it of those whose ids are to be told.
    """

    table: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.uint32]
    items: npt.NDArray[np.uint32]
    details: npt.NDArray[np.uint32]
    near_ends: npt.NDArray[np.uint32]
    minutes: npt.NDArray[np.uint32]
    millis: npt.NDArray[np.uint32]
    near: npt.NDArray[np.uint32]
    gone_events: npt.NDArray[np.uint32]
    gone_ranks: npt.NDArray[np.uint32]
    gone_ends: npt.NDArray[np.uint32]
    taken_ends: npt.NDArray[np.uint32]
    gone_items: npt.NDArray[np.uint32]
    gone_minutes: npt.NDArray[np.uint32]
    gone_days: npt.NDArray[np.uint32]
    gone_spans: npt.NDArray[np.uint32]
    fresh: npt.NDArray[np.uint32]
    own: npt.NDArray[np.int64]  # [partitions] items of the table that are the partition's
    ends: npt.NDArray[np.int64]  # [partitions, 7] of the table, taken, events, near, gone, histories, fresh


# columns of `ends`
TABLE, TAKEN, EVENTS, NEAR, GONES, HISTORIES, FRESH = range(7)


@kernel
def _sizes(
    partitions: int, partition_of: npt.NDArray[np.uint16], items: npt.NDArray[np.uint32], events: int,
    out: Paired,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """How much each partition gets: int64[partitions, 7], of the table and what is new at most."""
    n = np.zeros((partitions, 7), np.int64)
    met = np.full(partitions, -1, np.int64)  # the last event that each partition got
    start = 0
    g = 0
    for i in range(events):
        end = out.near_ends[i]
        effect = out.outcomes[i]
        if effect == GONE:
            first = out.gone_ends[g - 1] if g > 0 else 0
            for j in range(first, out.gone_ends[g]):
                q = partition_of[out.gone_items[j]]
                if met[q] != i:
                    met[q] = i
                    n[q, EVENTS] += 1
                    n[q, GONES] += 1
                    n[q, HISTORIES] += out.gone_ends[g] - first
            for j in range(out.taken_ends[g - 1] if g > 0 else 0, out.taken_ends[g]):
                n[partition_of[np.int64(out.taken[j] >> _ITEM)], TAKEN] += 1
            g += 1
        elif effect < GONE:
            own = partition_of[items[i]]
            n[own, EVENTS] += 1
            n[own, NEAR] += end - start
            met[own] = i
            for j in range(start, end):
                q = partition_of[out.near_items[j]]
                if q != own:
                    n[q, NEAR] += 1
                    n[q, EVENTS] += met[q] != i
                    met[q] = i
        start = end
    for q in range(partitions):
        n[q, TABLE] = n[q, EVENTS] + n[q, NEAR] + n[q, HISTORIES]
        n[q, FRESH] = n[q, TABLE]
    return n


@kernel
def _deal(
    r: Routed, at: npt.NDArray[np.int64], partition_of: npt.NDArray[np.uint16], first: int,
    offsets: npt.NDArray[np.int64], items: npt.NDArray[np.uint32], times_ms: npt.NDArray[np.int64],
    events: int, out: Paired, item_of: npt.NDArray[np.uint32], near_of: npt.NDArray[np.uint32],
    gone_of: npt.NDArray[np.uint32],
) -> None:  # fmt: skip
    """Put every partition's part down; `at` is where each begins, and then where it ends.

    `item_of`, `near_of` and `gone_of` get the source's numbers of the items, of which `_number` makes places in
    the tables.
    """
    to_near, to_event = r.near, r.offsets
    to_items, to_details, to_ends = r.items, r.details, r.near_ends
    to_minutes, to_millis = r.minutes, r.millis
    near_items, near_ends, outcomes = out.near_items, out.near_ends, out.outcomes
    begin = at.copy()
    met = np.full(len(at), -1, np.int64)
    touched = np.empty(len(at), np.int64)
    start = 0
    g = 0
    for i in range(events):
        end = near_ends[i]
        effect = np.int64(outcomes[i])
        if effect > GONE:
            start = end
            continue
        n = 0
        if effect == GONE:
            from_item, to_item = out.gone_ends[g - 1] if g > 0 else 0, out.gone_ends[g]
            from_taken = out.taken_ends[g - 1] if g > 0 else 0
            for j in range(from_item, to_item):
                q = np.int64(partition_of[out.gone_items[j]])
                if met[q] == i:
                    continue
                met[q] = i
                touched[n] = q
                n += 1
                h = at[q, HISTORIES]
                for k in range(from_item, to_item):
                    gone_of[h], r.gone_minutes[h] = out.gone_items[k], out.gone_minutes[k]
                    r.gone_days[h], r.gone_spans[h] = out.gone_days[k], out.gone_spans[k]
                    h += 1
                at[q, HISTORIES] = h
                for k in range(from_taken, out.taken_ends[g]):
                    if np.int64(partition_of[np.int64(out.taken[k] >> _ITEM)]) == q:
                        r.taken[at[q, TAKEN]] = out.taken[k]
                        at[q, TAKEN] += 1
                place = at[q, GONES]
                r.gone_events[place] = at[q, EVENTS] - begin[q, EVENTS]
                r.gone_ranks[place] = np.uint32(out.gone_ranks[g])
                r.gone_ends[place] = h - begin[q, HISTORIES]
                r.taken_ends[place] = at[q, TAKEN] - begin[q, TAKEN]
                at[q, GONES] += 1
            item, detail = out.gone_items[from_item], np.uint32(0)
            g += 1
        else:
            item = items[i]
            own = np.int64(partition_of[item])
            detail = out.ranks[i] if effect == NEW else out.again[i]
            met[own] = i
            touched[0] = own
            n = 1
            of_own = at[own, NEAR]
            for j in range(start, end):
                other = near_items[j]
                distance = np.uint32(j - start + 1) << np.uint32(DISTANCE_BITS)
                near_of[of_own], to_near[of_own] = other, distance
                of_own += 1
                q = np.int64(partition_of[other])
                if q != own:
                    place = at[q, NEAR]
                    near_of[place], to_near[place] = other, distance
                    at[q, NEAR] = place + 1
                    if met[q] != i:
                        met[q] = i
                        touched[n] = q
                        n += 1
            at[own, NEAR] = of_own
        minute = times_ms[i] // 60_000
        for t in range(n):
            q = touched[t]
            place = at[q, EVENTS]
            to_event[place] = np.uint32(offsets[i] - first)
            item_of[place] = item
            to_items[place] = np.uint32(effect) << np.uint32(EFFECT_BITS)
            to_details[place] = detail
            to_ends[place] = np.uint32(at[q, NEAR] - begin[q, NEAR])
            to_minutes[place] = np.uint32(minute)
            to_millis[place] = np.uint32(times_ms[i] - 60_000 * minute)
            at[q, EVENTS] = place + 1
        start = end


@kernel
def _look_up(
    numbers: npt.NDArray[np.uint32], start: int, stop: int, q: int, partition_of: npt.NDArray[np.uint16],
    marks: npt.NDArray[np.int64], serial: int, own: int, other: int,
    table: npt.NDArray[np.uint32], begin: int, others: npt.NDArray[np.uint32],
) -> tuple[int, int]:  # fmt: skip
    """Give items places: those of partition q in the table from `begin` on, others in a table of their own.

    Returns how many there are of both. A mark has the serial, and a place: of another's item from _OTHER on.
    """
    for i in range(start, stop):
        number = np.int64(numbers[i])
        if marks[number] >> _SERIAL_BITS == serial:
            continue
        if np.int64(partition_of[number]) == q:
            marks[number] = (serial << _SERIAL_BITS) | own
            table[begin + own] = number
            own += 1
        else:
            marks[number] = (serial << _SERIAL_BITS) | _OTHER | other
            others[other] = number
            other += 1
    return own, other


@kernel
def _place(
    numbers: npt.NDArray[np.uint32], start: int, stop: int, marks: npt.NDArray[np.int64], own: int,
    out: npt.NDArray[np.uint32],
) -> None:  # fmt: skip
    """Add the items' places in the table, those of others being behind its own, to a column."""
    for i in range(start, stop):
        place = marks[np.int64(numbers[i])] & _PLACE
        out[i] |= np.uint32(place if place < _OTHER else own + place - _OTHER)


@kernel
def _number(
    r: Routed, sizes: npt.NDArray[np.int64], begins: npt.NDArray[np.int64],
    partition_of: npt.NDArray[np.uint16], sent_ids: int, marks: npt.NDArray[np.int64], serial: int,
    item_of: npt.NDArray[np.uint32], near_of: npt.NDArray[np.uint32], gone_of: npt.NDArray[np.uint32],
) -> None:  # fmt: skip
    """Make each partition's table, and numbers of it. `marks` [items] hold what earlier serials left."""
    table, taken, fresh = r.table, r.taken, r.fresh
    others = np.empty(sizes[:, TABLE].max(), np.uint32)
    at = np.int64(0)
    new = np.int64(0)
    for q in range(len(sizes)):
        begin = at
        ends = begins[q] + sizes[q]
        e, n, h = begins[q, EVENTS], begins[q, NEAR], begins[q, HISTORIES]
        own, other = _look_up(
            item_of, e, ends[EVENTS], q, partition_of, marks, serial, 0, 0, table, begin, others
        )
        own, other = _look_up(
            near_of, n, ends[NEAR], q, partition_of, marks, serial, own, other, table, begin, others
        )
        own, other = _look_up(
            gone_of, h, ends[HISTORIES], q, partition_of, marks, serial, own, other, table, begin, others
        )
        table[begin + own : begin + own + other] = others[:other]
        at = begin + own + other
        _place(item_of, e, ends[EVENTS], marks, own, r.items)
        _place(near_of, n, ends[NEAR], marks, own, r.near)
        _place(gone_of, h, ends[HISTORIES], marks, own, r.gone_items)
        for i in range(begins[q, TAKEN], ends[TAKEN]):
            place = np.uint64(marks[np.int64(taken[i] >> _ITEM)] & _PLACE)
            taken[i] = (place << _ITEM) | (taken[i] & _REST)
        # others have the ids of new items sooner than from their owners where few events are counted at once
        for i in range(begin, at if sizes[q, EVENTS] <= LIVE_EVENTS else begin + own):
            if np.int64(table[i]) >= sent_ids:
                fresh[new] = i - begin
                new += 1
        serial += 1
        r.own[q] = own
        r.ends[q] = ends
        r.ends[q, TABLE], r.ends[q, FRESH] = at, new


@kernel
def route(
    partitions: int, partition_of: npt.NDArray[np.uint16], sent_ids: int, marks: npt.NDArray[np.int64],
    serial: int, first: int, offsets: npt.NDArray[np.int64], items: npt.NDArray[np.uint32],
    times_ms: npt.NDArray[np.int64], events: int, out: Paired,
) -> Routed:  # fmt: skip
    """What the first so many events of a batch are to each partition.

    Offsets are counted from `first`; items from number `sent_ids` on are new. `marks` has a word for each item
    of the source, and `serial` is above all that were used with them: it uses one for each partition.
    """
    sizes = _sizes(partitions, partition_of, items, events, out)
    begins = np.zeros_like(sizes)
    for q in range(1, partitions):
        for c in range(7):
            begins[q, c] = begins[q - 1, c] + sizes[q - 1, c]
    n = begins[-1] + sizes[-1]
    e, h = n[EVENTS], n[HISTORIES]
    r = Routed(
        np.empty(n[TABLE], np.uint32), np.empty(n[TAKEN], np.uint64),
        np.empty(e, np.uint32), np.empty(e, np.uint32), np.empty(e, np.uint32), np.empty(e, np.uint32),
        np.empty(e, np.uint32), np.empty(e, np.uint32), np.empty(n[NEAR], np.uint32),
        np.empty(n[GONES], np.uint32), np.empty(n[GONES], np.uint32), np.empty(n[GONES], np.uint32),
        np.empty(n[GONES], np.uint32), np.zeros(h, np.uint32), np.empty(h, np.uint32),
        np.empty(h, np.uint32), np.empty(h, np.uint32), np.empty(n[FRESH], np.uint32),
        np.zeros(partitions, np.int64), np.zeros((partitions, 7), np.int64),
    )  # fmt: skip
    item_of, near_of, gone_of = np.empty(e, np.uint32), np.empty(n[NEAR], np.uint32), np.empty(h, np.uint32)
    _deal(
        r, begins.copy(), partition_of, first, offsets, items, times_ms, events, out, item_of, near_of, gone_of
    )
    _number(r, sizes, begins, partition_of, sent_ids, marks, serial, item_of, near_of, gone_of)
    return r
