"""A heap of the best entries of a row, the worst of them on top, as numba kernels.

A heap is the address of pairs of words: the key of an entry, which orders entries as a list does, and the
place of the entry in the arena of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.memory.arrays import float_bits, float_of_bits, kernel, load, store
from state.memory.entries import HIGH


@kernel
def sift_down(heap: int, n: int) -> None:
    """Restore a heap with the smallest key on top, after its top was replaced.

    `heap` is the address of n pairs of words: key and place.
    """
    key, place = load(heap), load(heap + 8)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        least = load(heap + 16 * child)
        if child + 1 < n:
            other = load(heap + 16 * (child + 1))
            if other < least:
                child, least = child + 1, other
        if least >= key:
            break
        store(heap + 16 * at, least)
        store(heap + 16 * at + 8, load(heap + 16 * child + 8))
        at = child
    store(heap + 16 * at, key)
    store(heap + 16 * at + 8, place)


@kernel
def push(heap: int, n: int, key: int, place: int) -> None:
    """Add a pair to a heap of n."""
    at = n
    while at > 0:
        parent = (at - 1) // 2
        above = load(heap + 16 * parent)
        if above <= key:
            break
        store(heap + 16 * at, above)
        store(heap + 16 * at + 8, load(heap + 16 * parent + 8))
        at = parent
    store(heap + 16 * at, key)
    store(heap + 16 * at + 8, place)


@kernel
def order_key(value: float, item: int) -> int:
    """Return a key that is larger for a better entry: its score in 24 bits, then the item first seen."""
    return (np.uint64(float_bits(np.float32(value))) << HIGH) | np.uint64(0xFFFFFFFF - item)


@kernel
def score_of(key: int) -> float:
    """Return the score in a key of `order_key`."""
    return np.float64(float_of_bits(np.uint32(key >> HIGH)))


def heap_room(k: int, touched: int) -> npt.NDArray[np.uint64]:
    """Return room for as many pairs of words as a row may have candidates: a list of k, and entries that
    grew.
    """
    return np.empty(2 * (k + touched), np.uint64)


@kernel
def take_worst(heap: int, n: int) -> tuple[int, int]:
    """Take the smallest key, and its place, out of a heap of n."""
    key, place = load(heap), load(heap + 8)
    store(heap, load(heap + 16 * (n - 1)))
    store(heap + 8, load(heap + 16 * (n - 1) + 8))
    sift_down(heap, n - 1)
    return key, place
