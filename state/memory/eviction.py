"""Which of many things in memory to drop: the CLOCK algorithm, or second chance (Corbato 1968).

A hand goes round. What was used since it came by is spared once; the next thing that was not is dropped. So
one pass over everything (lists are refreshed row by row) does not push out what is used all the time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def second_chance(
    hand: int, used: npt.NDArray[np.bool_], n_bytes: npt.NDArray[np.int64], to_free: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """What to drop to free `to_free` bytes, what was spared, and where the hand stands then.

    Parameters
    ----------
    hand
        Index to begin at.
    used
        Whether each was used since the hand came by.
    n_bytes
        What each takes; 0 if it cannot be dropped.

    Examples
    --------
    >>> used, n_bytes = np.array([True, False, True, False, False]), np.array([1, 1, 1, 0, 1])
    >>> [found.tolist() for found in second_chance(0, used, n_bytes, 2)[:2]]
    [[1, 4], [0, 2]]
    >>> second_chance(3, used, n_bytes, 3)[0].tolist()
    [4, 1, 0]
    """
    circle = np.roll(np.arange(len(used)), -hand)
    circle = circle[n_bytes[circle] > 0]
    order = np.concatenate([circle[~used[circle]], circle[used[circle]]])
    stop = int(np.searchsorted(np.cumsum(n_bytes[order]), to_free)) + 1
    dropped = order[:stop]
    if len(dropped) == 0:
        return dropped, dropped, hand
    last = int(dropped[-1])
    if used[last]:  # a whole round was not enough: all had their chance
        return dropped, circle[used[circle]], last
    passed = circle[: int(np.flatnonzero(circle == last)[0])]
    return dropped, passed[used[passed]], last
