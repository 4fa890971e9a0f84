"""Related-items messages as JSON, written by a kernel.

A full load refreshes ten thousand lists of a hundred entries a second. A general encoder takes 50 us a list
to build and encode its objects, this takes a tenth; docs/decisions has the measurement. What it writes is
what `streams.messages.RelatedItems` reads, which a test holds it to. Numbers that are not whole have five
significant digits.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from state.item_ids import ItemIds
from state.lists import Lists
from state.memory import kernel, longer

ENTRY_BYTES = 160  # of an entry without its id: the field names and five numbers at their longest
HEAD_BYTES = 256


def text_of(text: str) -> npt.NDArray[np.uint8]:
    """The bytes of a text, for `put_text`."""
    return np.frombuffer(text.encode(), np.uint8).copy()


_ITEM = text_of('{"item_id":')
_KIND = text_of(',"kind":')
_AS_OF = text_of(',"as_of":')
_VERSION = text_of(',"version":')
_BUYERS = text_of(',"buyers":')
_MASS = text_of(',"mass":')
_RECENT_MASS = text_of(',"recent_mass":')
_RELATED = text_of(',"related":[')
_SCORE = text_of(',"score":')
_TOGETHER = text_of(',"together":')
_AFTER = text_of(',"after":')
_RECENT = text_of(',"recent":')
_EXPECTED = text_of(',"expected":')
_ENDS = text_of("]}")
_DIGITS = 5
_SMALLEST = 1e-300  # less is written as zero: the power of ten that scales it is not a number any more
_MIDDLE = 308
_SCALES = 10.0 ** np.arange(_DIGITS - 1 + _MIDDLE, _DIGITS - 2 - _MIDDLE, -1).clip(-308, 308)
"""What a number whose first digit is of 10^power is multiplied with to have _DIGITS before the point."""


class JsonIds:
    """Item ids as JSON strings, one after the other, in the order in which they became known.

    In memory whatever the budget, 19 bytes an item beside its letters: every list needs a hundred of them.
    """

    def __init__(self, items: ItemIds) -> None:
        self._items = items
        self._done = self._end = 0
        self.blob = np.zeros(1 << 16, np.uint8)
        self.starts, self.ends = np.zeros(1024, np.int64), np.zeros(1024, np.int64)
        self.longest = 0  # bytes of the longest id

    def update(self) -> None:
        """Take in the ids that have become known."""
        numbers = self._items.named[self._done :]
        if not numbers:
            return
        fresh = [msgspec.json.encode(name) for name in self._items.ids(numbers)]
        ends = self._end + np.cumsum([len(name) for name in fresh])
        if len(self._items) > len(self.ends):
            self.starts = longer(self.starts, 2 * len(self._items))
            self.ends = longer(self.ends, 2 * len(self._items))
        if ends[-1] > len(self.blob):
            self.blob = longer(self.blob, 2 * int(ends[-1]))
        self.starts[numbers] = np.append(self._end, ends[:-1])
        self.ends[numbers] = ends
        self.blob[self._end : ends[-1]] = np.frombuffer(b"".join(fresh), np.uint8)
        self._done += len(numbers)
        self._end = int(ends[-1])
        self.longest = max(self.longest, *map(len, fresh))


@kernel
def put_text(out: npt.NDArray[np.uint8], at: int, text: npt.NDArray[np.uint8]) -> int:
    """Write bytes; returns where they end."""
    for i in range(len(text)):
        out[at + i] = text[i]
    return at + len(text)


@kernel
def put_whole(out: npt.NDArray[np.uint8], at: int, value: int) -> int:
    """Write a whole number; returns where it ends."""
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    size = 1
    rest = value // 10
    while rest > 0:
        size += 1
        rest //= 10
    for i in range(at + size - 1, at - 1, -1):
        out[i] = 48 + value % 10
        value //= 10
    return at + size


@kernel
def _put_real(out: npt.NDArray[np.uint8], at: int, value: float) -> int:
    """A number with _DIGITS significant digits, in the shortest of JSON's notations that holds them."""
    if abs(value) < _SMALLEST or not np.isfinite(value):
        out[at], out[at + 1], out[at + 2] = 48, 46, 48
        return at + 3
    if value < 0.0:
        out[at] = 45
        at += 1
        value = -value
    power = np.int64(np.floor(np.log10(value)))
    digits = np.int64(value * _SCALES[power + _MIDDLE] + 0.5)
    if digits >= 10**_DIGITS:
        digits //= 10
        power += 1
    size = _DIGITS
    while size > 1 and digits % 10 == 0:
        digits //= 10
        size -= 1
    if 0 <= power < 15:
        whole = min(size, power + 1)
        at = put_whole(out, at, digits // 10 ** (size - whole))
        for _ in range(power + 1 - whole):
            out[at] = 48
            at += 1
        out[at] = 46
        at += 1
        if size == whole:
            out[at] = 48
            return at + 1
        rest = digits % 10 ** (size - whole)
        for i in range(at + size - whole - 1, at - 1, -1):
            out[i] = 48 + rest % 10
            rest //= 10
        return at + size - whole
    out[at] = 48 + digits // 10 ** (size - 1)
    at += 1
    if size > 1:
        out[at] = 46
        rest = digits % 10 ** (size - 1)
        for i in range(at + size - 1, at, -1):
            out[i] = 48 + rest % 10
            rest //= 10
        at += size
    out[at] = 101
    return put_whole(out, at + 1, power)


@kernel
def write_lists(
    out: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], which: npt.NDArray[np.int64], lists: Lists,
    item_of: npt.NDArray[np.int32], heads: npt.NDArray[np.int64],
    mass: int, as_of: int, version: int, kind: npt.NDArray[np.uint8],
    blob: npt.NDArray[np.uint8], id_starts: npt.NDArray[np.int64], id_ends: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the messages of lists `which` one after the other; `ends` gets where each ends.

    `kind` is a JSON string; `mass` the column of `heads` that holds a row's sum of N.
    """
    all_items, all_scores, all_together = lists.item, lists.score, lists.together
    all_after, all_recent, all_expected = lists.after, lists.recent, lists.expected
    rows, lengths, recent_mass, buyers = lists.row, lists.length, lists.recent_mass, lists.buyers
    at = 0
    for i in range(len(which)):
        listed = which[i]
        row = rows[listed]
        item = np.int64(item_of[row])
        at = put_text(out, at, _ITEM)
        for j in range(id_starts[item], id_ends[item]):
            out[at] = blob[j]
            at += 1
        at = put_text(out, put_text(out, at, _KIND), kind)
        at = put_whole(out, put_text(out, at, _AS_OF), as_of)
        at = put_whole(out, put_text(out, at, _VERSION), version)
        at = put_whole(out, put_text(out, at, _BUYERS), buyers[listed])
        at = put_whole(out, put_text(out, at, _MASS), heads[row, mass])
        at = _put_real(out, put_text(out, at, _RECENT_MASS), recent_mass[listed])
        at = put_text(out, at, _RELATED)
        for k in range(lengths[listed]):
            if k > 0:
                out[at] = 44
                at += 1
            other = np.int64(all_items[listed, k])
            at = put_text(out, at, _ITEM)
            for j in range(id_starts[other], id_ends[other]):
                out[at] = blob[j]
                at += 1
            at = _put_real(out, put_text(out, at, _SCORE), all_scores[listed, k])
            at = put_whole(out, put_text(out, at, _TOGETHER), all_together[listed, k])
            at = put_whole(out, put_text(out, at, _AFTER), all_after[listed, k])
            at = _put_real(out, put_text(out, at, _RECENT), all_recent[listed, k])
            at = _put_real(out, put_text(out, at, _EXPECTED), all_expected[listed, k])
            out[at] = 125
            at += 1
        at = put_text(out, at, _ENDS)
        ends[i] = at
