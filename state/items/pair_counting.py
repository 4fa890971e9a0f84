"""The item machine's kernel for what was watched and then bought: it applies pair changes to rows."""

from __future__ import annotations

import numpy as np

from state.items import rows as rw
from state.items.counting import changed_popularity, run
from state.items.marks import CHANGED_LIST, QUIET, TOUCHED
from state.items.tables import Pending, Tables, buyers_of, put_size, take_size
from state.memory.arrays import kernel
from state.memory.entries import decay_weight
from state.messages.pair_changes import Buyers, Pairs, Sizes
from state.popularity.counts import DAY_MS, add_buyer, add_purchase, take_buyer


@kernel
def count_pairs(
    t: Tables, position: int, popularity_included: int, skip: int, capacity: int, bounded: bool,
    tolerance: float, buyers: Buyers, sizes: Sizes, pairs: Pairs, pending: Pending,
) -> None:  # fmt: skip
    """Apply a message whose item numbers are already those of this machine.

    `position` is the message's own in its topic. Changes before effect first + `skip` are dropped, and what a
    row or the popularity already includes is skipped. A purchase counts as popularity from when it brings the
    item into a history until it is taken out of it.
    """
    popular = t.popularity
    for i in range(len(buyers.items) if position > popularity_included else 0):
        if np.int64(buyers.offsets[i]) < skip:
            continue
        item, day = np.int64(buyers.items[i]), buyers.times_ms[i] // DAY_MS
        if buyers.changes[i] > 0:
            add_purchase(popular, item, buyers.times_ms[i])
            add_buyer(popular, item, day)
        else:
            take_buyer(popular, item, day)
        changed_popularity(t, item)
    for i in range(len(sizes.items)):
        row = np.int64(t.row_of[sizes.items[i]])
        if np.int64(sizes.offsets[i]) < skip or row < 0 or t.included[row] >= position:
            continue
        before, now = np.int64(sizes.before[i]), np.int64(sizes.now[i])
        if before >= 0:
            take_size(t, row, before)
        if now >= 0:
            put_size(t, row, now)
        # one watcher more changes every expectation of the row a little
        grown = buyers_of(t, row) - t.ranked_buyers[row]
        t.marks[row] |= TOUCHED | (
            CHANGED_LIST if now < 0 or grown > tolerance * t.ranked_buyers[row] else QUIET
        )
    minutes = pairs.minutes.astype(np.int64)
    n = np.int64(0)
    for i in range(len(pairs.items)):
        row = np.int64(t.row_of[pairs.items[i]])
        if np.int64(pairs.offsets[i]) < skip or row < 0 or t.included[row] >= position:
            continue
        if pairs.changes[i] > 0:
            pending.row[n], pending.neighbour[n] = row, pairs.bought[i]
            pending.after[n], pending.event[n] = 1, i
            pending.place[n] = pairs.bought[i]
            n += 1
        else:
            run(t, pending, n, minutes, popular.roots, capacity, bounded)
            n = np.int64(0)
            rw.take(t.rows, row, np.int64(pairs.bought[i]), np.int64(1), decay_weight(minutes[i]))
            t.marks[row] |= CHANGED_LIST | TOUCHED
    run(t, pending, n, minutes, popular.roots, capacity, bounded)
