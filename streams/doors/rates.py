"""How many requests of each client are answered: the generic cell rate algorithm (ITU-T I.371, virtual
scheduling): a client is only a time, at which all that it has asked for is paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_CLIENTS = 10_000
BURST_S = 2.0
SWEEP_S = 1.0
OTHERS = "others"
"""Clients that come when as many as can be remembered are there share what one has."""


class Rates:
    """The rates of clients.

    Parameters
    ----------
    per_s
        What a client may ask for a second, and twice as much at once; 0: as much as it wants.
    clock
        Seconds.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._paid_at: dict[str, float] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._paid_at)

    def take(self, client: str, cost: int) -> float:
        """Return 0 if a request is within the rate, or else the seconds after which one will be."""
        if not self._per_s:
            return 0.0
        now = self._clock()
        paid_at = self._paid_at.get(client)
        if paid_at is None and len(self._paid_at) >= MOST_CLIENTS:
            client = self._make_room(client, now)
            paid_at = self._paid_at.get(client)
        paid_at = now if paid_at is None or paid_at < now else paid_at
        if (wait_s := paid_at - now - BURST_S) > 0:
            return wait_s
        self._paid_at[client] = paid_at + cost / self._per_s
        return 0.0

    def _make_room(self, client: str, now: float) -> str:
        """Forget those who have paid, which are as good as new; return the name that a new client gets."""
        if now >= self._swept_at + SWEEP_S:
            self._swept_at = now
            self._paid_at = {name: at for name, at in self._paid_at.items() if at > now}
        return client if len(self._paid_at) < MOST_CLIENTS else OTHERS
