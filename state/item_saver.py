"""The item machine's store.

m                         META: settings, partition, position to replay from, sources as they were then
i number                  PAGE: item ids from that number on
w row                     NUMBERS: items of the rows from that row on
s topic partition number  NUMBERS: a source's items, from that number of the source on
p                         POPULARITY
r row                     ROW
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from state import codec
from state import popularity as pop
from state.counting import SAVE
from state.deltas import Source
from state.items import ItemMachine, SourceState
from state.saving import META, Saver, key, number_of
from state.store import Store

POPULARITY = b"p"
_SOURCE = struct.Struct(">HH")


class ItemSaver(Saver):
    """Saves and loads one item machine."""

    def __init__(self, machine: ItemMachine, store: Store) -> None:
        super().__init__(store)
        self.machine = machine
        self._items = 0
        self._rows = 0
        self._sources: dict[Source, int] = {}

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
        machine = self.machine
        raw = self.store.get(META)
        if raw is not None:
            meta = codec.unpack_meta(META, raw)
            self.check(meta, self._identity())
            self.stored = machine.position = int(meta["position"])
            for topic, partition, end, customers in meta["sources"]:
                machine.sources[Source(topic, partition)] = SourceState(end=end, customers=customers)
        for name in [name for k, v in self.store.scan(b"i") for name in codec.unpack_page(k, v)]:
            machine.items.number(name)
        for k, v in self.store.scan(b"s"):
            source = Source(*_SOURCE.unpack_from(k, 1))
            state = machine.sources.setdefault(source, SourceState())
            state.items = np.append(state.items, codec.unpack_numbers(k, v))
            self._sources[source] = len(state.items)
        for k, v in self.store.scan(b"w"):
            for item in codec.unpack_numbers(k, v).tolist():
                machine.add_row(item)
        machine.make_room()
        machine.published.length[: machine.row_count] = -1
        tables = machine.tables
        for k, v in self.store.scan(b"r"):
            row = number_of(k)
            tables.included[row] = codec.unpack_row(tables.rows, row, tables.sizes[row], k, v)
        raw = self.store.get(POPULARITY)
        if raw is not None:
            machine.popularity_included = codec.unpack_popularity(tables.popularity, POPULARITY, raw)
            pop.refresh(tables.popularity, len(machine.items))
        self._items, self._rows = len(machine.items), machine.row_count

    def _identity(self) -> dict[str, Any]:
        settings = self.machine.settings
        return {
            "window": settings.window,
            "row_capacity": settings.row_capacity,
            "partition": self.machine.partition,
        }

    def _begin(self) -> tuple[dict[str, Any], list[tuple[bytes, bytes]], npt.NDArray[np.int64]]:
        machine = self.machine
        meta = self._identity() | {
            "position": machine.position,
            "sources": [[*source, s.end, s.customers] for source, s in machine.sources.items()],
        }
        # during a replay what was loaded may include more than the position
        included = max(machine.position - 1, machine.popularity_included)
        popularity = codec.pack_popularity(machine.tables.popularity, len(machine.items), included)
        changed = np.flatnonzero(machine.tables.marks[: machine.row_count] & SAVE)
        return meta, [(POPULARITY, popularity)], changed

    def _pack(self, number: int) -> tuple[bytes, bytes]:
        tables = self.machine.tables
        tables.marks[number] &= np.uint8(0xFF ^ SAVE)
        included = max(self.machine.position - 1, int(tables.included[number]))
        return key(b"r", number), codec.pack_row(tables.rows, number, tables.sizes[number], included)

    def _appended(self) -> list[tuple[bytes, bytes]]:
        machine, records = self.machine, []
        if len(machine.items) > self._items:
            records.append((key(b"i", self._items), codec.pack_page(machine.items.ids[self._items :])))
            self._items = len(machine.items)
        if machine.row_count > self._rows:
            rows = machine.tables.item_of[self._rows : machine.row_count]
            records.append((key(b"w", self._rows), codec.pack_numbers(rows)))
            self._rows = machine.row_count
        for source, state in machine.sources.items():
            known = self._sources.get(source, 0)
            if len(state.items) > known:
                prefix = b"s" + _SOURCE.pack(*source)
                records.append((key(prefix, known), codec.pack_numbers(state.items[known:])))
                self._sources[source] = len(state.items)
        return records
