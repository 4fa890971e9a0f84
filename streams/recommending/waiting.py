"""Which customers wait for recommendations: in the order of their
events, each at most about once a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

AGAIN_S = 1.0  # to the same customer
MOST_UNSERVED = 1_000


class Waiting:
    """The customers of one partition who wait for recommendations.

    Parameters
    ----------
    clock
        Returns the time in seconds.

    Attributes
    ----------
    urgent : dict[str, None]
        Customers whose published recommendations must not stay: they go before all others.
    erased : dict[bytes, None]
        Keys of messages to withdraw.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, tuple[float, int]] = {}  # when they are due; an offset up to their first event
        self._served: dict[str, float] = {}  # when those of the last second were served
        self._unserved: dict[str, None] = {}  # those for whom there was nothing
        self._tried_at = 0
        self.urgent: dict[str, None] = {}
        self.erased: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, customers: Iterable[str], offset: int) -> None:
        """Let customers wait who have events from an offset on."""
        now = self._clock()
        for customer_id in customers:
            if customer_id not in self._due:
                again = self._served.get(customer_id, float("-inf")) + AGAIN_S
                self._due[customer_id] = max(now, again), offset

    def add_before(self, customers: Iterable[str], offset: int) -> None:
        """Let customers wait whose events are before those of all who wait already."""
        first = dict.fromkeys(customers, (0.0, offset))
        self._due = first | {c: when for c, when in self._due.items() if c not in first}

    def due(self, most: int) -> list[str]:
        """Return some of the urgent customers; if there are none, those who have waited long enough, in their
        order.
        """
        if self.urgent:
            return list(self.urgent)[:most]
        now, found = self._clock(), list[str]()
        for customer_id, (due, _) in self._due.items():
            if due <= now:
                found.append(customer_id)
                if len(found) == most:
                    break
        return found

    def next_s(self, longest: float) -> float:
        """Return the seconds until somebody is due."""
        if not self._due:
            return longest
        return max(0.001, min(due for due, _ in self._due.values()) - self._clock())

    def serve(self, customers: Iterable[str], erased: Iterable[bytes], unserved: Iterable[str]) -> None:
        """Note who is served now, which messages are withdrawn, and for whom there was nothing."""
        now = self._clock()
        for customer_id in customers:
            self._due.pop(customer_id, None)
            self.urgent.pop(customer_id, None)
            self._served[customer_id] = now
        for key in erased:
            self.erased.pop(key, None)
        for customer_id in unserved:
            if len(self._unserved) < MOST_UNSERVED:
                self._unserved[customer_id] = None
        self._served = {c: at for c, at in self._served.items() if now - at < AGAIN_S}

    def served_until(self, position: int, before: int) -> int:
        """Return the offset before which recommendations follow from all events; at most the position.

        `before` is its last value, which stays while there are messages to withdraw.
        """
        if self.erased:
            return before
        first = next(iter(self._due.values()), None)
        return max(before, position if first is None else first[1])

    def try_again(self, purchases: int, offset: int) -> bool:
        """Let those wait again for whom there was nothing, if more was bought since; return whether there are
        any.

        `offset` is one up to which everybody was served, including them.
        """
        if not self._unserved or purchases <= self._tried_at:
            return False
        self._tried_at = purchases
        self.add(self._unserved, offset)
        self._unserved = {}
        return True
