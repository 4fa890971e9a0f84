"""The customer machine's kernel: it applies events to histories, and finds the pairs that follow.

A new item pairs with the items before it. A return or erasure passes on the history as it was before, so that
the item machines (`state.items.counting`) can take its pairs back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers import daily_limit, event_rings, purchase_logs
from state.customers import histories as hs
from state.customers import repeats as history_repeats
from state.customers.event_sources import Sequences, published_before
from state.customers.histories import Histories
from state.memory.arrays import kernel
from state.messages.deltas import Effect

# The outcome of an event is an effect, or one of seven others. Outcomes before DUPLICATE change the history
# or the event ids; EMPTIED is an erasure of a customer who had no items. LIMITED is a purchase beyond the
# daily limit, and FULL one of a new item for a history that has `MOST_ITEMS`.
NEW, REPEAT, GONE = map(int, Effect)
PART_RETURNED, NOT_OWNED, EMPTIED, LIMITED, FULL, DUPLICATE, INCLUDED = range(4, 11)

MOST_ITEMS = 100_000
"""Items of a history: what undoes a history is in one message, and each event looks through all of it."""

_PURCHASE, _RETURN, _FORGET = range(3)


class Paired(NamedTuple):
    """The buffers that the kernel fills: one element per event, then neighbours, then histories of GONE
    events.
    """

    outcomes: npt.NDArray[np.uint8]
    ranks: npt.NDArray[np.uint32]
    near_ends: npt.NDArray[np.int64]
    near_items: npt.NDArray[np.uint32]
    gone_events: npt.NDArray[np.uint32]
    gone_ranks: npt.NDArray[np.int32]
    gone_ends: npt.NDArray[np.int64]
    taken_ends: npt.NDArray[np.int64]
    gone_items: npt.NDArray[np.uint32]
    gone_minutes: npt.NDArray[np.uint32]
    gone_days: npt.NDArray[np.uint32]
    gone_spans: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint64]
    again: npt.NDArray[np.uint32]


def new_paired(n_events: int, window: int, gone_items: int) -> Paired:
    """Return buffers for n events, and for histories with `gone_items` items and as many days in all."""
    return Paired(
        np.empty(n_events, np.uint8),
        np.empty(n_events, np.uint32),
        np.empty(n_events, np.int64),
        np.empty(n_events * window, np.uint32),
        np.empty(n_events, np.uint32),
        np.empty(n_events, np.int32),
        np.empty(n_events, np.int64),
        np.empty(n_events, np.int64),
        np.empty(gone_items, np.uint32),
        np.empty(gone_items, np.uint32),
        np.empty(gone_items, np.uint32),
        np.empty(gone_items, np.uint32),
        np.empty(gone_items, np.uint64),
        np.empty(n_events, np.uint32),
    )


@kernel
def pair(
    h: Histories,
    included: npt.NDArray[np.int64],
    published: Sequences,
    window: int,
    most_a_day: int,
    offsets: npt.NDArray[np.int64],
    actions: npt.NDArray[np.uint8],
    customers: npt.NDArray[np.uint32],
    items: npt.NDArray[np.uint32],
    quantities: npt.NDArray[np.uint32],
    times_ms: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    profiles: npt.NDArray[np.uint8],
    sources: npt.NDArray[np.uint32],
    sequences: npt.NDArray[np.int64],
    out: Paired,
) -> tuple[int, int, int]:
    """Apply events to histories; return (events done, GONE events, customers gained).

    The kernel stops before an event whose history does not fit into the rest of `out.gone_items` and
    `out.taken`; the caller continues from there with new buffers. `included` is the last offset that a
    customer's loaded history has. At most `most_a_day` purchases of a customer count on a day of event time,
    0: all. `published` is as of the event at hand, so it is checked first.
    """
    near = 0
    gone = 0
    gone_items = 0
    taken = 0
    gained = 0
    for i in range(len(offsets)):
        customer = np.int64(customers[i])
        item = np.int64(items[i])
        n = np.int64(h.length[customer])
        out.ranks[i] = 0
        out.again[i] = 0
        outcome = 0
        rank = -1
        if actions[i] != _PURCHASE:
            days = np.int64(h.log_length[customer])
            if max(gone_items + n, taken + days) > len(out.gone_items):
                return i, gone, gained
        if sources[i] != 0 and published_before(published, np.int64(sources[i]), sequences[i], offsets[i]):
            outcome = DUPLICATE
        elif offsets[i] <= included[customer]:
            outcome = INCLUDED
        elif hashes[i] != 0 and event_rings.seen_before(h, customer, hashes[i]):
            outcome = DUPLICATE
        elif (
            actions[i] == _PURCHASE
            and most_a_day > 0
            and not daily_limit.counts(h, customer, times_ms[i], most_a_day)
        ):
            outcome = LIMITED
        elif actions[i] == _PURCHASE:
            rank = hs.rank_of(h, customer, item)
            if rank < 0 and n >= MOST_ITEMS:
                outcome = FULL
            elif rank >= 0:
                hs.add_quantity(h, customer, rank, np.int64(quantities[i]))
                out.again[i] = history_repeats.again(h, customer, rank, times_ms[i], np.int64(profiles[i]))
                purchase_logs.note(h, customer, item, times_ms[i])
                outcome = REPEAT
            else:
                for distance in range(1, min(n, window) + 1):
                    out.near_items[near] = hs.item_at(h, customer, n - distance)
                    near += 1
                hs.append(
                    h, customer, item, np.int64(quantities[i]), times_ms[i], times_ms[i], np.int64(1), 1.0,
                    np.int64(profiles[i]),
                )  # fmt: skip
                out.ranks[i] = n
                gained += n == 0
                outcome = NEW
        elif actions[i] == _FORGET and n == 0:
            hs.forget(h, np.array([customer]))
            outcome = EMPTIED
        else:
            if actions[i] == _RETURN:
                rank = hs.rank_of(h, customer, item)
                owned = hs.quantity_at(h, customer, rank) if rank >= 0 else 0
                if owned < np.int64(quantities[i]):
                    outcome = NOT_OWNED
                elif owned > np.int64(quantities[i]):
                    hs.add_quantity(h, customer, rank, -np.int64(quantities[i]))
                    outcome = PART_RETURNED
            if outcome == 0:
                for r in range(n):
                    out.gone_items[gone_items] = hs.item_at(h, customer, r)
                    out.gone_minutes[gone_items] = hs.first_ms_at(h, customer, r) // 60_000
                    out.gone_days[gone_items] = history_repeats.days_at(h, customer, r)
                    out.gone_spans[gone_items] = history_repeats.span_at(h, customer, r)
                    gone_items += 1
                out.gone_events[gone] = i
                out.gone_ranks[gone] = rank
                out.gone_ends[gone] = gone_items
                taken = purchase_logs.take(h, customer, item if rank >= 0 else -1, out.taken, taken)
                out.taken_ends[gone] = taken
                gone += 1
                if actions[i] == _FORGET:
                    hs.forget(h, np.array([customer]))
                    gained -= 1
                else:
                    hs.remove(h, customer, rank)
                    gained -= n == 1
                    if n == 1:
                        h.today[customer] = 0  # nothing may be stored of who has nothing
                outcome = GONE
        out.outcomes[i] = outcome
        out.near_ends[i] = near
    return len(offsets), gone, gained
