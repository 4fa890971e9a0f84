"""Numbers of a few bits each, one behind the other in words of 64 bits, lowest bits first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from state.memory import kernel

Words = npt.NDArray[np.uint64]
Whole = int | np.integer[Any]

WORD = 64
ONE = np.uint64(1)


@kernel
def bits_of(value: np.uint64) -> Whole:
    """How many bits a number takes: 0 for 0."""
    n = np.int64(0)
    while value:
        value >>= ONE
        n += 1
    return n


@kernel
def words_of(bits: Whole) -> Whole:
    """How many words so many bits take."""
    return (bits + WORD - 1) // WORD


@kernel
def put(words: Words, at: Whole, value: np.uint64, width: Whole) -> Whole:
    """Write a number of `width` bits, at most 63, from bit `at` on; the bit behind it.

    The words are zero from that bit on.
    """
    word, bit = at // WORD, at % WORD
    words[word] |= value << np.uint64(bit)
    if bit + width > WORD:
        words[word + 1] = value >> np.uint64(WORD - bit)
    return at + width


@kernel
def get(words: Words, at: Whole, width: Whole) -> np.uint64:
    """The number of `width` bits, at most 63, from bit `at` on."""
    word, bit = at // WORD, at % WORD
    value = words[word] >> np.uint64(bit)
    if bit + width > WORD:
        value |= words[word + 1] << np.uint64(WORD - bit)
    return np.uint64(value & ((ONE << np.uint64(width)) - ONE))
