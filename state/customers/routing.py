"""The kernel that divides a batch among the item partitions, and writes the parts of their messages.

An event concerns the partition of its item and those of its neighbours; most partitions are not concerned. So
the kernel goes once through events and neighbours, whatever the number of partitions is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.customers.numbering import number
from state.customers.pairing import Paired
from state.customers.routed import EVENTS, GONES, HISTORIES, NEAR, TABLE, TAKEN, Routed, sizes_of
from state.memory.arrays import kernel
from state.messages.deltas import Effect

NEW, REPEAT, GONE = map(int, Effect)
_ITEM = np.uint64(32)
LIVE_EVENTS = 500  # a batch with more, as in a backlog, sends new ids to the items' partitions alone


@kernel
def _deal(
    words: npt.NDArray[np.uint32], tags: npt.NDArray[np.uint8], begins: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64], to_taken: npt.NDArray[np.uint64], taken_begins: npt.NDArray[np.int64],
    partition_of: npt.NDArray[np.uint16], first: int,
    offsets: npt.NDArray[np.int64], items: npt.NDArray[np.uint32], times_ms: npt.NDArray[np.int64],
    begin: int, events: int, out: Paired,
) -> None:  # fmt: skip
    """Write every partition's columns, each from where its words begin.

    Items have their numbers in the source's dictionary until `number` replaces them; their tags are the
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
    sizes = sizes_of(partitions, partition_of, items, begin, events, out)
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
    number(r, begins, taken_begins, partition_of, named, marks, serial, tags, live)
    return r
