"""Choose what to drop from memory by the CLOCK algorithm, or second chance (Corbato 1968).

A hand goes round. What was used since the hand last passed is spared once; the next thing that was not used
is dropped. Thus one pass over everything (lists are refreshed row by row) does not drop what is used often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def second_chance(
    hand: int, used: npt.NDArray[np.bool_], n_bytes: npt.NDArray[np.int64], to_free: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return what to drop to free `to_free` bytes, what was spared, and where the hand is then.

    Parameters
    ----------
    hand
        The index to begin at.
    used
        Whether each was used since the hand last passed.
    n_bytes
        The bytes that each takes; 0 if it cannot be dropped.

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
    if used[last]:  # a whole round was not enough: everything has been spared once
        return dropped, circle[used[circle]], last
    passed = circle[: int(np.flatnonzero(circle == last)[0])]
    return dropped, passed[used[passed]], last
