"""Which of a machine's own items have another popularity than was last published.

What was published is kept per row. When records are due, it is compared (some 35 numbers per item) where
counting has noted changes since (`Popularity.changes`). Days that have left the window are no change, because
readers know what day it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from state.items.machine import ItemMachine
from state.memory.arrays import kernel, zeros
from state.popularity.counts import DAY_MS, DAYS, WATERMARK_MS, Popularity

UNKNOWN = -1  # of buyers: it is not known what was published


class PublishedPopularity(NamedTuple):
    """What was published last, per row."""

    buyers: npt.NDArray[np.int64]
    newest: npt.NDArray[np.int64]  # the watermark's day then
    days: npt.NDArray[np.uint32]  # [rows, DAYS], as in the popularity
    first_days: npt.NDArray[np.int64]
    recent_buyers: npt.NDArray[np.float64]
    repeats: npt.NDArray[np.int64]  # [rows, 3]
    available: npt.NDArray[np.uint8]
    changes: npt.NDArray[np.uint32]  # how many changes were compared


class PopularityChanges:
    """What was published of the items of one machine."""

    def __init__(self, machine: ItemMachine) -> None:
        self._machine = machine
        self._said = _new(1024)

    def take(self) -> npt.NDArray[np.int64]:
        """Return the rows of items that changed or of which it is unknown what was published.

        They count as published from now on.
        """
        machine = self._machine
        if machine.row_count > len(self._said.buyers):
            grown = _new(2 * machine.row_count)
            columns: Any = zip(self._said, grown, strict=True)
            for old, new in columns:
                new[: len(old)] = old
            self._said = grown
        found: npt.NDArray[np.int64] = _take(
            self._said, machine.popularity, machine.tables.item_of, machine.row_count
        )
        return found

    def forget(self, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Note that it is unknown what was published of these rows, or of all rows."""
        self._said.buyers[slice(None) if rows is None else rows] = UNKNOWN


def _new(capacity: int) -> PublishedPopularity:
    return PublishedPopularity(
        np.full(capacity, UNKNOWN, np.int64), zeros(capacity, np.int64),
        zeros((capacity, DAYS), np.uint32), zeros(capacity, np.int64), zeros(capacity),
        zeros((capacity, 3), np.int64), zeros(capacity, np.uint8), zeros(capacity, np.uint32),
    )  # fmt: skip


@kernel
def _take(
    said: PublishedPopularity, p: Popularity, item_of: npt.NDArray[np.int32], rows: int
) -> npt.NDArray[np.int64]:
    found = np.empty(rows, np.int64)
    n = 0
    newest = p.totals[WATERMARK_MS] // DAY_MS
    for row in range(rows):
        item = np.int64(item_of[row])
        if said.changes[row] == p.changes[item] and said.buyers[row] != UNKNOWN:
            continue
        said.changes[row] = p.changes[item]
        changed = (
            said.buyers[row] != p.buyers[item]
            or said.first_days[row] != p.first_days[item]
            or said.recent_buyers[row] != p.recent_buyers[item]
            or said.available[row] != p.available[item]
            or said.repeats[row, 0] != p.repeats[item, 0]
            or said.repeats[row, 1] != p.repeats[item, 1]
            or said.repeats[row, 2] != p.repeats[item, 2]
        )
        if not changed:
            was_newest = said.newest[row]
            for day in range(newest - DAYS + 1, newest + 1):
                was = np.uint32(0) if day > was_newest else said.days[row, day % DAYS]
                if p.days[item, day % DAYS] != was:
                    changed = True
                    break
        if changed:
            said.buyers[row], said.newest[row] = p.buyers[item], newest
            said.first_days[row], said.available[row] = p.first_days[item], p.available[item]
            said.recent_buyers[row] = p.recent_buyers[item]
            for r in range(3):
                said.repeats[row, r] = p.repeats[item, r]
            for d in range(DAYS):
                said.days[row, d] = p.days[item, d]
            found[n] = row
            n += 1
    return found[:n].copy()
