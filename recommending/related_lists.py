"""The related lists of all items of a kind as arrays, which the recommender reads.

They are filled from messages, or from item machines of this process. In a message F is decayed to the moment
of its list; here it is as of a fixed landmark (`state.memory.entries.LANDMARK_MINUTE`), so that lists of
different moments can be summed. "A number of the related lists" is a number in their dictionary `items`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from state.items.lists import Lists
from state.items.machine import ItemMachine
from state.memory.arrays import kernel
from state.memory.entries import decay_weight
from state.memory.ids import Dictionary
from state.memory.item_ids import AnyIds
from state.relatedness import SHRINK

UNKNOWN = -1


class ListArrays(NamedTuple):
    """The arrays by number of the related lists, [n] or [n, k]. F and its sums are as of the landmark."""

    length: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    together: npt.NDArray[np.uint32]
    after: npt.NDArray[np.uint32]
    recent: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float32]
    buyers: npt.NDArray[np.int64]
    recent_mass: npt.NDArray[np.float64]
    z: npt.NDArray[np.float32]  # (N - E) / sqrt(E + 20)
    total: npt.NDArray[np.float64]  # [1]: sum of recent_mass


class AnyEntry(Protocol):
    """An entry of a list, from a message."""

    @property
    def item_id(self) -> str:
        """The item of the entry."""

    @property
    def together(self) -> int:
        """N, the customers who have both items."""

    @property
    def after(self) -> int:
        """The customers among N who have it after the list's item."""

    @property
    def recent(self) -> float:
        """F, decayed to the moment of the list."""

    @property
    def expected(self) -> float:
        """E, the expected number of such customers."""


class Entry(NamedTuple):
    """An entry of a list, as `AnyEntry`."""

    item_id: str
    together: int
    after: int
    recent: float
    expected: float


@kernel
def landmark_weight(time_ms: int) -> float:
    """Return the factor that brings F from a moment to the landmark; F is as of whole minutes."""
    return float(decay_weight(time_ms // 60_000))


class RelatedLists:
    """Lists of up to k entries. Whoever changes or reads them must hold `lock`."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.items = Dictionary()
        self.lock = threading.Lock()
        self.arrays = _new(1024, k)

    def make_room(self) -> None:
        """Make room for every item known by now."""
        n = len(self.items)
        if n > len(self.arrays.length):
            columns: list[Any] = list(self.arrays)
            del self.arrays  # so that each old column is freed before the next is made
            for i, old in enumerate(columns):
                if len(old) > 1:
                    columns[i] = np.zeros((n + n // 2, *old.shape[1:]), old.dtype)
                    columns[i][: len(old)] = old
            self.arrays = ListArrays(*columns)

    def put(
        self, item_id: str, entries: Sequence[AnyEntry], *, buyers: int, recent_mass: float, as_of_ms: int
    ) -> None:
        """Take in the list of a message; without entries the item has none any more."""
        with self.lock:
            number = self.put_head(item_id, buyers=buyers, recent_mass=recent_mass, as_of_ms=as_of_ms)
            self.put_entries(number, entries, as_of_ms=as_of_ms)

    def put_head(self, item_id: str, *, buyers: int, recent_mass: float, as_of_ms: int) -> int:
        """Take in what a message says of the item itself; return the item's number. The lock must be held."""
        owner = self.items.number(item_id)
        self.make_room()
        a, weight = self.arrays, landmark_weight(as_of_ms)
        put_head(a, owner, buyers, recent_mass * weight)
        return owner

    def put_entries(self, owner: int, entries: Sequence[AnyEntry], *, as_of_ms: int) -> None:
        """Replace the entries of an item's list. The lock must be held."""
        number = self.items.number
        numbers = [number(e.item_id) for e in entries[: self.k]]
        self.make_room()
        a, n = self.arrays, len(numbers)
        a.length[owner] = n
        if n:
            a.item[owner, :n] = numbers
            a.together[owner, :n] = [e.together for e in entries[:n]]
            a.after[owner, :n] = [e.after for e in entries[:n]]
            a.recent[owner, :n] = [e.recent for e in entries[:n]]
            a.recent[owner, :n] *= landmark_weight(as_of_ms)
            a.expected[owner, :n] = [e.expected for e in entries[:n]]
            expected = a.expected[owner, :n].astype(np.float64)
            a.z[owner, :n] = (a.together[owner, :n] - expected) / np.sqrt(expected + SHRINK)

    def put_lists(
        self, machine: ItemMachine, lists: Lists, which: npt.NDArray[np.int64], numbers: IdMapping
    ) -> None:
        """Take in lists that a machine of this process has just ranked: those at the indices `which`."""
        with self.lock:
            to_related = numbers.up_to_date()
            self.make_room()
            _put_lists(
                self.arrays, lists, which, machine.tables.item_of, to_related,
                machine.tables.popularity.buyers, landmark_weight(machine.watermark_ms),
            )  # fmt: skip


class IdMapping:
    """A mapping from the numbers of one dictionary to those of another, by the ids. Both only grow.

    >>> ours, theirs = Dictionary(), Dictionary()
    >>> [theirs.number(name) for name in ("milk", "tea")], ours.number("tea")
    ([0, 1], 0)
    >>> IdMapping(ours, theirs, adding=False).up_to_date().tolist()
    [1]
    >>> IdMapping(theirs, ours, adding=False).up_to_date().tolist()
    [-1, 0]

    Attributes
    ----------
    numbers : int32[n]
        What `up_to_date` returned last.
    """

    def __init__(self, source: AnyIds, target: AnyIds, *, adding: bool) -> None:
        self._source, self._target, self._adding = source, target, adding
        self.numbers = np.zeros(0, np.int32)
        self._numbers = self.numbers
        self._known = 0
        self._missing: list[int] = []
        self._target_size = 0

    def up_to_date(self) -> npt.NDArray[np.int32]:
        """Return the target's number for each number of the source.

        New ids are added to the target if `adding`; otherwise their number is UNKNOWN (-1).
        """
        n = len(self._source)
        if n > len(self._numbers):
            grown = np.full(max(2 * n, 1024), UNKNOWN, np.int32)
            grown[: self._known] = self._numbers[: self._known]
            self._numbers = grown
        if self._missing and len(self._target) > self._target_size:
            self._look_again()
        if n > self._known:
            names = list(self._source.since(self._known))
            self._target.prefetch(names)
            find = self._target.number if self._adding else self._target.get
            for number, name in enumerate(names, self._known):
                found = find(name)
                if found is None:
                    self._missing.append(number)
                else:
                    self._numbers[number] = found
            self._known = n
        self._target_size = len(self._target)
        self.numbers = self._numbers[:n]
        return self.numbers

    def _look_again(self) -> None:
        left, names = [], self._source.ids(self._missing)
        self._target.prefetch(names)
        for number, name in zip(self._missing, names, strict=True):
            found = self._target.get(name)
            if found is None:
                left.append(number)
            else:
                self._numbers[number] = found
        self._missing = left


def _new(capacity: int, k: int) -> ListArrays:
    shape = capacity, k
    return ListArrays(
        np.zeros(capacity, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.uint32),
        np.zeros(shape, np.uint32), np.zeros(shape), np.zeros(shape, np.float32),
        np.zeros(capacity, np.int64), np.zeros(capacity), np.zeros(shape, np.float32),
        np.zeros(1),
    )  # fmt: skip


@kernel
def put_head(a: ListArrays, owner: int, buyers: int, recent_mass: float) -> None:
    """Write what is known of a list's item itself; `recent_mass` is as of the landmark."""
    a.buyers[owner] = buyers
    a.total[0] += recent_mass - a.recent_mass[owner]
    a.recent_mass[owner] = recent_mass


@kernel
def put_entry(
    a: ListArrays, owner: int, place: int, item: int, together: int, after: int, recent: float,
    expected: float,
) -> None:  # fmt: skip
    """Write an entry of a list; `recent` is as of the landmark."""
    a.item[owner, place] = item
    a.together[owner, place] = together
    a.after[owner, place] = after
    a.recent[owner, place] = recent
    a.expected[owner, place] = expected
    e = np.float64(a.expected[owner, place])
    a.z[owner, place] = (together - e) / np.sqrt(e + SHRINK)


@kernel
def _put_lists(
    a: ListArrays, lists: Lists, which: npt.NDArray[np.int64], item_of: npt.NDArray[np.int32],
    to_related: npt.NDArray[np.int32], buyers: npt.NDArray[np.int64], weight: float,
) -> None:  # fmt: skip
    for i in which:
        item = np.int64(item_of[lists.row[i]])
        owner = np.int64(to_related[item])
        n = min(lists.length[i], a.item.shape[1])
        put_head(a, owner, buyers[item], lists.recent_mass[i] * weight)
        a.length[owner] = n
        for j in range(n):
            put_entry(
                a, owner, j, to_related[lists.item[i, j]], lists.together[i, j], lists.after[i, j],
                lists.recent[i, j] * weight, lists.expected[i, j],
            )  # fmt: skip
