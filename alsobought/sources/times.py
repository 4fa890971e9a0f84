"""Convert a cell of a file to event time; `time_columns` converts whole columns of the common forms."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from alsobought.sources.values import BadValue, is_empty
from streams.messages.checks import EARLIEST_MS, Unusable, check_time, shown

_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
_ZONE = re.compile(r" ?(UTC|GMT|Z)$")
_COMPACT_DATE = re.compile(r"(19|20)[0-9]{6}")

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

SECONDS_BELOW = 100_000_000_000
"""A number below this is seconds (up to the year 5138), from here on milliseconds (since March 1973)."""
DAYS_BELOW = 110_000
"""A number below this counts days, as spreadsheets do, or weeks; theirs are from `SPREADSHEET_FROM`."""
SPREADSHEET_FROM = 20_000
LATEST_MS = 10_000_000_000_000
"""November 2286; numbers from here on are microseconds, or no times."""


def timestamp_value(cell: object, published_ms: int) -> int:
    """Return milliseconds since 1970 (UTC), from 1990 to a day after `published_ms`.

    Numbers below `SECONDS_BELOW` are seconds, others milliseconds. Text is a date and time as in RFC 3339,
    "T" or a space between the two; without an offset, or with UTC behind it, it is UTC.
    """
    time_ms = _time_ms(cell)
    try:
        check_time(time_ms, published_ms)
    except Unusable:
        when = f"timestamp {shown(cell)} is {_written(time_ms)}"
        if time_ms >= EARLIEST_MS:
            raise BadValue(f"{when}: more than a day from now") from None
        raise BadValue(f"{when}: before 1990{_hint(cell)}") from None
    return time_ms


def _time_ms(cell: object) -> int:
    if type(cell) is bytes:
        cell = cell.decode("utf-8", "replace")
    if type(cell) is Decimal:
        cell = float(cell)
    if type(cell) is str:
        if cell.isascii() and cell.isdecimal():
            if len(cell) == 8 and _COMPACT_DATE.fullmatch(cell):
                raise BadValue(f"timestamp {cell!r} looks like a date; write it as {_dashed(cell)}")
            return _epoch(int(cell) if len(cell) < 20 else math.inf, cell)
        if _DIGITS.fullmatch(cell):
            return _epoch(float(cell), cell)
        try:
            when = datetime.fromisoformat(_ZONE.sub("+00:00", cell))
        except ValueError:
            pass
        else:
            return (when - (_EPOCH if when.tzinfo is None else _EPOCH_UTC)) // _MS
    elif type(cell) is int or type(cell) is float:
        return _epoch(cell, cell)
    elif isinstance(cell, date):
        cell = cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)
        return (cell - (_EPOCH if cell.tzinfo is None else _EPOCH_UTC)) // _MS
    if is_empty(cell):
        raise BadValue("timestamp is missing")
    raise BadValue(
        f"timestamp {shown(cell)} is neither seconds or milliseconds since 1970 nor like 2026-01-31T12:00:00Z"
    )


def _epoch(number: float, cell: object) -> int:
    if not abs(number) < LATEST_MS:  # also NaN
        raise BadValue(
            f"timestamp {str(cell)!r} is not between 1990 and now, in seconds or milliseconds since 1970"
        )
    return round(number * 1000) if number < SECONDS_BELOW else int(number)


def _written(time_ms: int) -> str:
    return (_EPOCH + time_ms * _MS).isoformat(timespec="seconds")


def _hint(cell: object) -> str:
    """Return what a number that is no time may be."""
    try:
        number = float(cell)  # type: ignore[arg-type]  # what is no number has no hint
    except (TypeError, ValueError):
        return ""
    if not 0 <= number < DAYS_BELOW:
        return " as seconds or milliseconds since 1970"
    if number < SPREADSHEET_FROM:
        return " as seconds since 1970. Does it count days, or weeks? Write dates, such as 2026-01-31"
    day = datetime(1899, 12, 30) + timedelta(days=number)
    return (
        f" as seconds since 1970. If it is a spreadsheet's day number, write it as"
        f" {day.isoformat(timespec='seconds')}Z: format the column as date and time"
    )


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"
