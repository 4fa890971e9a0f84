"""From a cell of a file to the value of a field; a cell is text (CSV) or typed (JSON, Parquet).

Each function raises BadValue, whose message names the field, shows the cell and says what would do.
None and "" are an empty cell.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from streams.messages import MAX_ID_BYTES, MAX_QUANTITY

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
_COMPACT_DATE = re.compile(r"(19|20)[0-9]{6}")

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

SECONDS_BELOW = 100_000_000_000
"""A number below this is seconds (up to the year 5138), from here on milliseconds (since March 1973)."""
_LATEST_MS = 10_000_000_000_000  # November 2286; microseconds are far beyond


class BadValue(ValueError):
    """A cell that is no value of its field."""


def id_value(field: str, cell: object) -> str:
    """Return an id: 1 to 256 bytes of UTF-8, no control characters; whole numbers are taken as written."""
    if type(cell) is int:
        cell = str(cell)
    if type(cell) is str and cell:
        return _checked_id(field, cell)
    if cell is None or cell == "":
        raise BadValue(f"{field} is missing")
    raise BadValue(f"{field} {cell!r} is neither text nor a whole number")


@lru_cache(maxsize=1 << 17)
def _checked_id(field: str, text: str) -> str:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise BadValue(f"{field} {text!r} is not UTF-8") from None
    if size_bytes > MAX_ID_BYTES:
        raise BadValue(f"{field} {text[:20]!r}... has {size_bytes} bytes; at most {MAX_ID_BYTES} are allowed")
    if _CONTROL.search(text):
        raise BadValue(f"{field} {text!r} has a control character")
    return text


def text_value(field: str, cell: object) -> str | None:
    """Return free text, None for an empty cell; numbers are taken as written."""
    if cell is None or cell == "":
        return None
    if type(cell) is str:
        if not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                raise BadValue(f"{field} {cell!r} is not UTF-8") from None
        return cell
    if type(cell) is int or type(cell) is float:
        return str(cell)
    raise BadValue(f"{field} {cell!r} is not text")


def quantity_value(cell: object) -> int:
    """Return a quantity, 1 for an empty cell."""
    if cell is None or cell == "":
        return 1
    number = _whole(cell)
    if number is None:
        raise BadValue(f"quantity {cell!r} is not a whole number")
    if not 1 <= number <= MAX_QUANTITY:
        hint = "; what is taken back is a row of its own, with event_type return" if number < 0 else ""
        raise BadValue(f"quantity {number} is not between 1 and {MAX_QUANTITY:,}{hint}")
    return number


def _whole(cell: object) -> int | None:
    if type(cell) is str:
        digits = cell.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and len(digits) < 20:
            return int(cell)
        # Tables that passed through floating point say 2.0.
        cell = float(cell) if _DIGITS.fullmatch(cell) else None
    if type(cell) is float:
        return int(cell) if cell.is_integer() else None
    return cell if type(cell) is int else None


def price_value(cell: object) -> float | None:
    """Return the price of one, None for an empty cell."""
    if cell is None or cell == "":
        return None
    if type(cell) is not bool:
        try:
            price = float(cell)  # type: ignore[arg-type]  # what cannot be converted is refused here
        except (TypeError, ValueError):
            pass
        else:
            if math.isfinite(price):
                return price
    raise BadValue(f"price {cell!r} is not a number such as 12.50")


def available_value(cell: object) -> bool:
    """Return whether an item can be had, True for an empty cell."""
    if cell is None or cell == "":
        return True
    found = _TRUTH.get(str(cell).lower())
    if found is None:
        raise BadValue(f"available {cell!r} is neither true nor false (nor 1 or 0, yes or no)")
    return found


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def timestamp_value(cell: object) -> int:
    """Return milliseconds since 1970 (UTC).

    Numbers below `SECONDS_BELOW` are seconds, others milliseconds. Text is a date and time as in RFC 3339,
    "T" or a space between the two; without an offset it is UTC.
    """
    if type(cell) is str:
        if cell.isascii() and cell.isdecimal():
            if len(cell) == 8 and _COMPACT_DATE.fullmatch(cell):
                raise BadValue(f"timestamp {cell!r} looks like a date; write it as {_dashed(cell)}")
            return _epoch(int(cell) if len(cell) < 20 else math.inf, cell)
        if _DIGITS.fullmatch(cell):
            return _epoch(float(cell), cell)
        try:
            return _since_1970(datetime.fromisoformat(cell), cell)
        except ValueError as error:
            if isinstance(error, BadValue):
                raise
    elif type(cell) is int or type(cell) is float:
        return _epoch(cell, cell)
    elif isinstance(cell, datetime):
        return _since_1970(cell, cell)
    if cell is None or cell == "":
        raise BadValue("timestamp is missing")
    raise BadValue(
        f"timestamp {cell!r} is neither seconds or milliseconds since 1970 nor like 2026-01-31T12:00:00Z"
    )


def _since_1970(when: datetime, cell: object) -> int:
    ms = (when - (_EPOCH if when.tzinfo is None else _EPOCH_UTC)) // _MS
    return ms if 0 <= ms < _LATEST_MS else _out_of_range(cell)


def _epoch(number: float, cell: object) -> int:
    if not 0 <= number < _LATEST_MS:  # also NaN
        return _out_of_range(cell)
    return round(number * 1000) if number < SECONDS_BELOW else int(number)


def _out_of_range(cell: object) -> int:
    raise BadValue(f"timestamp {str(cell)!r} is not between 1970 and 2286, in seconds or milliseconds")


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"
