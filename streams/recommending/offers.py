"""Which items the published recommendations of a partition hold, so that no hidden item stays published.

The newest message of every key is a row of item numbers. What earlier owners of the partition published is
read from the topic, once and in the background.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from state.memory.ids import Dictionary
from streams.messages.schema import decoder

NOTHING = -1


class _Item(msgspec.Struct, gc=False):
    item_id: str


class _Recommendations(msgspec.Struct, gc=False):
    customer_id: str
    items: list[_Item]


_decode = decoder(_Recommendations)


class Offers:
    """The published items by key of their message.

    Parameters
    ----------
    items
        The ids of the item numbers.
    k
        The largest number of items in a message.
    """

    def __init__(self, items: Dictionary, k: int) -> None:
        self._items, self._k = items, k
        self._row: dict[bytes, int] = {}
        self._keys: list[bytes | None] = []
        self._free: list[int] = []
        self._offered = np.full((64, k), NOTHING, np.int32)

    def __len__(self) -> int:
        return len(self._row)

    def put(self, key: bytes, items: Sequence[int]) -> None:
        """Note which items are published under a key, by number."""
        row = self._row.get(key)
        if row is None:
            row = self._row[key] = self._free.pop() if self._free else len(self._keys)
            if row == len(self._keys):
                self._keys.append(key)
            self._keys[row] = key
            if row == len(self._offered):
                self._offered = np.concatenate([self._offered, np.full_like(self._offered, NOTHING)])
        self._offered[row] = NOTHING
        self._offered[row, : len(items)] = items[: self._k]

    def remove(self, key: bytes) -> None:
        """Note that nothing is published under a key."""
        row = self._row.pop(key, None)
        if row is not None:
            self._offered[row] = NOTHING
            self._keys[row] = None
            self._free.append(row)

    def read(self, key: bytes, value: bytes | None) -> None:
        """Take in a record of the topic.

        Raises
        ------
        msgspec.MsgspecError
            It is no recommendations message.
        """
        if value is None:
            self.remove(key)
        else:
            self.put(key, [self._items.number(item.item_id) for item in _decode(value).items])

    def adopt(self, older: Offers) -> None:
        """Take in what was published before under keys of which nothing was published since."""
        for key, row in older._row.items():
            if key not in self._row:
                self.put(key, older._offered[row].tolist())

    def holding(self, hidden: npt.NDArray[np.bool_]) -> list[bytes]:
        """Return the keys of messages that hold an item for which `hidden`, by number, is true."""
        offered = self._offered[: len(self._keys)]
        known = (offered >= 0) & (offered < len(hidden))
        which = (known & hidden[np.where(known, offered, 0)]).any(axis=1) if len(hidden) else ()
        return [key for row in np.flatnonzero(which).tolist() if (key := self._keys[row]) is not None]
