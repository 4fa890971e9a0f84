"""The customer machine's store.

m            META: window, partitions, position to replay from
c number     PAGE: customer ids from that number on
i number     PAGE: item ids from that number on
h customer   HISTORY
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from state import codec
from state.customers import CustomerMachine
from state.saving import META, Saver, key, number_of
from state.store import Store


class CustomerSaver(Saver):
    """Saves and loads one customer machine."""

    def __init__(self, machine: CustomerMachine, store: Store) -> None:
        super().__init__(store)
        self.machine = machine
        self._customers = 0
        self._items = 0

    def position(self) -> int:
        """The machine's position."""
        return self.machine.position

    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""
        self.stored = self.machine.position = position

    def load(self) -> None:
        """Fill the empty machine from the store.

        Raises
        ------
        BadSettings, UnknownLayout, CorruptRecord
        """
        raw = self.store.get(META)
        if raw is None and next(self.store.scan(b"c"), None) is None:
            return
        machine = self.machine
        meta = codec.unpack_meta(META, raw) if raw is not None else {"position": 0}
        if raw is not None:
            self.check(meta, self._identity())
        for name in [name for k, v in self.store.scan(b"c") for name in codec.unpack_page(k, v)]:
            machine.customers.number(name)
        for name in [name for k, v in self.store.scan(b"i") for name in codec.unpack_page(k, v)]:
            machine.items.number(name)
        machine.make_room()
        for k, raw_history in self.store.scan(b"h"):
            customer = number_of(k)
            machine.included[customer] = codec.unpack_history(machine.histories, customer, k, raw_history)
        machine.customer_count = int(np.count_nonzero(machine.histories.length))
        machine.sent_ids = len(machine.items)
        machine.changed[:] = 0
        self._customers, self._items = len(machine.customers), len(machine.items)
        self.stored = machine.position = int(meta["position"])

    def _identity(self) -> dict[str, Any]:
        return {"window": self.machine.settings.window, "partitions": self.machine.partitions}

    def _begin(self) -> tuple[dict[str, Any], list[tuple[bytes, bytes]], npt.NDArray[np.int64]]:
        meta = self._identity() | {"position": self.machine.position}
        return meta, [], np.flatnonzero(self.machine.changed)

    def _pack(self, number: int) -> tuple[bytes, bytes]:
        self.machine.changed[number] = 0
        included = max(self.machine.position - 1, int(self.machine.included[number]))
        return key(b"h", number), codec.pack_history(self.machine.histories, number, included)

    def _appended(self) -> list[tuple[bytes, bytes]]:
        machine, records = self.machine, []
        if len(machine.customers) > self._customers:
            page = codec.pack_page(machine.customers.ids[self._customers :])
            records.append((key(b"c", self._customers), page))
            self._customers = len(machine.customers)
        if len(machine.items) > self._items:
            records.append((key(b"i", self._items), codec.pack_page(machine.items.ids[self._items :])))
            self._items = len(machine.items)
        return records
