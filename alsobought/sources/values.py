"""Convert a cell of a file to the value of a field; a cell is text (CSV) or typed (JSON, Parquet).

Each function raises BadValue, whose message names the field, shows the cell and says what is expected. None
and "" are an empty cell.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from streams.messages.checks import Unusable, check_id, check_quantity, shown

_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)\.0+")

EXACT_BELOW = 1 << 53
"""From here on a floating-point number does not hold every whole number."""


class BadValue(Unusable):
    """A cell that is no value of its field."""


@dataclass
class Notes:
    """What was done to cells that are used, though not as they are written; reported once, with counts."""

    counts: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def add(self, note: str, cells: int = 1) -> None:
        """Count cells of which `note`, a sentence, is true."""
        if cells:
            self.counts[note] = self.counts.get(note, 0) + cells

    def say(self, note: str) -> None:
        """Add a sentence about the whole file."""
        self.said.append(note)

    def __str__(self) -> str:
        return "\n".join([*self.said, *(f"{note} (cells: {count:,})" for note, count in self.counts.items())])


def whole_note(field: str) -> str:
    """Return the note on ids such as 17850.0."""
    return f"{field}: numbers written with decimals, such as 17850.0, were taken as whole numbers: 17850"


def price_note() -> str:
    """Return the note on invalid prices."""
    return "price: cells that are no number such as 12.50 were left out; the rows count all the same"


def id_value(field: str, cell: object, notes: Notes | None = None) -> str:
    """Return an id: 1 to 256 bytes of UTF-8, no control characters.

    Whole numbers are taken as written. A number with nothing but zeros behind its point, as 17850.0, is the
    whole number: tables in which a column had gaps once have turned ids into such numbers.
    """
    if type(cell) is str:
        if _WHOLE.fullmatch(cell):
            cell = _noted(field, cell.partition(".")[0], notes)
        _check(field, cell)
        return cell
    if cell is None:
        raise BadValue(f"{field} is missing or empty")
    if type(cell) is int:
        return str(cell)
    if type(cell) is bytes:
        return id_value(field, _decoded(field, cell), notes)
    if type(cell) is float and cell.is_integer() and abs(cell) < EXACT_BELOW:
        return _noted(field, str(int(cell)), notes)
    if type(cell) is Decimal and cell.is_finite() and cell == cell.to_integral_value():
        return str(int(cell))
    if type(cell) in (float, Decimal):
        raise BadValue(
            f"{field} must be text or a whole number that is known exactly, but is {cell}: write ids as text"
        )
    raise BadValue(f"{field} must be text or a whole number, but is {shown(cell)}")


def _noted(field: str, text: str, notes: Notes | None) -> str:
    if notes is not None:
        notes.add(whole_note(field))
    return text


@lru_cache(maxsize=1 << 17)
def _check(field: str, text: str) -> None:
    if UNDECODED.search(text):
        raise BadValue(not_utf8(field, text))
    try:
        check_id(field, text)
    except Unusable as error:
        raise BadValue(f"{error}: {shown(text)}" if text else str(error)) from None


def is_empty(cell: object) -> bool:
    """Return whether a cell is empty."""
    return cell is None or cell == "" or cell == b""


def optional_id(field: str, cell: object, notes: Notes | None = None) -> str | None:
    """Return an id as above, None for an empty cell."""
    return None if is_empty(cell) else id_value(field, cell, notes)


UNDECODED = re.compile("[\ud800-\udfff]")
"""What bytes that are not UTF-8 become when they are decoded with surrogateescape."""


def not_utf8(field: str, text: str) -> str:
    """Return the reason why a cell with such bytes cannot be used."""
    return (
        f"{field} {shown(text)} is not UTF-8. Save the file as UTF-8, for example with"
        " iconv -f WINDOWS-1252 -t UTF-8"
    )


def _decoded(field: str, cell: bytes) -> str:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        raise BadValue(f"{field} {cell[:40]!r} is not UTF-8") from None


def text_value(field: str, cell: object) -> str | None:
    """Return free text, None for an empty cell; numbers are taken as written."""
    if is_empty(cell):
        return None
    if type(cell) is bytes:
        cell = _decoded(field, cell)
    if type(cell) is str:
        if not cell.isascii() and UNDECODED.search(cell):
            raise BadValue(not_utf8(field, cell))
        return cell or None
    if type(cell) in (int, float, Decimal):
        return str(cell)
    raise BadValue(f"{field} {shown(cell)} is not text")


def quantity_value(cell: object) -> int:
    """Return a quantity, 1 for an empty cell."""
    if is_empty(cell):
        return 1
    number = _whole(cell)
    if number is None:
        raise BadValue(f"quantity {shown(cell)} is not a whole number")
    try:
        check_quantity(number)
    except Unusable as error:
        raise BadValue(str(error)) from None
    return number


def _whole(cell: object) -> int | None:
    if type(cell) is str:
        digits = cell.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and len(digits) < 20:
            return int(cell)
        # Tables that passed through floating point say 2.0.
        cell = float(cell) if _DIGITS.fullmatch(cell) else None
    if type(cell) is bytes:
        return _whole(cell.decode("ascii", "replace"))
    if type(cell) is Decimal:
        return int(cell) if cell.is_finite() and cell == cell.to_integral_value() else None
    if type(cell) is float:
        return int(cell) if cell.is_integer() else None
    return cell if type(cell) is int else None


def price_value(cell: object) -> float | None:
    """Return the price of one, None for an empty cell."""
    if is_empty(cell):
        return None
    if isinstance(cell, str | bytes | int | float | Decimal) and type(cell) is not bool:
        try:
            price = float(cell)
        except (ValueError, OverflowError):
            pass
        else:
            if math.isfinite(price):
                return price
    raise BadValue(f"price {shown(cell)} is not a number such as 12.50")


def event_price(cell: object, notes: Notes) -> float | None:
    """Return the price of an event; nothing is counted by it, so an invalid price is left out and noted."""
    try:
        return price_value(cell)
    except BadValue:
        notes.add(price_note())
        return None


def available_value(cell: object) -> bool:
    """Return whether an item is available, True for an empty cell."""
    if is_empty(cell):
        return True
    found = _TRUTH.get(str(cell).lower())
    if found is None:
        raise BadValue(f"available {cell!r} is neither true nor false (nor 1 or 0, yes or no)")
    return found


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
