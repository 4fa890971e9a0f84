"""Entries of co-occurrence rows, bit by bit.

    entry, u64      high 32 bits: payload        low 32 bits: neighbour + 1 (0 empty, 2^32 - 1 deleted)
    payload         seen once:   0 | after (1 bit) | minute of the pair since 1970 (30 bits)
                    repeated:    1 | index of a record in the side table (31 bits)
    side record     u32 after, u32 before, f64 F

84 % of the pairs of a year of groceries are seen once, so they cost 8 bytes; the others 24.
"""

from __future__ import annotations

import numpy as np

from state.memory.arrays import kernel

LANDMARK_MINUTE = 26_297_280  # 2020-01-01: any fixed moment
TAU_MINUTES = 30 * 24 * 60
LARGEST_AGE = 600.0  # in TAU, of which exp() and sums of it are in range
SIDE_BYTES = 16

ID = np.uint64(0xFFFFFFFF)
DELETED = np.uint64(0xFFFFFFFF)
HIGH = np.uint64(32)
REPEATED = np.uint64(1 << 31)
AFTER = np.uint64(1 << 30)
MINUTE = np.uint64((1 << 30) - 1)
INDEX = np.uint64((1 << 31) - 1)


@kernel
def decay_weight(minute: int) -> float:
    """Return F of one pair at `minute`; before 1971 and after 2069 it is that of these years."""
    return np.exp(min(max((minute - LANDMARK_MINUTE) / TAU_MINUTES, -LARGEST_AGE), LARGEST_AGE))
