"""An item machine's items: numbers in the order of first sight, found by the hashes of their ids.

Messages name an item by the 64-bit hash of its id (XXH3), which all senders and readers compute alike, so
that nobody keeps a dictionary for each source. The source that first meets an item sends its id to the item's
partition, and to those with pairs in that message. Other machines get the id with the item's popularity,
which the owner publishes. Until then the item has a number and counts, but no list shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from state.memory.arrays import kernel, longer, prefetch, zeros
from state.memory.ids import Dictionary
from state.memory.mixing import keys

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_AHEAD = 16  # so many entries of the table are prefetched


def item_hash(item_id: str) -> int:
    """Return the hash of an item's id."""
    # a query may name an invalid id, such as half a surrogate pair
    return xxhash.xxh3_64_intdigest(item_id.encode("utf-8", "surrogatepass"))


def item_hashes(item_ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return the hash of each id."""
    return np.array([item_hash(item_id) for item_id in item_ids], np.uint64)


class ItemIds:
    """Numbers, hashes and ids of items.

    Two ids with one hash cannot be kept apart: they are one item, under the id that came first. No catalogue
    has such ids by chance, but they can be made.

    Parameters
    ----------
    seed
        Where the table has its entries follows from it (`state.memory.mixing`).

    >>> items = ItemIds()
    >>> items.numbers(item_hashes(["tea", "milk"])).tolist()
    [0, 1]
    >>> items.name(1, "milk")
    >>> items.get("milk"), items.get("bread"), items.ids([0, 1]), list(items)
    (1, None, ['', 'milk'], ['', 'milk'])

    Attributes
    ----------
    hashes : uint64[at least n]
        The hash of each number.
    known : bool[at least n]
        Whether the id of each number is known.
    named : list[int]
        The numbers whose ids are known, in the order in which they became known.
    clashes : int
        How often an id was met whose hash is that of another id.
    clash : (str, str)
        The ids of the last time.
    """

    def __init__(self, seed: int = 0) -> None:
        self._keys = keys(seed, 3)
        self.clashes, self.clash = 0, ("", "")
        self.hashes = np.zeros(1024, np.uint64)
        self.known = np.zeros(1024, np.bool_)
        self.named: list[int] = []
        self._names: list[str] = []
        self._table = np.zeros(2 * 4096, np.uint64)  # pairs of a hash and its number, plus one

    def find(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the number of each hash, -1 for an unknown one."""
        found: npt.NDArray[np.int64] = _find(self._table, self._keys, hashes)
        return found

    def numbers(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the number of each hash, a new number for a new hash."""
        n = len(self._names)
        if n + len(hashes) > len(self.hashes):
            self.hashes = longer(self.hashes, 2 * (n + len(hashes)))
            self.known = longer(self.known, len(self.hashes))
        if 4 * len(self.hashes) > len(self._table):
            self._table = zeros(2 << int(2 * len(self.hashes)).bit_length(), np.uint64)
            _add(self._table, self._keys, self.hashes, 0, self.hashes[:n])
        found, now = _add(self._table, self._keys, self.hashes, n, hashes)
        if now > n:
            self._names += [""] * (now - n)
        numbers: npt.NDArray[np.int64] = found
        return numbers

    def name(self, number: int, item_id: str) -> None:
        """Learn the id of a number, unless it has another one already."""
        known = self._names[number]
        if not known:
            self._names[number] = item_id
            self.known[number] = True
            self.named.append(number)
        elif known != item_id:
            self.clashes += 1
            self.clash = known, item_id

    def number(self, item_id: str) -> int:
        """Return the number of an id, a new number for a new id."""
        number = int(self.numbers(np.array([item_hash(item_id)], np.uint64))[0])
        self.name(number, item_id)
        return number

    def get(self, item_id: str) -> int | None:
        """Return the number of an id, None if the id is not known."""
        number = int(self.find(np.array([item_hash(item_id)], np.uint64))[0])
        return number if number >= 0 and self._names[number] == item_id else None

    def prefetch(self, item_ids: Iterable[str]) -> None:
        """Do nothing: all ids are always in memory."""

    def id(self, number: int) -> str:
        """Return the id of a number; empty if it is not known yet."""
        return self._names[number]

    def ids(self, numbers: Sequence[int]) -> list[str]:
        """Return the id of each number; empty where it is not known yet."""
        names = self._names
        return [names[number] for number in numbers]

    def since(self, number: int) -> Iterator[str]:
        """Yield the ids of the numbers from one on; empty where they are not known yet."""
        return iter(self._names[number:])

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return self.since(0)


AnyIds = Dictionary | ItemIds
"""Ids by number, and numbers by id."""


@kernel
def _home(hashed: int, key: npt.NDArray[np.uint64], entries: int) -> int:
    mixed = key[0] + key[1] * (hashed & _LOW) + key[2] * (hashed >> _HALF)
    return int(np.int64((mixed >> _HALF) & np.uint64(entries - 1)))


@kernel
def _place(table: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64], hashed: int) -> int:
    """Return where in the table a hash is, or would be: the first word of its entry."""
    entries = len(table) // 2
    at = _home(hashed, key, entries)
    while table[2 * at + 1] != 0 and table[2 * at] != hashed:
        at = at + 1 if at + 1 < entries else 0
    return 2 * at


@kernel
def _ask_for(
    table: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64], i: int
) -> None:
    """Prefetch an entry's cache line."""
    if i < len(hashes):
        prefetch(np.int64(table.ctypes.data) + 16 * _home(hashes[i], key, len(table) // 2))


@kernel
def _find(
    table: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    found = np.empty(len(hashes), np.int64)
    for i in range(_AHEAD):
        _ask_for(table, key, hashes, i)
    for i in range(len(hashes)):
        _ask_for(table, key, hashes, i + _AHEAD)
        found[i] = np.int64(table[_place(table, key, hashes[i]) + 1]) - 1
    return found


@kernel
def _add(
    table: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64], of: npt.NDArray[np.uint64], n: int,
    hashes: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], int]:  # fmt: skip
    """Return the numbers of hashes, new ones from `n` on, and how many numbers there are then."""
    found = np.empty(len(hashes), np.int64)
    for i in range(_AHEAD):
        _ask_for(table, key, hashes, i)
    for i in range(len(hashes)):
        _ask_for(table, key, hashes, i + _AHEAD)
        at = _place(table, key, hashes[i])
        if table[at + 1] == 0:
            of[n] = hashes[i]
            n += 1
            table[at], table[at + 1] = hashes[i], n
        found[i] = np.int64(table[at + 1]) - 1
    return found, n


@kernel
def probes(table: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Return how many entries are looked at to find each entry once, and at most for one.

    Tests measure with it what ids that were chosen to collide cost.
    """
    total = most = 0
    for entry in range(len(table) // 2):
        if table[2 * entry + 1] != 0:
            away = (entry - _home(table[2 * entry], key, len(table) // 2)) & (len(table) // 2 - 1)
            total += away + 1
            most = max(most, away + 1)
    return total, most
