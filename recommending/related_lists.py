"""The related lists of all items of a kind as arrays, which the recommender reads.

They are filled from messages, or from item machines of this process. F is decayed to the moment of its list.
`to_landmark` brings it to a fixed landmark (`state.memory.entries.LANDMARK_MINUTE`), so that lists of
different moments can be summed. "A number of the related lists" is a number in their dictionary `items`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from state.items.lists import Lists
from state.items.machine import ItemMachine
from state.memory.arrays import kernel, zeros
from state.memory.entries import decay_weight
from state.memory.ids import Dictionary
from state.memory.item_ids import AnyIds

UNKNOWN = -1


class ListArrays(NamedTuple):
    """The arrays by number of the related lists, [n] or [n, k]. Sums of F are as of the landmark."""

    length: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    together: npt.NDArray[np.uint32]
    after: npt.NDArray[np.uint32]
    recent: npt.NDArray[np.float32]  # F as of the list's moment
    expected: npt.NDArray[np.float32]
    buyers: npt.NDArray[np.int64]
    recent_mass: npt.NDArray[np.float64]
    to_landmark: npt.NDArray[np.float64]  # what brings F of a list's entries to the landmark
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
            lists = (
                int(np.flatnonzero(self.arrays.length).max(initial=-1)) + 1
            )  # rows behind take no memory yet
            del self.arrays  # so that each old column is freed before the next is made
            for i, old in enumerate(columns):
                if len(old) > 1:
                    kept = old if old.ndim == 1 else old[:lists]
                    columns[i] = zeros((n + n // 2, *old.shape[1:]), old.dtype)
                    columns[i][: len(kept)] = kept
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
            a.to_landmark[owner] = landmark_weight(as_of_ms)
            a.expected[owner, :n] = [e.expected for e in entries[:n]]

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
        self._missing = np.zeros(0, np.int32)
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
        if len(self._missing) and len(self._target) > self._target_size:
            names = self._source.ids(self._missing.tolist())
            self._missing = self._enter(self._missing, names, self._target.get)
        if n > self._known:
            fresh, names = np.arange(self._known, n, dtype=np.int32), list(self._source.since(self._known))
            find = self._target.number if self._adding else self._target.get
            self._missing = np.append(self._missing, self._enter(fresh, names, find))
            self._known = n
        self._target_size = len(self._target)
        self.numbers = self._numbers[:n]
        return self.numbers

    def _enter(
        self, numbers: npt.NDArray[np.int32], names: list[str], find: Callable[[str], int | None]
    ) -> npt.NDArray[np.int32]:
        """Enter what `find` finds for some numbers of the source; return those for which it finds nothing."""
        self._target.prefetch(names)
        found = np.array([UNKNOWN if (one := find(name)) is None else one for name in names], np.int32)
        self._numbers[numbers] = found
        return numbers[found == UNKNOWN]


def _new(capacity: int, k: int) -> ListArrays:
    shape = capacity, k
    return ListArrays(
        zeros(capacity, np.int32), zeros(shape, np.int32), zeros(shape, np.uint32),
        zeros(shape, np.uint32), zeros(shape, np.float32), zeros(shape, np.float32),
        zeros(capacity, np.int64), zeros(capacity), zeros(capacity), zeros(1),
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
    """Write an entry of a list; `recent` is as of the list's moment."""
    a.item[owner, place] = item
    a.together[owner, place] = together
    a.after[owner, place] = after
    a.recent[owner, place] = recent
    a.expected[owner, place] = expected


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
        a.length[owner], a.to_landmark[owner] = n, weight
        for j in range(n):
            put_entry(
                a, owner, j, to_related[lists.item[i, j]], lists.together[i, j], lists.after[i, j],
                lists.recent[i, j], lists.expected[i, j],
            )  # fmt: skip
