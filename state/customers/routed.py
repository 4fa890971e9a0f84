"""What each item partition gets of a batch: the parts of its message, and how large they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.customers.pairing import Paired
from state.memory.arrays import kernel
from state.messages.deltas import Effect

GONE = int(Effect.GONE)
_ITEM = np.uint64(32)


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
def sizes_of(
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
