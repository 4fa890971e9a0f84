"""The crossing machine's kernel: it pairs what customers watched with what they bought afterwards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers import histories as hs
from state.customers.histories import Histories
from state.memory.arrays import kernel
from state.messages.deltas import Effect
from state.messages.history_changes import BOUGHT, WATCHED
from state.messages.pair_changes import Buyers, Pairs, Sizes

_NEW = int(Effect.NEW)


class Crossed(NamedTuple):
    """The buffers that the kernel fills."""

    buyers: Buyers
    sizes: Sizes
    pairs: Pairs


def new_crossed(effects: int, room: int) -> Crossed:
    """Return buffers for so many effects, and for `room` pairs and sizes."""
    return Crossed(
        Buyers(
            np.empty(effects, np.uint32), np.empty(effects, np.uint32), np.empty(effects, np.int8),
            np.empty(effects, np.int64),
        ),
        Sizes(
            np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.int32),
            np.empty(room, np.int32),
        ),
        Pairs(
            np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.uint32),
            np.empty(room, np.int8), np.empty(room, np.uint32),
        ),
    )  # fmt: skip


@kernel
def _put_size(sizes: Sizes, at: int, effect: int, item: int, before: int, now: int) -> int:
    """Add a change of an opportunity if it changed; return how many changes there are then."""
    if before == now:
        return at
    sizes.offsets[at], sizes.items[at] = effect, item
    sizes.before[at], sizes.now[at] = before, now
    return at + 1


@kernel
def cross(
    h: Histories, included: npt.NDArray[np.int64], changed: npt.NDArray[np.uint8], position: int,
    watched: bool, within_ms: int, most: int, customers: npt.NDArray[np.int64], items: npt.NDArray[np.int64],
    effects: npt.NDArray[np.uint8], times_ms: npt.NDArray[np.int64], out: Crossed,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Apply effects; return (effects done, buyers, sizes, pairs, customers gained).

    The kernel stops before an effect whose pairs may not fit into the rest of `out`. `position` is where the
    effects are in the log, `included` the last position that a customer's loaded history has. An effect whose
    item is in the history already, or gone already, changes nothing: its source had not published everything.
    """
    side = WATCHED if watched else BOUGHT
    buyers = 0
    sizes = 0
    pairs = 0
    gained = 0
    for i in range(len(items)):
        customer, item = customers[i], items[i]
        n = np.int64(h.length[customer])
        if max(sizes, pairs) + n + 1 > len(out.pairs.items):
            return i, buyers, sizes, pairs, gained
        if position <= included[customer]:
            continue
        new = effects[i] == _NEW
        rank = hs.rank_of(h, customer, 2 * item + side)
        if new == (rank >= 0):
            continue
        time_ms = times_ms[i] if new else hs.first_ms_at(h, customer, rank)
        change = 1 if new else -1
        met = 0
        for r in range(n):
            entry = hs.item_at(h, customer, r)
            if entry & 1 == side:
                continue
            other_ms = hs.first_ms_at(h, customer, r)
            bought_ms = other_ms if watched else time_ms
            after_ms = bought_ms - (time_ms if watched else other_ms)
            if after_ms < 0 or after_ms > within_ms:
                continue
            met += 1
            other = entry >> 1
            out.pairs.offsets[pairs], out.pairs.items[pairs] = i, item if watched else other
            out.pairs.bought[pairs], out.pairs.changes[pairs] = other if watched else item, change
            out.pairs.minutes[pairs] = bought_ms // 60_000
            pairs += 1
            if not watched:
                size = hs.quantity_at(h, customer, r) - 1
                hs.add_quantity(h, customer, r, change)
                sizes = _put_size(out.sizes, sizes, i, other, min(size, most), min(size + change, most))
        if watched:
            before, now = (-1, min(met, most)) if new else (min(met, most), -1)
            sizes = _put_size(out.sizes, sizes, i, item, before, now)
        else:
            out.buyers.offsets[buyers], out.buyers.items[buyers] = i, item
            out.buyers.changes[buyers], out.buyers.times_ms[buyers] = change, time_ms
            buyers += 1
        if new:
            gained += n == 0
            hs.append(
                h, customer, 2 * item + side, met + 1 if watched else np.int64(1), time_ms, time_ms,
                np.int64(1), 1.0, np.int64(0),
            )  # fmt: skip
        else:
            gained -= n == 1
            hs.remove(h, customer, rank)
        changed[customer] = 1
    return len(items), buyers, sizes, pairs, gained
