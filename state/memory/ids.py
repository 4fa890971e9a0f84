"""Dictionaries: ids to dense numbers, in the order they were first seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from state.errors import CorruptRecord
from state.storage.stored_ids import StoredIds

AT_ONCE = 1000
ENTRY_BYTES = 400
"""An id in memory both ways, rounded up: two strings of 20 letters, two entries of dictionaries, a number."""


class Dictionary:
    """Numbers for ids, from 0 in the order they were first seen, so that a replay gives the same numbers.

    All ids are in memory, unless the dictionary is opened on a store or has a limit. Then ids that are stored
    are looked up there, many at a time with `prefetch`, and those used lately are kept.

    >>> items = Dictionary()
    >>> items.number("tea"), items.number("milk"), items.number("tea")
    (0, 1, 0)
    >>> items.id(1), items.get("bread")
    ('milk', None)

    Attributes
    ----------
    numbers : dict
        The ids in memory. After `prefetch` it has all of those that have a number.
    limit : int or None
        About how many stored ids to keep in memory.
    written : int
        Numbers from here on are not in the store.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.limit: int | None = None
        self.written = 0
        self._stored: StoredIds | None = None
        self._first = 0  # number of the first of `_names`
        self._names: list[str] = []
        self._older: dict[str, int] = {}  # ids not used since the last trim
        self._looked_up: dict[int, str] = {}

    def keep_in(self, stored: StoredIds) -> None:
        """Look up ids in `stored` that are written there and not in memory."""
        self._stored = stored

    def open(self, stored: StoredIds, count: int, *, whole: bool) -> None:
        """Represent the `count` ids of a store; with `whole` read them all now.

        Raises
        ------
        CorruptRecord
            If the store has another number of ids.
        """
        self.written = count
        if whole:
            self._names = list(stored.all())
            self.numbers = {name: number for number, name in enumerate(self._names)}
            if len(self._names) != count:
                raise CorruptRecord(f"the dictionary has {len(self._names)} ids, {count} were written")
        else:
            self._first = count

    def prefetch(self, names: Iterable[str]) -> None:
        """Bring those of these ids that have numbers into memory, with one request for all."""
        self._trim()
        if self._first == 0 or self._stored is None:
            return
        missing = []
        for name in dict.fromkeys(names):
            if name in self.numbers:
                continue
            number = self._older.get(name)
            if number is None:
                missing.append(name)
            else:
                self.numbers[name] = number
        for name, number in zip(missing, self._stored.numbers_of(missing), strict=True):
            if number is not None:
                self.numbers[name] = number

    def number(self, name: str) -> int:
        """Return the id's number, a new number for a new id."""
        number = self.get(name)
        if number is None:
            number = self.numbers[name] = len(self)
            self._names.append(name)
        return number

    def get(self, name: str) -> int | None:
        """Return the id's number, None if it was never seen."""
        number = self.numbers.get(name)
        if number is None and self._first:
            self.prefetch([name])
            number = self.numbers.get(name)
        return number

    def id(self, number: int) -> str:
        """Return the id of a number."""
        return self._names[number - self._first] if number >= self._first else self.ids([number])[0]

    def ids(self, numbers: Sequence[int]) -> list[str]:
        """Return the id of each number, with one request for all that are not in memory."""
        first, known = self._first, self._looked_up
        missing = list({n for n in numbers if n < first and n not in known})
        if missing and self._stored is not None:
            known.update(zip(missing, self._stored.ids_of(missing), strict=True))
        return [self._names[n - first] if n >= first else known[n] for n in numbers]

    def since(self, number: int) -> Iterator[str]:
        """Yield the ids from a number on, in order."""
        while number < self._first and self._stored is not None:
            some = range(number, min(number + AT_ONCE, self._first))
            yield from self._stored.ids_of(some)
            number = some.stop
        yield from self._names[number - self._first :]

    def _trim(self) -> None:
        """If there are more ids than the limit, drop stored ids that were not used since the last trim."""
        if self.limit is None or self._stored is None:
            return
        if len(self._looked_up) > self.limit:
            self._looked_up = {}
        unwritten = len(self) - self.written
        if len(self.numbers) - unwritten > self.limit:
            self._names = self._names[self.written - self._first :]
            self._first = self.written
            self._older, self.numbers = (
                self.numbers,
                dict(zip(self._names, range(self._first, len(self)), strict=True)),
            )

    def __len__(self) -> int:
        return self._first + len(self._names)

    def __iter__(self) -> Iterator[str]:
        return self.since(0)
