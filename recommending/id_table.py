"""Find the number of an id by its bytes, for kernels that read messages.

It is a hash table with open addressing in addition to the dictionary. The slots hold numbers, and the bytes
of all ids lie one behind the other, so that a look-up can compare them. It is in memory whatever the budget,
and takes 24 bytes per id in addition to its letters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import address_of, kernel, load_any, longer, zeros
from state.memory.ids import Dictionary
from state.memory.mixing import keys

PADDING = 8  # bytes that are read behind those that are compared
_ONE, _EIGHT = np.uint64(1), np.uint64(8)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_KEYS = 128  # two for each 8 bytes of an id, of which there are at most 32, and those of its size


class IdArrays(NamedTuple):
    """The arrays of the table."""

    slots: npt.NDArray[np.int32]  # number + 1, 0 where there is none; a power of two, half of them empty
    starts: npt.NDArray[np.int64]  # by number: where the bytes of the id are in `blob`
    ends: npt.NDArray[np.int64]
    blob: npt.NDArray[np.uint8]
    keys: npt.NDArray[np.uint64]  # of `state.memory.mixing`


class IdTable:
    """The ids of a dictionary by their bytes.

    Parameters
    ----------
    items
        The dictionary.
    seed
        Where the table has its entries follows from it (`state.memory.mixing`).

    >>> items = Dictionary()
    >>> [items.number(name) for name in ("milk", "tea")]
    [0, 1]
    >>> arrays = IdTable(items).up_to_date()
    >>> raw = np.frombuffer(b"teaser" + bytes(8), np.uint8).copy()
    >>> find(arrays, raw.ctypes.data, 3), find(arrays, raw.ctypes.data, 4)
    (1, -1)
    """

    def __init__(self, items: Dictionary, seed: int = 0) -> None:
        self._items = items
        self._known = self._end = 0
        self._arrays = IdArrays(
            np.zeros(2048, np.int32), np.zeros(1024, np.int64), np.zeros(1024, np.int64),
            np.zeros(1 << 14, np.uint8), keys(seed, _KEYS),
        )  # fmt: skip

    def up_to_date(self) -> IdArrays:
        """Return the table with every id that the dictionary has by now."""
        n = len(self._items)
        if n == self._known:
            return self._arrays
        raw = [name.encode() for name in self._items.since(self._known)]
        slots, starts, ends, blob, mixing = self._arrays
        if n > len(starts):
            starts, ends = longer(starts, 2 * n), longer(ends, 2 * n)
        to = self._end + np.cumsum([len(name) for name in raw])
        if to[-1] + PADDING > len(blob):
            blob = longer(blob, 2 * int(to[-1]) + PADDING)
        blob[self._end : to[-1]] = np.frombuffer(b"".join(raw), np.uint8)
        ends[self._known : n] = to
        starts[self._known : n] = np.append(self._end, to[:-1])
        first = self._known
        if 2 * n > len(slots):
            slots, first = zeros(1 << (4 * n).bit_length(), np.int32), 0
        self._arrays = IdArrays(slots, starts, ends, blob, mixing)
        _enter(self._arrays, first, n)
        self._known, self._end = n, int(to[-1])
        return self._arrays


@kernel
def _last_bytes(at: int, size: int) -> np.uint64:
    """Return the last `size` modulo 8 of `size` bytes, as a word."""
    left = np.uint64(size & 7)
    return np.uint64(load_any(at + size - (size & 7)) & ((_ONE << (_EIGHT * left)) - _ONE))


@kernel
def _hash(at: int, size: int, key: npt.NDArray[np.uint64]) -> np.uint64:
    """Return the hash of bytes at an address, of 32 bits."""
    h = key[0] + key[1] * np.uint64(size)
    last = _last_bytes(at, size)
    h += key[2] * (last & _LOW) + key[3] * (last >> _HALF)
    place = 4
    for i in range(0, size - 7, 8):
        word = load_any(at + i)
        h += key[place] * (word & _LOW) + key[place + 1] * (word >> _HALF)
        place = place + 2 if place + 2 < _KEYS else 4
    return np.uint64(h >> _HALF)


@kernel
def _same(one: int, other: int, size: int) -> bool:
    """Return whether the bytes at two addresses are the same."""
    for i in range(0, size - 7, 8):
        if load_any(one + i) != load_any(other + i):
            return False
    return bool(_last_bytes(one, size) == _last_bytes(other, size))


@kernel
def find(t: IdArrays, at: int, size: int) -> int:
    """Return the number of the id whose bytes are at an address, -1 if there is none.

    There must be `PADDING` bytes behind them.
    """
    mask = np.int64(len(t.slots) - 1)
    slot = np.int64(_hash(at, size, t.keys)) & mask
    blob = address_of(t.blob)
    while True:
        number = np.int64(t.slots[slot]) - 1
        if number < 0:
            return -1
        if t.ends[number] - t.starts[number] == size and _same(blob + t.starts[number], at, size):
            return int(number)
        slot = (slot + 1) & mask


@kernel
def _enter(t: IdArrays, first: int, end: int) -> None:
    """Put the ids of numbers first .. end - 1 into the slots."""
    mask = np.int64(len(t.slots) - 1)
    blob = address_of(t.blob)
    for number in range(first, end):
        slot = np.int64(_hash(blob + t.starts[number], t.ends[number] - t.starts[number], t.keys)) & mask
        while t.slots[slot] != 0:
            slot = (slot + 1) & mask
        t.slots[slot] = number + 1


@kernel
def probes(t: IdArrays) -> tuple[int, int]:
    """Return how many slots are looked at to find each id once, and at most for one.

    Tests measure with it what ids that were chosen to collide cost.
    """
    mask = np.int64(len(t.slots) - 1)
    blob = address_of(t.blob)
    total = most = 0
    for slot in range(len(t.slots)):
        number = np.int64(t.slots[slot]) - 1
        if number >= 0:
            size = t.ends[number] - t.starts[number]
            away = (slot - np.int64(_hash(blob + t.starts[number], size, t.keys))) & mask
            total += int(away) + 1
            most = max(most, int(away) + 1)
    return total, most
