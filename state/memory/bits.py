"""Numbers of a few bits each, one behind the other in words of 64 bits, lowest bits first.

Words are given by the address of the first: an array that is passed on is counted as a reference each time.
"""

from __future__ import annotations

import numpy as np

from state.memory.arrays import kernel, load, store

WORD = np.uint64(64)
ZERO, ONE = np.uint64(0), np.uint64(1)
_SHIFT, _REST = np.uint64(6), np.uint64(63)


@kernel
def bits_of(value: np.uint64) -> np.uint64:
    """Return how many bits a number takes: 0 for 0."""
    n = ZERO
    while value:
        value >>= ONE
        n += ONE
    return n


@kernel
def words_of(bits: np.uint64) -> np.uint64:
    """Return how many words so many bits take."""
    return np.uint64((bits + _REST) >> _SHIFT)


@kernel
def push(
    at: int, open_word: np.uint64, used: np.uint64, value: np.uint64, width: np.uint64
) -> tuple[int, np.uint64, np.uint64]:
    """Write a number of `width` bits, at most 63, behind those before it.

    `open_word` has the last `used` bits, which will be written at the address `at`; return the three as they
    are afterwards.
    """
    open_word |= value << used
    used += width
    if used >= WORD:
        store(at, open_word)
        at += 8
        used -= WORD
        open_word = value >> (width - used)
    return at, open_word, used


@kernel
def get(words: int, at: np.uint64, width: np.uint64) -> np.uint64:
    """Return the number of `width` bits, at most 63, from bit `at` on."""
    bit = at & _REST
    address = words + np.int64(at >> _SHIFT) * 8
    value = load(address) >> bit
    if bit + width > WORD:
        value |= load(address + 8) << (WORD - bit)
    return np.uint64(value & ((ONE << width) - ONE))
