"""Numbers of a few bits are packed and unpacked, and compared with Python's integers."""

from __future__ import annotations

import numpy as np
import pytest

from state.memory.arrays import address_of
from state.memory.bits import ZERO, bits_of, get, push, words_of


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_any_widths_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = rng.integers(0, 64, 300).tolist()
    numbers = [int(rng.integers(0, 1 << width, dtype=np.uint64)) for width in widths]
    words = np.zeros(int(words_of(np.uint64(sum(widths)))) + 1, np.uint64)
    begin = at = address_of(words)
    open_word, used, whole, bits = ZERO, ZERO, 0, 0
    for number, width in zip(numbers, widths, strict=True):
        whole |= number << bits
        bits += width
        at, *rest = push(at, open_word, used, np.uint64(number), np.uint64(width))
        open_word, used = map(np.uint64, rest)
        assert 8 * (at - begin) + int(used) == bits
    words[(at - begin) // 8] = open_word
    assert words.tobytes() == whole.to_bytes(8 * len(words), "little")
    bits = 0
    for number, width in zip(numbers, widths, strict=True):
        assert int(get(begin, np.uint64(bits), np.uint64(width))) == number
        bits += width


@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 255, 256, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_bits_of_a_number(value: int) -> None:
    assert bits_of(np.uint64(value)) == value.bit_length()


def test_words_of_bits() -> None:
    assert [int(words_of(np.uint64(bits))) for bits in (0, 1, 64, 65, 128)] == [0, 1, 1, 2, 2]
