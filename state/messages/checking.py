"""Check that decoded messages fit together, before a kernel sees them.

Kernels use the numbers of a message as indices without looking at them, so a wrong one would read or write
memory of something else. Workers send no such message. Kafka checks the bytes that it stores, so a message
that does not fit was written by somebody else, and is refused like any other record of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.memory.item_ids import item_hashes
from state.messages.deltas import DISTANCE_BITS, EFFECT_BITS, Effect, columns_of
from state.messages.wire import MOST_MINUTE, MOST_OFFSET, are_times, require, require_ascending, require_below

if TYPE_CHECKING:
    from state.messages.deltas import Deltas
    from state.messages.pair_changes import PairChanges

_WHAT = "pair-deltas"
_ITEM = np.uint32((1 << EFFECT_BITS) - 1)
_NEAR_ITEM = np.uint32((1 << DISTANCE_BITS) - 1)
_TAKEN_ITEM = np.uint64(32)  # above them, as `state.customers.purchase_logs` has it
_NEW, _REPEAT, _GONE = (int(effect) for effect in Effect)

FITS, EVENTS, NEAR, HISTORIES, TAKEN, ITEMS, TIMES = range(7)
_WRONG = ("", "events", "neighbours", "histories", "purchases taken back", "items", "times")


def check_deltas(d: Deltas, window: int) -> None:
    """Raise NoMessage unless a message can be counted by a machine with this window."""
    require(
        0 <= d.previous <= d.first <= d.end < MOST_OFFSET and 0 <= d.customers < MOST_OFFSET,
        _WHAT, "offsets",
    )  # fmt: skip
    items = len(d.hashes)
    new = d.new_items
    require(d.own <= items and (len(new) == 0 or int(new.max()) < items), _WHAT, "items")
    if d.new_ids:
        require("" not in d.new_ids, _WHAT, "ids")
        require(np.array_equal(item_hashes(d.new_ids), d.hashes[new]), _WHAT, "ids and their hashes")
    wrong = _misfit(d.words, d.events, d.near, d.gone, d.histories, d.taken, items, d.end - d.first, window)
    require(wrong == FITS, _WHAT, _WRONG[wrong])


@kernel
def _misfit(
    words: npt.NDArray[np.uint32], events: int, near: int, gone: int, histories: int,
    taken: npt.NDArray[np.uint64], items: int, offsets: int, window: int,
) -> int:  # fmt: skip
    """Return what of a message does not fit, FITS if everything does."""
    c = columns_of(words, events, near, gone, histories)
    before = met_gone = np.int64(0)
    for i in range(events):
        end, effect = np.int64(c.near_ends[i]), np.int64(c.items[i] >> np.uint32(EFFECT_BITS))
        if effect < _NEW or np.int64(c.offsets[i]) >= offsets:
            return EVENTS
        met_gone += effect == _GONE
        if end < before or end > near:
            return NEAR
        if effect != _GONE and np.int64(c.items[i] & _ITEM) >= items:
            return ITEMS
        minute = np.int64(np.int32(c.minutes[i]))
        if minute > MOST_MINUTE or minute < -MOST_MINUTE or c.millis[i] >= 60_000:
            return TIMES
        if effect == _NEW:
            rank, zeros, most = np.int64(c.details[i]), np.uint32(0), np.uint32(0)
            for j in range(before, end):  # without a branch, so that the compiler vectorises
                distance = c.near[j] >> np.uint32(DISTANCE_BITS)
                zeros += np.uint32(distance == 0)
                most = max(most, distance)
            if zeros > 0 or np.int64(most) > min(rank, window):
                return NEAR
        before = end
    largest = np.uint32(0)
    for j in range(near):
        largest = max(largest, c.near[j] & _NEAR_ITEM)
    if near > 0 and np.int64(largest) >= items:
        return ITEMS
    if met_gone != gone:
        return EVENTS
    start = taken_start = np.int64(0)
    for g in range(gone):
        end, taken_end = np.int64(c.gone_ends[g]), np.int64(c.taken_ends[g])
        rank = np.int64(np.int32(c.gone_ranks[g]))
        if end < start or end > histories or rank < -1 or rank >= end - start:
            return HISTORIES
        if taken_end < taken_start or taken_end > len(taken):
            return TAKEN
        start, taken_start = end, taken_end
    for h in range(histories):
        if np.int64(c.gone_items[h]) >= items:
            return ITEMS
        minute = np.int64(np.int32(c.gone_minutes[h]))
        if minute > MOST_MINUTE or minute < -MOST_MINUTE:
            return TIMES
    for record in taken:
        if np.int64(record >> _TAKEN_ITEM) >= items:
            return TAKEN
    return FITS


def check_pairs(p: PairChanges, known: int, window: int) -> None:
    """Raise NoMessage unless a message can be counted by a machine that knows so many of the source's items.

    The numbers of items of the message's own new ids follow those of `base`.
    """
    require(0 <= p.first <= p.end < MOST_OFFSET and 0 <= p.customers < MOST_OFFSET, _WHAT, "offsets")
    require("" not in p.new_ids, _WHAT, "ids")
    items = max(known, p.base + len(p.new_ids))
    for columns in (p.buyers, p.sizes, p.pairs):
        require_below(columns.items, items, _WHAT, "items")
        require_ascending(columns.offsets, p.end - p.first, _WHAT)
    require_below(p.pairs.bought, items, _WHAT, "items")
    for changes in (p.buyers.changes, p.pairs.changes):
        require((np.abs(changes) == 1).all(), _WHAT, "changes")
    for sizes in (p.sizes.before, p.sizes.now):
        require(((sizes >= -1) & (sizes <= 2 * window)).all(), _WHAT, "sizes")
    require(are_times(p.buyers.times_ms), _WHAT, "times")
    require_below(p.pairs.minutes, MOST_MINUTE, _WHAT, "times")
