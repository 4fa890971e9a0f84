"""Read lists directly into the arrays of the related lists.

During a load and after a settle, ten thousand lists of a hundred entries come per second. Decoding one into
objects takes 150 us; the kernel of `list_parsing` takes a tenth. It reads exactly what workers write;
anything else, and ids with letters that JSON escapes, is decoded by msgspec.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
import numpy as np

from recommending.id_table import IdTable
from recommending.related_lists import RelatedLists, landmark_weight
from streams.messages.schema import LATEST_MS, decoder
from streams.process.seed import TABLE_SEED
from streams.recommending.list_parsing import MOST_COUNT, NEW_IDS, PADDING, UNUSUAL, put_messages

log = logging.getLogger("alsobought")

_MOST_SUM, _MOST_REAL = 1e300, 1e37


class _Entry(msgspec.Struct, gc=False):
    item_id: str
    together: int
    after: int
    recent: float
    expected: float


class _List(msgspec.Struct):
    item_id: str
    as_of: int
    buyers: int
    recent_mass: float
    related: list[_Entry]


_decode = decoder(_List)


class ListReader:
    """Reads messages of lists into the related lists. The related lists' lock must be held."""

    def __init__(self, related: RelatedLists) -> None:
        self._related, self._table = related, IdTable(related.items, TABLE_SEED)

    def take(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Take in records of a lists topic in their order; a record that is no list is ignored."""
        values: list[bytes] = []
        for key, value in records:
            if value is not None:
                values.append(value)
                continue
            self._take_values(values)
            values = []
            self._remove(key)
        self._take_values(values)

    def _remove(self, key: bytes) -> None:
        try:
            name = key.decode()
        except UnicodeDecodeError:
            return
        number = self._related.put_head(name, buyers=0, recent_mass=0.0, as_of_ms=0)
        self._related.put_entries(number, [], as_of_ms=0)

    def _take_values(self, values: Sequence[bytes]) -> None:
        if not values:
            return
        related, items = self._related, self._related.items
        raw = np.frombuffer(b"".join((*values, bytes(PADDING))), np.uint8)
        ends = np.cumsum([len(value) for value in values])
        starts = np.append(0, ends[:-1])
        spans = np.empty((related.k + 1, 2), np.int64)
        at = 0
        while at < len(values):
            related.make_room()
            at, why, found = put_messages(
                raw, starts, ends, at, self._table.up_to_date(), related.arrays, spans
            )
            if why == NEW_IDS:
                try:
                    names = [raw[start:end].tobytes().decode() for start, end in spans[:found].tolist()]
                except UnicodeDecodeError:
                    why = UNUSUAL
                else:
                    for name in names:
                        items.number(name)
            if why == UNUSUAL:
                self._take_unusual(values[at])
                at += 1

    def _take_unusual(self, value: bytes) -> None:
        related = self._related
        try:
            message = _decode(value)
            counts = (message.buyers, *(n for e in message.related for n in (e.together, e.after)))
            if not all(0 <= count <= MOST_COUNT for count in counts):
                raise OverflowError("a count is out of range")
            if not abs(message.as_of) <= LATEST_MS:
                raise OverflowError("its time is out of range")
            weight = landmark_weight(message.as_of)
            sums = (message.recent_mass, *(e.recent for e in message.related))
            if not all(0 <= real * weight <= _MOST_SUM for real in sums):
                raise OverflowError("a sum is out of range")
            if not all(0 <= real <= _MOST_REAL for e in message.related for real in (e.recent, e.expected)):
                raise OverflowError("a sum of an entry, or what is expected, is out of range")
        except (msgspec.MsgspecError, OverflowError) as error:
            log.warning("a list is not as workers write it (%s): the one before it is used", error)
            return
        number = related.put_head(
            message.item_id, buyers=message.buyers, recent_mass=message.recent_mass, as_of_ms=message.as_of
        )
        related.put_entries(number, message.related, as_of_ms=message.as_of)
