"""The kernel that divides a batch among the item partitions, and writes the parts of their messages.

An event concerns the partition of its item and those of its neighbours; most partitions are not concerned. So
the kernel goes once through events and neighbours, whatever the number of partitions is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers.pairing import Paired
from state.memory.arrays import kernel
from state.messages.deltas import DISTANCE_BITS, EFFECT_BITS, Effect, columns_of

NEW, REPEAT, GONE = map(int, Effect)
_ITEM = np.uint64(32)
_REST = np.uint64(0xFFFFFFFF)
_SERIAL_BITS = 26
_PLACE = (1 << _SERIAL_BITS) - 1
_OTHER = 1 << (_SERIAL_BITS - 1)
LIVE_EVENTS = 500  # a batch with more, as in a backlog, sends new ids to the items' partitions alone


class Routed(NamedTuple):
    """The parts of all partitions' messages, one partition behind the other, and where each ends.

    `table` has the numbers of each message's items in the source's dictionary, `words` its columns in the
    layout of `state.messages.deltas`, and `fresh` the places in the table of those items whose ids are to be
    sent.
    """

    table: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint32]
    fresh: npt.NDArray[np.uint32]
    own: npt.NDArray[np.int64]  # [partitions] items of the table that are the partition's
    ends: npt.NDArray[np.int64]  # [partitions, 4] of table, taken, words and fresh
    sizes: npt.NDArray[np.int64]  # [partitions, 6] see below


# the columns of `sizes`: how much a partition gets; TABLE is an upper bound
EVENTS, NEAR, GONES, HISTORIES, TAKEN, TABLE = range(6)


@kernel
def _sizes(
    partitions: int, partition_of: npt.NDArray[np.uint16], items: npt.NDArray[np.uint32], begin: int,
    events: int, out: Paired,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Return how many events, neighbours and so on each partition gets."""
    n = np.zeros((partitions, 6), np.int64)
    met = np.full(partitions, -1, np.int64)  # the last event that each partition got
    start = 0
    g = 0
    for i in range(events):
        end = out.near_ends[i]
        effect = out.outcomes[i]
        if i < begin:
            g += effect == GONE
        elif effect == GONE:
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
    return n


@kernel
def _deal(
    words: npt.NDArray[np.uint32], tags: npt.NDArray[np.uint8], begins: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64], to_taken: npt.NDArray[np.uint64], taken_begins: npt.NDArray[np.int64],
    partition_of: npt.NDArray[np.uint16], first: int,
    offsets: npt.NDArray[np.int64], items: npt.NDArray[np.uint32], times_ms: npt.NDArray[np.int64],
    begin: int, events: int, out: Paired,
) -> None:  # fmt: skip
    """Write every partition's columns, each from where its words begin.

    Items have their numbers in the source's dictionary until `_number` replaces them; their tags are the
    effects of events and the distances of neighbours.
    """
    near_items, near_ends, outcomes = out.near_items, out.near_ends, out.outcomes
    partitions = len(begins)
    # where the next neighbour of each partition goes, and how many events it has so far
    near_at = begins + 6 * sizes[:, EVENTS]
    near_begin = near_at.copy()
    had = np.zeros(partitions, np.int64)
    gones, histories, taken = had.copy(), had.copy(), had.copy()
    met = np.full(partitions, -1, np.int64)
    touched = np.empty(partitions, np.int64)
    start = 0
    g = 0
    for i in range(events):
        end = near_ends[i]
        effect = np.int64(outcomes[i])
        if effect > GONE or i < begin:
            g += effect == GONE
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
                of_gone, of_items = sizes[q, GONES], sizes[q, HISTORIES]
                to_gone = near_begin[q] + sizes[q, NEAR]
                place = to_gone + 4 * of_gone + histories[q]
                for k in range(from_item, to_item):
                    words[place], words[place + of_items] = out.gone_items[k], out.gone_minutes[k]
                    words[place + 2 * of_items] = out.gone_days[k]
                    words[place + 3 * of_items] = out.gone_spans[k]
                    place += 1
                histories[q] += to_item - from_item
                for k in range(from_taken, out.taken_ends[g]):
                    if np.int64(partition_of[np.int64(out.taken[k] >> _ITEM)]) == q:
                        to_taken[taken_begins[q] + taken[q]] = out.taken[k]
                        taken[q] += 1
                place = to_gone + gones[q]
                words[place] = had[q]
                words[place + of_gone] = np.uint32(out.gone_ranks[g])
                words[place + 2 * of_gone], words[place + 3 * of_gone] = histories[q], taken[q]
                gones[q] += 1
            item, detail = out.gone_items[from_item], np.uint32(0)
            g += 1
        else:
            item = items[i]
            own = np.int64(partition_of[item])
            detail = out.ranks[i] if effect == NEW else out.again[i]
            met[own] = i
            touched[0] = own
            n = 1
            of_own = near_at[own]
            for j in range(start, end):
                other = near_items[j]
                words[of_own], tags[of_own] = other, j - start + 1
                of_own += 1
                q = np.int64(partition_of[other])
                if q != own:
                    words[near_at[q]], tags[near_at[q]] = other, j - start + 1
                    near_at[q] += 1
                    if met[q] != i:
                        met[q] = i
                        touched[n] = q
                        n += 1
            near_at[own] = of_own
        minute = times_ms[i] // 60_000
        for t in range(n):
            q = touched[t]
            place, size = begins[q] + had[q], sizes[q, EVENTS]
            had[q] += 1
            words[place] = np.uint32(offsets[i] - first)
            words[place + size], tags[place + size] = item, effect
            words[place + 2 * size] = detail
            words[place + 3 * size] = np.uint32(near_at[q] - near_begin[q])
            words[place + 4 * size] = np.uint32(minute)
            words[place + 5 * size] = np.uint32(times_ms[i] - 60_000 * minute)
        start = end


@kernel
def _look_up(
    numbers: npt.NDArray[np.uint32], q: int, partition_of: npt.NDArray[np.uint16],
    marks: npt.NDArray[np.int64], serial: int, own: int, other: int,
    table: npt.NDArray[np.uint32], begin: int, others: npt.NDArray[np.uint32],
) -> tuple[int, int]:  # fmt: skip
    """Give items places: those of partition q in the table from `begin` on, others in a table of their own.

    Return how many there are of both. A mark has the serial and a place; the places of others' items begin at
    _OTHER.
    """
    for i in range(len(numbers)):
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
    numbers: npt.NDArray[np.uint32], tags: npt.NDArray[Any], bits: int, marks: npt.NDArray[np.int64],
    own: int,
) -> None:  # fmt: skip
    """Replace numbers by places in the table, below `bits` bits of tags; others' items are behind its own."""
    for i in range(len(numbers)):
        place = marks[np.int64(numbers[i])] & _PLACE
        place = place if place < _OTHER else own + place - _OTHER
        numbers[i] = np.uint32(place | (np.int64(tags[i]) << bits))


@kernel
def _number(
    r: Routed, begins: npt.NDArray[np.int64], taken_begins: npt.NDArray[np.int64],
    partition_of: npt.NDArray[np.uint16], named: npt.NDArray[np.uint8], marks: npt.NDArray[np.int64],
    serial: int, tags: npt.NDArray[np.uint8], live: bool,
) -> None:  # fmt: skip
    """Make each partition's table, and replace item numbers by places in it.

    `marks` [items] have what earlier serials left; `named` [items] has whether an item's id was sent to its
    partition. If `live`, partitions get the ids of new items of others, too.
    """
    table, taken, fresh, sizes = r.table, r.taken, r.fresh, r.sizes
    others = np.empty(sizes[:, TABLE].max(), np.uint32)
    at = 0
    new = 0
    for q in range(len(sizes)):
        begin = at
        e, n, g, h = sizes[q, EVENTS], sizes[q, NEAR], sizes[q, GONES], sizes[q, HISTORIES]
        c = columns_of(r.words[begins[q] :], e, n, g, h)
        tag = columns_of(tags[begins[q] :], e, n, g, h)
        own, other = _look_up(c.items, q, partition_of, marks, serial, 0, 0, table, begin, others)
        own, other = _look_up(c.near, q, partition_of, marks, serial, own, other, table, begin, others)
        own, other = _look_up(c.gone_items, q, partition_of, marks, serial, own, other, table, begin, others)
        table[begin + own : begin + own + other] = others[:other]
        at = begin + own + other
        _place(c.items, tag.items, EFFECT_BITS, marks, own)
        _place(c.near, tag.near, DISTANCE_BITS, marks, own)
        _place(c.gone_items, tag.gone_items, 0, marks, own)
        for i in range(taken_begins[q], taken_begins[q] + sizes[q, TAKEN]):
            place = np.uint64(marks[np.int64(taken[i] >> _ITEM)] & _PLACE)
            taken[i] = (place << _ITEM) | (taken[i] & _REST)
        # when few events are counted at once, others get the ids of new items sooner than from owners
        for i in range(begin, at if live else begin + own):
            if named[np.int64(table[i])] == 0:
                fresh[new] = i - begin
                new += 1
        serial += 1
        r.own[q] = own
        r.ends[q, 0], r.ends[q, 1], r.ends[q, 3] = at, taken_begins[q] + sizes[q, TAKEN], new
    begin = new = 0
    for q in range(len(sizes)):
        for i in range(new, r.ends[q, 3]):
            if np.int64(fresh[i]) < r.own[q]:
                named[np.int64(table[begin + np.int64(fresh[i])])] = 1
        begin, new = int(r.ends[q, 0]), int(r.ends[q, 3])


@kernel
def route(
    partitions: int, partition_of: npt.NDArray[np.uint16], named: npt.NDArray[np.uint8],
    marks: npt.NDArray[np.int64], serial: int, first: int, offsets: npt.NDArray[np.int64],
    items: npt.NDArray[np.uint32], times_ms: npt.NDArray[np.int64], begin: int, events: int, out: Paired,
) -> Routed:  # fmt: skip
    """Return the parts of each partition's message for the events of a batch from `begin` to `events`.

    Offsets are counted from `first`. `named` and `marks` have a word for each item of the source: whether its
    id was sent to its partition, and what earlier calls left. `serial` must be larger than all serials used
    with them before; each partition uses one.
    """
    sizes = _sizes(partitions, partition_of, items, begin, events, out)
    lengths = 6 * sizes[:, EVENTS] + sizes[:, NEAR] + 4 * sizes[:, GONES] + 4 * sizes[:, HISTORIES]
    ends, taken_ends = np.cumsum(lengths), np.cumsum(sizes[:, TAKEN])
    begins, taken_begins = ends - lengths, taken_ends - sizes[:, TAKEN]
    most = sizes[:, TABLE].sum()
    r = Routed(
        np.empty(most, np.uint32), np.empty(taken_ends[-1], np.uint64), np.empty(ends[-1], np.uint32),
        np.empty(most, np.uint32), np.zeros(partitions, np.int64), np.zeros((partitions, 4), np.int64), sizes,
    )  # fmt: skip
    r.ends[:, 2] = ends
    tags = np.zeros(ends[-1], np.uint8)
    _deal(
        r.words, tags, begins, sizes, r.taken, taken_begins, partition_of, first, offsets, items, times_ms,
        begin, events, out,
    )  # fmt: skip
    live = events - begin <= LIVE_EVENTS
    _number(r, begins, taken_begins, partition_of, named, marks, serial, tags, live)
    return r
