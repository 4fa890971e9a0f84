"""The people who share a customer's account, as far as events name them."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 255


class Profiles:
    """Per customer in memory the ids of profiles, numbered from 1 in the order they were first seen.

    They are the customer's own, so that they are stored, and forgotten, with the customer. Those after the
    first 255 are not distinguished from events without a profile.

    >>> profiles = Profiles()
    >>> [profiles.number(0, name) for name in ("kids", None, "grown-ups", "kids")], profiles.number(1, "kids")
    ([1, 0, 2, 1], 1)
    >>> profiles.of(0)
    ['kids', 'grown-ups']
    """

    def __init__(self) -> None:
        self._of: dict[int, list[str]] = {}

    def number(self, slot: int, profile_id: str | None) -> int:
        """The number of a customer's profile, a new one at first sight."""
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
        """A customer's profiles."""
        return self._of.get(slot, [])

    def put(self, slot: int, names: list[str]) -> None:
        """What `of` gave."""
        if names:
            self._of[slot] = names

    def drop(self, slot: int) -> None:
        """The customer leaves memory."""
        self._of.pop(slot, None)

    def blot_out(self, slot: int, used: Iterable[int]) -> None:
        """Forget the names of all but some profiles, whose numbers stay."""
        kept = set(used)
        names = self.of(slot)
        names[:] = [name if number in kept else "" for number, name in enumerate(names, 1)]
