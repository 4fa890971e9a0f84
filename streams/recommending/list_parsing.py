"""The kernel that reads lists, as workers write them (`streams.messages.lists_json`), into arrays.

It reads JSON letter by letter and knows only the fields of a list, in their order. It stops where anything
else is written, and where ids are new.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommending.id_table import IdArrays, find
from recommending.related_lists import ListArrays, landmark_weight, put_entry, put_head
from state.memory.arrays import address_of, kernel, load_any
from streams.messages.json_text import Text, text_of

PADDING = 64  # bytes behind messages that the kernel may look at
DONE, NEW_IDS, UNUSUAL = range(3)  # why the kernel stops

_ITEM = text_of('{"item_id":"')
_KIND = text_of('","kind":"')
_AS_OF = text_of('","as_of":')
_VERSION = text_of(',"version":')
_BUYERS = text_of(',"buyers":')
_MASS = text_of(',"mass":')
_RECENT_MASS = text_of(',"recent_mass":')
_RELATED = text_of(',"related":[')
_SCORE = text_of('","score":')
_TOGETHER = text_of(',"together":')
_AFTER = text_of(',"after":')
_RECENT = text_of(',"recent":')
_EXPECTED = text_of(',"expected":')
_END = text_of("}")
_COMMA = text_of(",")
_ENDS = text_of("]}")
_QUOTE, _ESCAPE, _SPACE, _ZERO, _POINT, _EXPONENT, _MINUS = (ord(c) for c in '"\\ 0.e-')
_BYTE, _ALL, _BITS = np.uint64(0xFF), np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(8)
_MOST_DIGITS = 18
MOST_COUNT = 0xFFFFFFFF
_EXACT = 22  # powers of ten up to this one are exact floats
_POWERS = 10.0 ** np.arange(_EXACT + 1)


@kernel
def _masked(size: int) -> np.uint64:
    """Return a word with ones in the lowest `size` bytes, 1 to 8."""
    return _ALL >> (_BITS * np.uint64(8 - size))


@kernel
def _after(at: int, text: Text) -> int:
    """Return the address behind a text that is at an address; 0 if another text is there, or `at` is 0."""
    if at == 0:
        return 0
    size = text[3]
    if size <= 8:
        return at + size if (load_any(at) ^ text[0]) & _masked(size) == 0 else 0
    if load_any(at) != text[0]:
        return 0
    if size <= 16:
        return at + size if (load_any(at + 8) ^ text[1]) & _masked(size - 8) == 0 else 0
    if load_any(at + 8) != text[1] or (load_any(at + 16) ^ text[2]) & _masked(size - 16) != 0:
        return 0
    return at + size


@kernel
def _string(at: int) -> int:
    """Return the address of the quote that ends the string whose text is at an address.

    0 if it has escapes.
    """
    while at != 0:
        letter = np.int64(load_any(at) & _BYTE)
        if letter == _QUOTE:
            return at
        if letter == _ESCAPE or letter < _SPACE:
            return 0
        at += 1
    return 0


@kernel
def _digits(at: int, value: int) -> tuple[int, int, int]:
    """Return a number that continues the digits of `value`, the address behind it, and how many digits there
    are.
    """
    n = 0
    while n < _MOST_DIGITS:
        digit = int(load_any(at) & _BYTE) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = 10 * value + digit
        at += 1
        n += 1
    return value, at, n


@kernel
def _whole(at: int) -> tuple[int, int]:
    """Return the whole number at an address, and the address behind it; 0 if none can be read here."""
    if at == 0:
        return 0, 0
    value, end, n = _digits(at, np.int64(0))
    return value, (end if 0 < n < _MOST_DIGITS else 0)


@kernel
def _real(at: int) -> tuple[float, int]:
    """Return the number at an address, and the address behind it; 0 if none can be read here."""
    if at == 0:
        return 0.0, 0
    value, at, n = _digits(at, np.int64(0))
    scale, fraction = 0, 0
    if n == 0 or n > 15:
        return 0.0, 0
    if np.int64(load_any(at) & _BYTE) == _POINT:
        value, at, fraction = _digits(at + 1, value)
        if fraction == 0 or n + fraction > 15:
            return 0.0, 0
    if np.int64(load_any(at) & _BYTE) == _EXPONENT:
        at += 1
        negative = np.int64(load_any(at) & _BYTE) == _MINUS
        scale, at, n = _digits(at + negative, np.int64(0))
        if n == 0 or n > 3:
            return 0.0, 0
        if negative:
            scale = -scale
    scale -= fraction
    if scale < -_EXACT or scale > _EXACT:
        return 0.0, 0
    return (value / _POWERS[-scale] if scale < 0 else value * _POWERS[scale]), at


@kernel
def _item(
    table: IdArrays, base: int, at: int, spans: npt.NDArray[np.int64], new: int
) -> tuple[int, int, int]:
    """Return the item of the field at an address: its number (-1: new), and the address of what follows.

    The place of a new id, counted from `base`, is put into `spans` as the `new`th, while there is room. The
    third value is how many new ids there are then.
    """
    start = _after(at, _ITEM)
    end = _string(start)
    if end == 0:
        return -1, 0, new
    number = find(table, start, end - start)
    if number < 0 and new < len(spans):
        spans[new, 0], spans[new, 1] = start - base, end - base
        new += 1
    return number, end, new


@kernel
def put_messages(
    raw: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], first: int,
    table: IdArrays, a: ListArrays, spans: npt.NDArray[np.int64],
) -> tuple[int, int, int]:  # fmt: skip
    """Put messages from the first on into the arrays, which have room for every id in the table.

    Return the message at which it stopped, why, and with NEW_IDS how many of its ids are new: `spans` has
    where they are in `raw`, which has `PADDING` bytes behind the messages.
    """
    k = a.item.shape[1]
    base = address_of(raw)
    numbers, together, after = np.empty(k, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)
    recent, expected = np.empty(k), np.empty(k)
    for i in range(first, len(starts)):
        end = base + ends[i]
        owner, at, new = _item(table, base, base + np.int64(starts[i]), spans, np.int64(0))
        at = _string(_after(at, _KIND))
        as_of, at = _whole(_after(at, _AS_OF))
        _, at = _whole(_after(at, _VERSION))
        buyers, at = _whole(_after(at, _BUYERS))
        _, at = _whole(_after(at, _MASS))
        recent_mass, at = _real(_after(at, _RECENT_MASS))
        at = _after(at, _RELATED)
        n = 0
        while at and not _after(at, _ENDS):
            if n > 0:
                at = _after(at, _COMMA)
            number, at, met = _item(table, base, at, spans, new)
            _, at = _real(_after(at, _SCORE))
            both, at = _whole(_after(at, _TOGETHER))
            later, at = _whole(_after(at, _AFTER))
            f, at = _real(_after(at, _RECENT))
            e, at = _real(_after(at, _EXPECTED))
            at = _after(at, _END)
            if both > MOST_COUNT or later > MOST_COUNT:
                at = 0
            if n < k:
                numbers[n], together[n], after[n], recent[n], expected[n] = number, both, later, f, e
                n, new = n + 1, met
        if at == 0 or _after(at, _ENDS) != end:
            return i, UNUSUAL, 0
        if new:
            return i, NEW_IDS, new
        weight = landmark_weight(as_of)
        put_head(a, owner, buyers, recent_mass * weight)
        a.length[owner], a.to_landmark[owner] = n, weight
        for j in range(n):
            put_entry(a, owner, j, numbers[j], together[j], after[j], recent[j], expected[j])
    return len(starts), DONE, 0
