"""Write popularity messages as JSON, in a kernel, for `streams.messages.schema.PopularityMessage`."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from state.memory.arrays import address_of, kernel, store_any
from state.memory.entries import decay_weight
from state.popularity.counts import (
    DAY_MS,
    DAYS,
    REPEAT_DAYS,
    REPEATERS,
    SPAN_MINUTES,
    WATERMARK_MS,
    Popularity,
)
from state.popularity.view import ItemPopularity
from streams.messages.json_text import (
    OVERRUN,
    eight_digits,
    put_array,
    put_id,
    put_real,
    put_text,
    put_whole,
    text_of,
)
from streams.messages.lists_json import JsonIds
from streams.messages.schema import LATEST_MS, decode_popularity

if TYPE_CHECKING:
    from state.items.machine import ItemMachine

_MOST, _MOST_OF_DAY = 1 << 53, (1 << 32) - 1
_EPOCH = date(1970, 1, 1).toordinal()
RECORD_BYTES = 360 + DAYS * 11 + OVERRUN  # of a record without its id and kind, every number at its longest

_ITEM = text_of('{"item_id":')
_KIND = text_of(',"kind":')
_AS_OF = text_of(',"as_of":')
_VERSION = text_of(',"version":')
_BUYERS = text_of(',"buyers":')
_NEWEST = text_of(',"newest_day":"')
_PURCHASES = text_of('","purchases":[')
_FIRST = text_of('],"first_days":')
_RECENT = text_of(',"recent_buyers":')
_REPEATERS = text_of(',"repeaters":')
_REPEAT_DAYS = text_of(',"repeat_days":')
_MINUTES = text_of(',"repeat_minutes":')
_CUSTOMERS = text_of(',"customers":')
_AVAILABLE = text_of(',"available":true}')
_HIDDEN = text_of(',"available":false}')

# a date's digits YYYYMMDD and its text YYYY-MM-DD as words, the first character in the lowest byte
_YEAR, _MONTH = np.uint64(0xFFFFFFFF), np.uint64(0xFFFF)
_BITS_OF_YEAR, _BITS_BEFORE_MONTH, _BITS_BEFORE_DAY = np.uint64(32), np.uint64(40), np.uint64(48)
_DASHES = np.uint64(ord("-") << 32 | ord("-") << 56)
_COMMA = np.uint64(ord(","))


def popularity_records(
    machine: ItemMachine, rows: npt.NDArray[np.int64], ids: JsonIds, kind: npt.NDArray[np.uint8]
) -> list[tuple[bytes, bytes | None]]:
    """Return the key and message of the items of some rows; the message is None for an item that nobody has.

    `kind` is a JSON string, `ids` are those of the machine's items.
    """
    if len(rows) == 0:
        return []
    ids.update()
    items = machine.tables.item_of[rows].astype(np.int64)
    out = np.empty(len(rows) * (RECORD_BYTES + ids.longest + len(kind)), np.uint8)
    ends = np.empty(len(rows), np.int64)
    write_popularity(
        out, ends, items, machine.popularity, machine.position, machine.customers, kind, ids.blob,
        ids.starts, ids.ends,
    )  # fmt: skip
    raw = out[: ends[-1]].tobytes()
    names = machine.items.ids(items.tolist())
    records: list[tuple[bytes, bytes | None]] = []
    start = 0
    for name, end in zip(names, ends.tolist(), strict=True):
        records.append((name.encode(), raw[start:end] if end > start else None))
        start = end
    return records


def popularity_of(raw: bytes) -> ItemPopularity:
    """Return the popularity in a message.

    Raises
    ------
    msgspec.MsgspecError
    """
    m = decode_popularity(raw)
    whole = m.buyers, m.version, m.customers, m.repeaters, m.repeat_days, m.repeat_minutes, m.as_of
    if not (
        min(whole) >= 0 and max(whole) <= _MOST and abs(m.first_days) <= _MOST and m.as_of <= LATEST_MS
        and min(m.purchases, default=0) >= 0 and max(m.purchases, default=0) <= _MOST_OF_DAY
        and 0 <= m.recent_buyers <= _MOST
    ):  # fmt: skip
        raise msgspec.ValidationError("a number is out of range")
    return ItemPopularity(
        m.item_id, m.as_of, m.version, m.buyers, m.newest_day.toordinal() - _EPOCH, m.purchases,
        m.first_days, m.recent_buyers, (m.repeaters, m.repeat_days, m.repeat_minutes), m.customers,
    )  # fmt: skip


@kernel
def _put_date(at: int, day: int) -> int:
    """Write a day since 1970 as YYYY-MM-DD (the proleptic Gregorian calendar, years 0 to 9999)."""
    era_day = day + 719_468  # since 0000-03-01, so that a leap day ends a year
    era = era_day // 146_097
    of_era = era_day - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    of_month = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (month <= 2)
    word = eight_digits(10_000 * year + 100 * month + of_month)
    parts = (word & _YEAR) | (((word >> _BITS_OF_YEAR) & _MONTH) << _BITS_BEFORE_MONTH)
    store_any(at, parts | _DASHES)
    store_any(at + 8, word >> _BITS_BEFORE_DAY)
    return at + 10


@kernel
def write_popularity(
    out: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], items: npt.NDArray[np.int64], p: Popularity,
    version: int, customers: int, kind: npt.NDArray[np.uint8], blob: npt.NDArray[np.uint8],
    id_starts: npt.NDArray[np.int64], id_ends: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the messages of items, nothing for a tombstone; `ends` gets where each ends."""
    newest = p.totals[WATERMARK_MS] // DAY_MS
    weight = decay_weight(p.totals[WATERMARK_MS] // 60_000)
    at = begin = address_of(out)
    for i in range(len(items)):
        item = items[i]
        if p.buyers[item] <= 0:
            ends[i] = at - begin
            continue
        last = newest
        while last > newest - DAYS and p.days[item, last % DAYS] == 0:
            last -= 1
        first = last
        for day in range(newest - DAYS + 1, last + 1):
            if p.days[item, day % DAYS] > 0:
                first = day
                break
        at = put_id(put_text(at, _ITEM), blob, id_starts, id_ends, item)
        at = put_array(put_text(at, _KIND), kind)
        at = put_whole(put_text(at, _AS_OF), p.totals[WATERMARK_MS])
        at = put_whole(put_text(at, _VERSION), version)
        at = put_whole(put_text(at, _BUYERS), max(p.buyers[item], 0))
        sold = last > newest - DAYS
        at = _put_date(put_text(at, _NEWEST), last if sold else newest)
        at = put_text(at, _PURCHASES)
        if sold:
            for day in range(last, first - 1, -1):
                if day < last:
                    store_any(at, _COMMA)
                    at += 1
                at = put_whole(at, int(p.days[item, day % DAYS]))
        at = put_whole(put_text(at, _FIRST), p.first_days[item])
        at = put_real(put_text(at, _RECENT), p.recent_buyers[item] / weight)
        at = put_whole(put_text(at, _REPEATERS), p.repeats[item, REPEATERS])
        at = put_whole(put_text(at, _REPEAT_DAYS), p.repeats[item, REPEAT_DAYS])
        at = put_whole(put_text(at, _MINUTES), p.repeats[item, SPAN_MINUTES])
        at = put_whole(put_text(at, _CUSTOMERS), customers)
        at = put_text(at, _AVAILABLE if p.available[item] else _HIDDEN)
        ends[i] = at - begin
