"""Lists as they came, until a customer needs them or nothing has come for long.

During a load lists come by the ten thousand a second, each many times before anybody asks for it. Of a list
that comes only the head is decoded; its entries stay compressed, the newest of each item. What is decoded in
the end goes into the view's arrays, so that nothing is there twice.
"""

from __future__ import annotations

import logging

import msgspec
import numpy as np
import numpy.typing as npt

from state.recommending.list_view import ListView
from streams.packing import pack, unpack

log = logging.getLogger("alsobought")

MOST_BYTES = 96 << 20  # that wait, those of some 80,000 items; of more the oldest are decoded at once
RELATED = b',"related":['


class _Entry(msgspec.Struct, gc=False):
    item_id: str
    together: int
    after: int
    recent: float
    expected: float


class _Head(msgspec.Struct, gc=False):
    item_id: str
    as_of: int
    buyers: int
    recent_mass: float


_head = msgspec.json.Decoder(_Head).decode
_entries = msgspec.json.Decoder(list[_Entry]).decode


class _List(_Head):
    related: msgspec.Raw


_list = msgspec.json.Decoder(_List).decode


class PendingLists:
    """The backing of a view; to be used with the view's lock held.

    Attributes
    ----------
    n_bytes : int
        What waits takes.
    """

    def __init__(self, view: ListView, most_bytes: int = MOST_BYTES) -> None:
        self._view, self._most_bytes = view, most_bytes
        self._waiting: dict[int, tuple[int, bytes]] = {}  # by number of the view: as_of, compressed entries
        self.n_bytes = 0
        view.backing = self

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, key: bytes, value: bytes | None) -> None:
        """A record of the lists topic.

        Raises
        ------
        msgspec.MsgspecError, UnicodeDecodeError
            It is no list; what was known stays.
        """
        if value is None:
            number = self._view.put_head(key.decode(), buyers=0, recent_mass=0.0, as_of_ms=0)
            self._drop(number)
            self._view.put_entries(number, [], as_of_ms=0)
            return
        head, entries = _split(value)
        number = self._view.put_head(
            head.item_id, buyers=head.buyers, recent_mass=head.recent_mass, as_of_ms=head.as_of
        )
        self._drop(number)
        packed = pack(entries)
        self._waiting[number] = head.as_of, packed
        self.n_bytes += len(packed)
        while self.n_bytes > self._most_bytes:
            self._decode(next(iter(self._waiting)))

    def bring_in(self, numbers: npt.NDArray[np.int32]) -> None:
        """Put the entries of these items' lists (-1: none) into the view, where they wait."""
        if self._waiting:
            for number in numbers.tolist():
                if number in self._waiting:
                    self._decode(number)

    def decode_some(self, most: int) -> int:
        """Decode some of what waits, the oldest first; returns how many."""
        some = list(self._waiting)[:most] if most < len(self._waiting) else list(self._waiting)
        for number in some:
            self._decode(number)
        return len(some)

    def _decode(self, number: int) -> None:
        as_of, packed = self._waiting[number]
        self._drop(number)
        try:
            entries = _entries(unpack(packed))
            self._view.put_entries(number, entries, as_of_ms=as_of)
        except (msgspec.MsgspecError, OverflowError) as error:
            log.warning(
                "the list of %r is not as workers write it (%s): the one before it is used",
                self._view.items.id(number), error,
            )  # fmt: skip

    def _drop(self, number: int) -> None:
        waited = self._waiting.pop(number, None)
        if waited is not None:
            self.n_bytes -= len(waited[1])


def _split(value: bytes) -> tuple[_Head, bytes]:
    """Head and JSON of the entries of a list: as workers write it the entries are last."""
    at = value.find(RELATED)
    if at > 0 and value.endswith(b"]}"):
        return _head(value[:at] + b"}"), value[at + len(RELATED) - 1 : -1]
    whole = _list(value)
    return whole, bytes(whole.related)
