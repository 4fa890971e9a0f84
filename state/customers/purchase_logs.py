"""When a customer bought items again, so that the undo of purchases can take them from their days.

A log lies in a block of its own that grows with use. It has a record of one word for each item and day of
repeat purchases:

    item (32 bits) | day since 1970, plus one (16 bits) | purchases (16 bits)

The purchase that brought an item into the history is not in the log, because its day is that of the history's
`first_ms`; a customer who bought nothing twice has no log. Popularity counts the newest `DAYS` days by day. A
day that is `DAYS` days before the customer's own newest one is outside of every present and future window,
since windows only move on. The purchases of such days are added to the item's record of old ones, day `OLD`.
A day with more purchases than a record can count has several records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel
from state.memory.blocks import allocate, release, size_classes, wipe

if TYPE_CHECKING:
    from state.customers.histories import Histories

DAY_MS = 86_400_000
DAYS = 28  # of event time for which purchases are counted by day
OLD = 0
LOGS = size_classes(4, 1 << 24)  # records of a block
MOST_PURCHASES = 0xFFFF  # of a record
_LAST_DAY = 0xFFFF

_ITEM, _DAY = np.uint64(32), np.uint64(16)
_COUNT = np.uint64(MOST_PURCHASES)


@kernel
def item_of(record: int) -> int:
    """Return the item of a record."""
    return np.int64(np.uint64(record) >> _ITEM)


@kernel
def day_of(record: int) -> int:
    """Return the days since 1970 of a record; -1 if they are of days that are outside of every window."""
    return np.int64((np.uint64(record) >> _DAY) & _COUNT) - 1


@kernel
def purchases_of(record: int) -> int:
    """Return the purchases of a record."""
    return np.int64(np.uint64(record) & _COUNT)


@kernel
def _put(h: Histories, customer: int, item: int, day: int, purchases: int) -> bool:
    """Count purchases in a record that has room for them; return False if there is none."""
    start, n = h.log_start[customer], np.int64(h.log_length[customer])
    records = h.logs[start : start + n]
    key = (np.uint64(item) << _DAY) | np.uint64(day)
    for done in range(0, n, 32):  # 32 at a time without a branch, so that the compiler vectorises
        found = 0
        for i in range(done, min(done + 32, n)):
            found |= records[i] >> _DAY == key
        if found:
            for i in range(done, min(done + 32, n)):
                if records[i] >> _DAY == key and purchases_of(records[i]) + purchases <= MOST_PURCHASES:
                    records[i] += np.uint64(purchases)
                    return True
    return False


@kernel
def _append(h: Histories, customer: int, item: int, day: int, purchases: int) -> None:
    at = h.log_start[customer] + np.int64(h.log_length[customer])
    h.logs[at] = (np.uint64(item) << _ITEM) | (np.uint64(day) << _DAY) | np.uint64(purchases)
    h.log_length[customer] += np.uint32(1)


@kernel
def _fold(h: Histories, customer: int, oldest: int) -> None:
    """Move the purchases of days before `oldest` to the items' old ones."""
    start, n = h.log_start[customer], np.int64(h.log_length[customer])
    records = h.logs[start : start + n].copy()
    h.log_length[customer] = 0
    for record in records:
        if day_of(record) + 1 == OLD or day_of(record) + 1 >= oldest:
            h.logs[start + np.int64(h.log_length[customer])] = record
            h.log_length[customer] += np.uint32(1)
    for record in records:
        if day_of(record) + 1 != OLD and day_of(record) + 1 < oldest:
            item, purchases = item_of(record), purchases_of(record)
            if not _put(h, customer, item, np.int64(OLD), purchases):
                _append(h, customer, item, np.int64(OLD), purchases)


@kernel
def _make_room(h: Histories, customer: int, day: int) -> None:
    """Make room for one more record: fold old days, and if that does not help enough, let the block grow."""
    start, n = h.log_start[customer], np.int64(h.log_length[customer])
    newest = day
    for i in range(start, start + n):
        newest = max(newest, day_of(h.logs[i]) + 1)
    _fold(h, customer, newest - DAYS + 1)
    n = np.int64(h.log_length[customer])
    size = np.int64(h.log_size[customer])
    if 4 * n < 3 * LOGS[size]:
        wipe(h.logs, start + n, LOGS[size] - n)
        return
    grown = allocate(h.logs, h.log_free, size + 1, LOGS[size + 1])
    h.logs[grown : grown + n] = h.logs[start : start + n]
    wipe(h.logs, start, LOGS[size])
    release(h.logs, h.log_free, size, start)
    h.log_start[customer] = grown
    h.log_size[customer] = size + 1


@kernel
def note(h: Histories, customer: int, item: int, time_ms: int) -> None:
    """Note a purchase of an item that the customer already has."""
    day = min(max(time_ms // DAY_MS + 1, OLD + 1), _LAST_DAY)
    if not _put(h, customer, item, day, np.int64(1)):
        if np.int64(h.log_length[customer]) == LOGS[h.log_size[customer]]:
            _make_room(h, customer, day)
        _append(h, customer, item, day, np.int64(1))


@kernel
def take(h: Histories, customer: int, item: int, out: npt.NDArray[np.uint64], at: int) -> int:
    """Move the records of an item (-1: of all) to `out`, from `at` on; return where they end there."""
    start, n = h.log_start[customer], np.int64(h.log_length[customer])
    kept = start
    for i in range(start, start + n):
        record = h.logs[i]
        if item < 0 or item_of(record) == item:
            out[at] = record
            at += 1
        else:
            h.logs[kept] = record
            kept += 1
    wipe(h.logs, kept, start + n - kept)
    h.log_length[customer] = kept - start
    return at


@kernel
def read_log(h: Histories, customer: int) -> npt.NDArray[np.uint64]:
    """Return a copy of a customer's records."""
    start = h.log_start[customer]
    return h.logs[start : start + np.int64(h.log_length[customer])].copy()


@kernel
def write_log(h: Histories, customer: int, records: npt.NDArray[np.uint64]) -> None:
    """Fill an empty log with what `read_log` returned."""
    size = 0
    while LOGS[size] < len(records):
        size += 1
    if size > 0:
        start = allocate(h.logs, h.log_free, size, LOGS[size])
        h.logs[start : start + len(records)] = records
        h.log_start[customer] = start
        h.log_size[customer] = size
    h.log_length[customer] = len(records)


@kernel
def forget_log(h: Histories, customer: int) -> None:
    """Erase a log, and overwrite its memory."""
    if h.log_size[customer] > 0:
        wipe(h.logs, h.log_start[customer], LOGS[h.log_size[customer]])
        release(h.logs, h.log_free, np.int64(h.log_size[customer]), h.log_start[customer])
    h.log_size[customer] = 0
    h.log_length[customer] = 0
