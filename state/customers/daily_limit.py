"""How many purchases of one customer count on a day of event time, so that robots do not move lists.

A customer has one counter: the day of the newest purchase that was counted or refused, and how many were
counted on it. A purchase of the counter's day counts while there is room; one of another day, later or
earlier, begins a new count, as does the first one of who has nothing. So the counter is a function of the
customer's events in their order, takes four bytes, and costs nothing where no limit is set. Whoever sends
events of two days in turn is not limited; times are the shop's, and not the robot's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from state.memory.arrays import kernel

if TYPE_CHECKING:
    from state.customers.histories import Histories

DAY_MS = 86_400_000
MOST_A_DAY = 0xFFFF  # that the counter can count
_LAST_DAY = 0xFFFF
_COUNT_BITS = 16


@kernel
def counts(h: Histories, customer: int, time_ms: int, most: int) -> bool:
    """Return whether a purchase is among the `most` of its customer's day that count, and count it if so."""
    day = min(max(time_ms // DAY_MS, 0), _LAST_DAY)
    before = np.int64(h.today[customer])
    counted = before & MOST_A_DAY if before >> _COUNT_BITS == day else 0
    if counted >= most:
        return False
    h.today[customer] = np.uint32((day << _COUNT_BITS) | (counted + 1))
    return True
