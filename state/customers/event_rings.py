"""The hashes of a customer's last 128 event ids, in a ring.

The ring lies in a block of its own that grows with use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.memory.blocks import allocate, release, wipe

if TYPE_CHECKING:
    from state.customers.histories import Histories

REMEMBERED_EVENTS = 128
RINGS = np.array([0, 4, 8, 16, 32, 64, 128], dtype=np.int64)  # event ids of a ring block


@kernel
def seen_before(h: Histories, customer: int, event_hash: int) -> bool:
    """Return whether an event id is among the customer's last 128, and remember it if it is not."""
    ring = RINGS[h.ring_size[customer]]
    start = h.ring_start[customer]
    found = False
    for i in range(start, start + min(ring, h.seen[customer])):
        found |= h.rings[i] == event_hash
    if found:
        return True
    if h.seen[customer] == ring and ring < REMEMBERED_EVENTS:
        size = np.int64(h.ring_size[customer]) + 1
        new = allocate(h.rings, h.ring_free, size, RINGS[size])
        h.rings[new : new + ring] = h.rings[start : start + ring]
        wipe(h.rings, start, ring)
        release(h.rings, h.ring_free, h.ring_size[customer], start)
        h.ring_start[customer] = new
        h.ring_size[customer] = size
        start, ring = new, RINGS[size]
    h.rings[start + h.seen[customer] % ring] = event_hash
    h.seen[customer] += 1
    return False


@kernel
def read_ring(h: Histories, customer: int) -> npt.NDArray[np.uint64]:
    """Return the remembered event id hashes, in the order in which they lie in the ring."""
    ring = RINGS[h.ring_size[customer]]
    start = h.ring_start[customer]
    return h.rings[start : start + min(ring, h.seen[customer])].copy()


@kernel
def write_ring(h: Histories, customer: int, hashes: npt.NDArray[np.uint64], seen: int) -> None:
    """Fill an empty ring with what `read_ring` returned."""
    size = 0
    while RINGS[size] < len(hashes):
        size += 1
    if size > 0:
        start = allocate(h.rings, h.ring_free, size, RINGS[size])
        h.rings[start : start + len(hashes)] = hashes
        h.ring_start[customer] = start
        h.ring_size[customer] = size
    h.seen[customer] = seen


@kernel
def forget_ring(h: Histories, customer: int) -> None:
    """Erase a ring, and overwrite its memory."""
    if h.ring_size[customer] > 0:
        wipe(h.rings, h.ring_start[customer], RINGS[h.ring_size[customer]])
        release(h.rings, h.ring_free, h.ring_size[customer], h.ring_start[customer])
    h.ring_size[customer] = 0
    h.seen[customer] = 0
