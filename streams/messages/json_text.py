"""Write JSON in kernels: texts and numbers, eight bytes at a time, at addresses.

A related-items message has five hundred numbers and as many names of fields. Written byte by byte they take
as much time as ranking. So everything here is written in whole words, and a writer may write up to `OVERRUN`
bytes beyond the end that it returns. Numbers that are not whole have five significant digits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.memory.arrays import address_of, double_bits, kernel, load_any, store_any

OVERRUN = 24
"""Bytes beyond the end of what is written that a writer may touch: buffers have that much more room."""

_DIGITS = 5
_LARGEST = 10**_DIGITS
_SMALLEST = 1e-300  # less is written as zero: the power of ten that scales it is not a number any more
_MIDDLE = 308
_SCALES = 10.0 ** np.arange(_DIGITS - 1 + _MIDDLE, _DIGITS - 2 - _MIDDLE, -1).clip(-308, 308)
"""What a number whose first digit is of 10^power is multiplied with to have _DIGITS before the point."""
_POWERS = np.append(10.0 ** np.arange(-_MIDDLE, _MIDDLE + 1), np.inf)
_LOG10_2 = 1_292_913_986  # times 2^-32
_EXPONENT_BIAS = 1023

_CHUNK = 100_000_000  # eight digits
_ZERO, _POINT, _MINUS, _EXPONENT = (np.uint64(ord(c)) for c in "0.-e")
_ZEROS = np.uint64(0x3030303030303030)
_POINT_ZERO = np.uint64(0x302E)
_EIGHT = np.uint64(8)

Text = tuple[np.uint64, np.uint64, np.uint64, int]


def text_of(text: str) -> Text:
    """Return a text of at most 24 bytes as three words and its size, for `put_text`."""
    raw = text.encode()
    if len(raw) > OVERRUN:
        raise ValueError(f"{text!r} has {len(raw)} bytes, at most {OVERRUN} fit")
    first, second, third = np.frombuffer(raw.ljust(OVERRUN, b"\0"), np.uint64)
    return first, second, third, len(raw)


@kernel
def put_text(at: int, text: Text) -> int:
    """Write a text; return the address behind it."""
    store_any(at, text[0])
    if text[3] > 8:
        store_any(at + 8, text[1])
        store_any(at + 16, text[2])
    return at + text[3]


@kernel
def put_array(at: int, array: npt.NDArray[np.uint8]) -> int:
    """Write the bytes of a short array; return the address behind them."""
    for i in range(len(array)):
        store_any(at + i, np.uint64(array[i]))
    return at + len(array)


@kernel
def put_bytes(at: int, source: int, size: int) -> int:
    """Copy bytes from an address, behind which 7 more can be read; return the address behind the copy."""
    for i in range(0, size, 8):
        store_any(at + i, load_any(source + i))
    return at + size


@kernel
def put_id(
    at: int, blob: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64],
    item: int,
) -> int:  # fmt: skip
    """Write an item's id, quoted (`streams.messages.lists_json.JsonIds`); return the address behind it."""
    start = int(starts[item])
    return put_bytes(at, address_of(blob) + start, int(ends[item]) - start)


@kernel
def _digits(value: int) -> tuple[np.uint64, int]:
    """Return the digits of a number below 10^8 as a word, the first in its lowest byte, and their number."""
    word = np.uint64(0)
    size = 0
    while True:
        tens = value // 10
        word = (word << _EIGHT) | (_ZERO + np.uint64(value - 10 * tens))
        size += 1
        if tens == 0:
            return word, size
        value = tens


@kernel
def eight_digits(value: int) -> np.uint64:
    """Return a number below 10^8 as a word of eight digits, with leading zeros."""
    word, size = _digits(value)
    if size < 8:
        empty = np.uint64(8 * (8 - size))
        word = (word << empty) | (_ZEROS >> (np.uint64(64) - empty))
    return word


@kernel
def put_whole(at: int, value: int) -> int:
    """Write a whole number; return the address behind it."""
    if value < 0:
        store_any(at, _MINUS)
        at += 1
        value = -value
    rest = value // _CHUNK
    if rest == 0:
        word, size = _digits(value)
        store_any(at, word)
        return at + size
    highest = rest // _CHUNK
    if highest == 0:
        word, size = _digits(rest)
        store_any(at, word)
        at += size
    else:
        word, size = _digits(highest)
        store_any(at, word)
        store_any(at + size, eight_digits(rest - highest * _CHUNK))
        at += size + 8
    store_any(at, eight_digits(value - rest * _CHUNK))
    return at + 8


@kernel
def _power_of_ten(value: float) -> int:
    """Return the power of ten of a positive number's first digit."""
    exponent = np.int64(double_bits(value) >> np.uint64(52)) - _EXPONENT_BIAS
    power = (exponent * _LOG10_2) >> 32
    return int(power) + int(value >= _POWERS[power + 1 + _MIDDLE])


@kernel
def put_real(at: int, value: float) -> int:
    """Write a number with five significant digits; return the address behind it.

    It uses the shortest of JSON's notations for them; a number that is not finite is written as 0.0.
    """
    if abs(value) < _SMALLEST or not np.isfinite(value):
        store_any(at, _ZERO | (_POINT_ZERO << _EIGHT))
        return at + 3
    if value < 0.0:
        store_any(at, _MINUS)
        at += 1
        value = -value
    power = _power_of_ten(value)
    digits = int(value * _SCALES[power + _MIDDLE] + 0.5)
    if digits >= _LARGEST:
        digits //= 10
        power += 1
    size = _DIGITS
    while size > 1:
        tens = digits // 10
        if digits != 10 * tens:
            break
        digits = tens
        size -= 1
    word, _ = _digits(digits)
    whole = power + 1  # digits before the point
    if whole < 1 or whole > 15:
        whole = 1
    if whole < size:
        before = np.uint64(8 * whole)
        low = word & ((np.uint64(1) << before) - np.uint64(1))
        word = low | (_POINT << before) | ((word >> before) << (before + _EIGHT))
        store_any(at, word)
        at += size + 1
    else:
        store_any(at, word)
        at += size
    if power < 0 or power > 14:
        store_any(at, _EXPONENT)
        return put_whole(at + 1, power)
    if whole >= size:
        store_any(at, _ZEROS)
        store_any(at + 8, _ZEROS)
        at += whole - size
        store_any(at, _POINT_ZERO)
        at += 2
    return at
