"""Dictionaries: ids to dense numbers, in the order they were first seen."""

from __future__ import annotations

from collections.abc import Iterator


class Dictionary:
    """Numbers for ids, 0 upwards in order of first sight, so that a replay gives the same numbers.

    >>> items = Dictionary()
    >>> items.number("tea"), items.number("milk"), items.number("tea")
    (0, 1, 0)
    >>> items.id(1), items.get("bread")
    ('milk', None)
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.ids: list[str] = []

    def number(self, name: str) -> int:
        """The id's number, a new one at first sight."""
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = len(self.ids)
            self.ids.append(name)
        return number

    def get(self, name: str) -> int | None:
        """The id's number, None if it was never seen."""
        return self.numbers.get(name)

    def id(self, number: int) -> str:
        """The id of a number."""
        return self.ids[number]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)
