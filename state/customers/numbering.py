"""The kernel that makes the table of each partition's message, and replaces item numbers by places in it.

The table has first the items that the partition owns, then those of others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from state.customers.routed import EVENTS, GONES, HISTORIES, NEAR, TABLE, TAKEN, Routed
from state.memory.arrays import kernel
from state.messages.deltas import DISTANCE_BITS, EFFECT_BITS, columns_of

_ITEM = np.uint64(32)
_REST = np.uint64(0xFFFFFFFF)
_SERIAL_BITS = 26
_PLACE = (1 << _SERIAL_BITS) - 1
_OTHER = 1 << (_SERIAL_BITS - 1)


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
def number(
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
    none = np.int64(0)
    for q in range(len(sizes)):
        begin = at
        e, n, g, h = sizes[q, EVENTS], sizes[q, NEAR], sizes[q, GONES], sizes[q, HISTORIES]
        c = columns_of(r.words[begins[q] :], e, n, g, h)
        tag = columns_of(tags[begins[q] :], e, n, g, h)
        own, other = _look_up(c.items, q, partition_of, marks, serial, none, none, table, begin, others)
        own, other = _look_up(c.near, q, partition_of, marks, serial, own, other, table, begin, others)
        own, other = _look_up(c.gone_items, q, partition_of, marks, serial, own, other, table, begin, others)
        table[begin + own : begin + own + other] = others[:other]
        at = begin + own + other
        _place(c.items, tag.items, np.int64(EFFECT_BITS), marks, own)
        _place(c.near, tag.near, np.int64(DISTANCE_BITS), marks, own)
        _place(c.gone_items, tag.gone_items, none, marks, own)
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
