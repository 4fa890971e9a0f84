"""The kernel that reads events from JSON into arrays.

It goes through the bytes of many messages in one call and makes no object for any of them: msgspec's objects
and their fields cost six times as much. It knows the fields of an event in any order, and spaces between
them. It stops at anything else, valid or not: escapes, letters beyond ASCII, times that are texts, exponents,
fields of the producer's own, ids that are refused. Such messages are decoded by msgspec
(`streams.messages.event_fields`), so the kernel need not know how each is to be taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import address_of, kernel, load, load_any, store
from streams.messages.checks import MAX_VALUE_BYTES
from streams.messages.record_batches import Parts
from streams.messages.schema import MAX_ID_BYTES, MAX_QUANTITY, MAX_SEQUENCE, MAX_SOURCE_BYTES

TEXTS = ("customer_id", "item_id", "type", "event_id", "profile_id", "source")
"""The fields whose texts are kept."""
NUMBERS = ("timestamp", "quantity", "sequence")
_FIELDS = (*TEXTS, *NUMBERS, "basket_id", "price")
_BASKET, _PRICE = _FIELDS.index("basket_id"), _FIELDS.index("price")
_TIMESTAMP, _QUANTITY, _SEQUENCE = range(len(NUMBERS))

_WORDS = [(*np.frombuffer(name.encode().ljust(16, b"\0"), np.uint64), len(name)) for name in _FIELDS]
_FIRSTS, _SECONDS, _SIZES = (np.array(column) for column in zip(*_WORDS, strict=True))  # of each name
_LONGEST = np.array([MAX_ID_BYTES] * 5 + [MAX_SOURCE_BYTES])  # of each text, in bytes
_LARGEST = np.array([2**62, MAX_QUANTITY, MAX_SEQUENCE])  # of each number
_NEEDED = sum(1 << _FIELDS.index(name) for name in ("customer_id", "item_id", "timestamp"))
_NULLABLE = sum(1 << n for n, name in enumerate(_FIELDS) if name not in NUMBERS[:2] and name not in TEXTS[:2])

_TAB, _LINE, _RETURN, _SPACE = 9, 10, 13, 32
_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _MINUS, _POINT, _ZERO = map(ord, '":,{}-.0')
_NULL = np.uint64(int.from_bytes(b"null", "little"))
_MOST_DIGITS = 18

_BYTE, _FOUR_BYTES, _ALL = np.uint64(0xFF), np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE, _SEVEN, _EIGHT, _TOP = np.uint64(1), np.uint64(7), np.uint64(8), np.uint64(56)
_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _ESCAPES, _DELETES, _SPACES = (
    _ONES * np.uint64(letter) for letter in (_QUOTE, ord("\\"), 127, _SPACE)
)
_PLACES = np.uint64(0x0001020304050607)


class EventArrays(NamedTuple):
    """The fields of n events.

    Attributes
    ----------
    texts : int64[6, n, 2]
        Where each text of `TEXTS` starts and ends in the bytes that were read; -1 if it is not given.
    numbers : int64[3, n]
        `NUMBERS`; without a quantity it is 1, and without a sequence -1.
    given : int64[6]
        How many events have each text.
    alike : bool[6]
        Whether all texts of a field are the same.
    """

    texts: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    given: npt.NDArray[np.int64]
    alike: npt.NDArray[np.bool_]


@kernel
def _letter(at: int) -> int:
    return np.int64(load_any(at) & _BYTE)


@kernel
def _after_space(at: int, end: int) -> int:
    """Return the first address from `at` on without white space; `end` if there is none."""
    while at < end:
        letter = _letter(at)
        if letter not in (_SPACE, _LINE, _RETURN, _TAB):
            return at
        at += 1
    return at


@kernel
def _text_end(at: int, end: int) -> int:
    """Return the address of the quote that ends a text; 0 if it has anything but printable ASCII.

    A byte of a word w is 0 where (w - ones) & ~w has its highest bit, at least for the lowest such byte. So
    eight letters at a time are looked at for quotes, escapes, control characters and letters beyond ASCII.
    """
    while at < end:
        word = load_any(at)
        quotes, escapes, deletes = word ^ _QUOTES, word ^ _ESCAPES, word ^ _DELETES
        ends = ((quotes - _ONES) & ~quotes) | ((escapes - _ONES) & ~escapes) | ((deletes - _ONES) & ~deletes)
        ends = (ends | ((word - _SPACES) & ~word) | word) & _HIGH
        if ends:
            lowest = ends & (~ends + _ONE)
            at += np.int64(((lowest >> _SEVEN) * _PLACES) >> _TOP)
            return at if at < end and _letter(at) == _QUOTE else 0
        at += 8
    return 0


@kernel
def _whole(at: int, end: int) -> tuple[int, int]:
    """Return a whole number from 0 on, and the address behind it; 0 if there is none of at most 18 digits."""
    value, first = 0, at
    while at < end:
        digit = _letter(at) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = 10 * value + digit
        at += 1
        if at - first > _MOST_DIGITS:
            return value, 0
    if at == first or (at > first + 1 and _letter(first) == _ZERO):
        return value, 0
    return value, at


@kernel
def _after_number(at: int, end: int) -> int:
    """Return the address behind a number; 0 if there is none, or one with more than 18 digits on a side of
    its point.
    """
    if at < end and _letter(at) == _MINUS:
        at += 1
    _, at = _whole(at, end)
    if at == 0 or at >= end or _letter(at) != _POINT:
        return at
    first = at + 1
    at = first
    while at < end and 0 <= _letter(at) - _ZERO <= 9:
        at += 1
    return at if 0 < at - first <= _MOST_DIGITS else 0


@kernel
def _is_name(field: int, first: np.uint64, second: np.uint64, size: int) -> bool:
    return bool(_SIZES[field] == size and _FIRSTS[field] == first and _SECONDS[field] == second)


@kernel
def _field(at: int, size: int, likely: int) -> int:
    """Return the number of a field by its name at an address, -1 if an event has no such field."""
    if size > 16 or size == 0:
        return -1
    first, second = load_any(at), np.uint64(0)
    if size < 8:
        first &= _ALL >> (_EIGHT * np.uint64(8 - size))
    elif size > 8:
        second = load_any(at + 8) & (_ALL >> (_EIGHT * np.uint64(16 - size)))
    if _is_name(likely, first, second, size):
        return likely
    for field in range(len(_SIZES)):
        if _is_name(field, first, second, size):
            return field
    return -1


@kernel
def _same(one: int, other: int, size: int) -> bool:
    """Return whether the bytes at two addresses are the same."""
    for i in range(0, size - 7, 8):
        if load_any(one + i) != load_any(other + i):
            return False
    left = np.uint64(size & 7)
    differ = load_any(one + (size & ~7)) ^ load_any(other + (size & ~7))
    return bool(differ & ((_ONE << (_EIGHT * left)) - _ONE) == np.uint64(0))


@kernel
def _read_value(at: int, end: int, field: int, texts: int, numbers: int) -> int:
    """Read the value of a field; return the address behind it, 0 if it is unusual.

    A text's address and size are written to the addresses `texts`, and a number to `numbers`.
    """
    if at + 4 <= end and load_any(at) & _FOUR_BYTES == _NULL:
        return at + 4 if (_NULLABLE >> field) & 1 else 0
    if field < len(TEXTS) or field == _BASKET:
        if _letter(at) != _QUOTE:
            return 0
        start = at + 1
        at = _text_end(start, end)
        if at == 0 or field == _BASKET:
            return at + 1 if at else 0
        if at == start or at - start > _LONGEST[field]:
            return 0
        store(texts + 16 * field, np.uint64(start))
        store(texts + 16 * field + 8, np.uint64(at - start))
        return at + 1
    if field == _PRICE:
        return _after_number(at, end)
    number = field - len(TEXTS)
    value, at = _whole(at, end)
    if at == 0 or value > _LARGEST[number] or (number == _QUANTITY and value == 0):
        return 0
    store(numbers + 8 * number, np.uint64(value))
    return at


@kernel
def _read_event(at: int, end: int, texts: int, numbers: int, order: int) -> bool:
    """Read an event; return False if it is unusual.

    `order` is the address of a word for each field: which one came behind it last.
    """
    at = _after_space(at, end)
    if at >= end or _letter(at) != _OPEN:
        return False
    seen, before = 0, len(_FIELDS)
    while True:
        at = _after_space(at + 1, end)
        if at >= end or _letter(at) != _QUOTE:
            return False
        name = at + 1
        at = _text_end(name, end)
        if at == 0:
            return False
        field = _field(name, at - name, np.int64(load(order + 8 * before)))
        if field < 0 or (seen >> field) & 1:
            return False
        store(order + 8 * before, np.uint64(field))
        seen |= 1 << field
        before = field
        at = _after_space(at + 1, end)
        if at >= end or _letter(at) != _COLON:
            return False
        at = _after_space(at + 1, end)
        if at >= end:
            return False
        at = _read_value(at, end, field, texts, numbers)
        if at == 0:
            return False
        at = _after_space(at, end)
        if at >= end:
            return False
        letter = _letter(at)
        if letter == _CLOSE:
            return _after_space(at + 1, end) == end and seen & _NEEDED == _NEEDED
        if letter != _COMMA:
            return False


@kernel
def read_events(
    keys: Parts, values: Parts, found: EventArrays, order: npt.NDArray[np.uint64]
) -> int:  # fmt: skip
    """Read events whose records have these keys and values; return how many were read before an unusual one.

    An event is also unusual if its record's key is not its customer, or if it is longer than an event may be.
    `order` has a 0 for each field, and one more; the caller holds it, because an array that only its address
    refers to is freed.
    """
    base, key_base, to_order = address_of(values.raw), address_of(keys.raw), address_of(order)
    texts, numbers = np.empty((len(TEXTS), 2), np.int64), np.empty(len(NUMBERS), np.int64)
    first = np.zeros((len(TEXTS), 2), np.int64)
    to_texts, to_numbers = address_of(texts), address_of(numbers)
    for i in range(len(values.starts)):
        start, end = base + np.int64(values.starts[i]), base + np.int64(values.ends[i])
        texts[:, 1] = 0
        numbers[_TIMESTAMP], numbers[_QUANTITY], numbers[_SEQUENCE] = 0, 1, -1
        if end - start > MAX_VALUE_BYTES or not _read_event(start, end, to_texts, to_numbers, to_order):
            return i
        key, size = key_base + np.int64(keys.starts[i]), np.int64(keys.ends[i] - keys.starts[i])
        if texts[0, 1] != size or not _same(texts[0, 0], key, size):
            return i
        for field in range(len(TEXTS)):
            size = texts[field, 1]
            if size == 0:
                found.texts[field, i, 0] = found.texts[field, i, 1] = -1
                continue
            found.texts[field, i, 0] = texts[field, 0] - base
            found.texts[field, i, 1] = texts[field, 0] - base + size
            found.given[field] += 1
            if field > 1:
                if i == 0:
                    first[field] = texts[field]
                found.alike[field] &= first[field, 1] == size and _same(
                    first[field, 0], texts[field, 0], size
                )
        for n in range(len(NUMBERS)):
            found.numbers[n, i] = numbers[n]
    return len(values.starts)


def parse_events(keys: Parts, values: Parts) -> EventArrays | None:
    """Return the fields of all events, None if any is unusual."""
    n, texts = len(values.starts), len(TEXTS)
    found = EventArrays(
        np.empty((texts, n, 2), np.int64), np.empty((len(NUMBERS), n), np.int64),
        np.zeros(texts, np.int64), np.ones(texts, np.bool_),
    )  # fmt: skip
    order = np.zeros(len(_FIELDS) + 1, np.uint64)
    return found if read_events(keys, values, found, order) == n else None
