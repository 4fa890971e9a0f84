"""The people who share a customer's account, as far as events name them."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 255


class Profiles:
    """The ids of the profiles of each customer in memory, numbered from 1 in the order they were first seen.

    They belong to the customer, and are stored and forgotten with the customer. Profiles after the first 255
    are not distinguished from events without a profile.

    >>> profiles = Profiles()
    >>> [profiles.number(0, name) for name in ("kids", None, "grown-ups", "kids")], profiles.number(1, "kids")
    ([1, 0, 2, 1], 1)
    >>> profiles.of(0)
    ['kids', 'grown-ups']
    """

    def __init__(self) -> None:
        self._of: dict[int, list[str]] = {}

    def number(self, slot: int, profile_id: str | None) -> int:
        """Return the number of a customer's profile, a new number for a new profile."""
        if not profile_id:
            return 0
        names = self._of.setdefault(slot, [])
        if profile_id in names:
            return names.index(profile_id) + 1
        if len(names) == MOST:
            return 0
        names.append(profile_id)
        return len(names)

    def of(self, slot: int) -> list[str]:
        """Return a customer's profiles."""
        return self._of.get(slot, [])

    def put(self, slot: int, names: list[str]) -> None:
        """Restore what `of` returned."""
        if names:
            self._of[slot] = names

    def drop(self, slot: int) -> None:
        """Drop the profiles of a customer who leaves memory."""
        self._of.pop(slot, None)

    def blot_out(self, slot: int, used: Iterable[int]) -> None:
        """Forget the names of all profiles but those in `used`; the numbers stay."""
        kept = set(used)
        names = self.of(slot)
        names[:] = [name if number in kept else "" for number, name in enumerate(names, 1)]
