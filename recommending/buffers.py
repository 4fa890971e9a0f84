"""The buffers in which a recommendation is computed: sums of candidates, and places of items in them.

`recommending.gathering` says what the sums are. All of it is reused without being cleared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel, zeros

MOST = 1 << 14  # distinct candidates of a history: 120 lists of 100
QUERY_ITEMS = 120
PLACE_BITS = 24  # no sums and no history have more items

COLUMNS = ("n", "e", "after", "z_n", "z_f", "z_f_last", "cosine", "raw", "flawed", "corrected")
N, E, AFTER, Z_N, Z_F, Z_F_LAST, COSINE, RAW, FLAWED, CORRECTED = range(len(COLUMNS))
CANDIDATES, LISTS = range(2)  # what `Sums.counts` counts


class Sums(NamedTuple):
    """The sums of up to MOST candidates, in the order in which they were found, and what they are made of.

    Attributes
    ----------
    item
        The candidates' numbers of the related lists.
    table
        [MOST, len(COLUMNS)]. A candidate's sums lie side by side, so that adding touches two cache lines.
    query, end
        The history's items, newest first, and where the entries of the list of each end.
    place, part
        Of each entry that was summed up, list by list: its candidate, and q (z_n + z_f).
    counts
        [2], by CANDIDATES and LISTS: how much of the other arrays is in use.
    """

    item: npt.NDArray[np.int32]
    table: npt.NDArray[np.float64]
    query: npt.NDArray[np.int32]
    end: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]
    part: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return the sums of that name, one of COLUMNS."""
        return self.table[:, COLUMNS.index(name)]


class Scratch(NamedTuple):
    """A place for each item of the related lists; it is reused without being cleared.

    The word of an item that has a place is the epoch, shifted by PLACE_BITS, plus the place: one access of
    memory tells whether it has one, and which.
    """

    word: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]  # [1], as it stands in words


def new_sums(k: int) -> Sums:
    """Return buffers for the sums over QUERY_ITEMS lists of at most k entries."""
    entries = QUERY_ITEMS * k
    return Sums(
        np.empty(MOST, np.int32), np.empty((MOST, len(COLUMNS))),
        np.empty(QUERY_ITEMS, np.int32), np.empty(QUERY_ITEMS, np.int64),
        np.empty(entries, np.int32), np.empty(entries), np.zeros(2, np.int64),
    )  # fmt: skip


def new_scratch(capacity: int) -> Scratch:
    """Return buffers for items 0 .. capacity - 1."""
    return Scratch(zeros(capacity, np.int64), zeros(1, np.int64))


class Buffers:
    """Where a recommendation is computed: what is here when one begins does not matter.

    All recommenders of the same lists can use the same buffers. Whoever uses them holds the lists' lock until
    nothing is needed of them any more.

    Attributes
    ----------
    sums
        The sums of the candidates found last.
    in_sums, owned
        The places in `sums` of the items that are summed up, and those in the history of the items owned.
    """

    def __init__(self, k: int) -> None:
        self.sums = new_sums(k)
        self.in_sums, self.owned = new_scratch(1024), new_scratch(1024)

    def make_room(self, items: int) -> None:
        """Make room for so many items of the related lists."""
        if len(self.owned.word) < items:
            self.in_sums, self.owned = new_scratch(2 * items), new_scratch(2 * items)


@kernel
def begin(scratch: Scratch) -> int:
    """Take all places away; return the word of place 0. An item has a place if its word, less this, is
    at least 0.
    """
    scratch.epoch[0] += np.int64(1) << np.int64(PLACE_BITS)
    return scratch.epoch[0]
