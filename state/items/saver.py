"""The item machine's store.

m                         META: settings, partition, log, position to replay from, sources as they were then
h number                  HASHES of the items from that number on
n place, N place          NUMBERS and PAGE: items whose ids are known, from that place of them on, and the ids
w row                     NUMBERS: items of the rows from that row on
s topic partition number  NUMBERS: a source's items, from that number of the source on
c                         CLOCK
p block                   POPULARITY of a block of items
a                         HIDDEN
r row                     ROW
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from state.items import codec as item_codec
from state.items.machine import ItemMachine
from state.items.marks import ABSENT, SAVE
from state.items.memory import SourceState
from state.items.tables import BLOCK_BITS
from state.messages.deltas import Source
from state.popularity import counts as pop
from state.storage import codec
from state.storage.saving import Saver, key, number_of
from state.storage.store import Records, Store

CLOCK, POPULARITY, HIDDEN = b"c", b"p", b"a"
WRITTEN_AT_ONCE = 256
READ_AT_ONCE = 1_024
_SOURCE = struct.Struct(">HH")


class ItemSaver(Saver):
    """Saves and loads one item machine, and provides the rows that are not in memory."""

    def __init__(self, machine: ItemMachine, store: Store, log: str | None = None) -> None:
        super().__init__(store, log)
        self.machine = machine
        machine.backing = self
        self._hashes = self._names = self._rows = 0
        self._sources: dict[Source, int] = {}

    def position(self) -> int:
        """Return the machine's position."""
        return self.machine.position

    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""
        self.stored = self.machine.position = position

    def load(self) -> None:
        """Fill the empty machine from the store; with a budget, rows are read when they are needed.

        Raises
        ------
        BadSettings, ForeignLog, UnknownLayout, CorruptRecord
        """
        machine = self.machine
        meta = self._open()
        for topic, partition, end, customers in (meta or {}).get("sources", ()):
            machine.sources[Source(topic, partition)] = SourceState(end=end, customers=customers)
        for k, v in self.store.scan(b"h"):
            machine.items.numbers(codec.unpack_hashes(k, v))
        pages = zip(self.store.scan(b"n"), self.store.scan(b"N"), strict=True)
        for (number_key, numbers), (page_key, page) in pages:
            ids = codec.unpack_page(page_key, page)
            for number, name in zip(codec.unpack_numbers(number_key, numbers).tolist(), ids, strict=True):
                machine.items.name(number, name)
        self._hashes, self._names = len(machine.items), len(machine.items.named)
        for k, v in self.store.scan(b"s"):
            source = Source(*_SOURCE.unpack_from(k, 1))
            state = machine.sources.setdefault(source, SourceState())
            state.items = np.append(state.items, codec.unpack_numbers(k, v))
            self._sources[source] = len(state.items)
        machine.make_room()
        for k, v in self.store.scan(b"w"):
            for item in codec.unpack_numbers(k, v).tolist():
                machine.add_row(item)
        self._rows = machine.row_count
        machine.published.length[: machine.row_count] = -1
        if machine.budget_bytes is None:
            for some in _batched(self.store.scan(b"r"), READ_AT_ONCE):
                self._fill([number_of(k) for k, _ in some], some)
        else:
            machine.tables.marks[: machine.row_count] |= ABSENT
            machine.absent = machine.row_count
        self._load_popularity()
        machine.position = self.stored

    def _load_popularity(self) -> None:
        machine, popularity = self.machine, self.machine.popularity
        if (raw := self.store.get(HIDDEN)) is not None:
            item_codec.unpack_hidden(popularity, HIDDEN, raw)
        if (raw := self.store.get(CLOCK)) is not None:
            machine.popularity_included = item_codec.unpack_clock(popularity, CLOCK, raw)
            for k, v in self.store.scan(POPULARITY):
                item_codec.unpack_popularity(popularity, k, v)
            pop.count_recent(popularity)
        machine.take_in()

    def bring_in(self, rows: list[int]) -> None:
        """Fill rows from their records, if they have any.

        Raises
        ------
        CorruptRecord
        """
        keys = [key(b"r", row) for row in rows]
        found = [
            (row, (k, raw))
            for row, k, raw in zip(rows, keys, self.store.get_many(keys), strict=True)
            if raw is not None
        ]
        self._fill([row for row, _ in found], [record for _, record in found])

    def write_out(self, rows: list[int]) -> None:
        """Store those of these rows that changed."""
        for start in range(0, len(rows), WRITTEN_AT_ONCE):
            some = rows[start : start + WRITTEN_AT_ONCE]
            self._write(self._pack(some))

    def _fill(self, rows: Sequence[int], records: Sequence[tuple[bytes, bytes]]) -> None:
        if rows:
            tables = self.machine.tables
            item_codec.unpack_rows(tables.rows, rows, records, tables.sizes, tables.included)

    def _identity(self) -> dict[str, Any]:
        settings = self.machine.settings
        return {
            "window": settings.window,
            "row_capacity": settings.row_capacity,
            "partition": self.machine.partition,
        }

    def _begin(self) -> tuple[dict[str, Any], Records, npt.NDArray[np.int64]]:
        machine = self.machine
        meta = {
            "position": machine.position,
            "sources": [[*source, s.end, s.customers] for source, s in machine.sources.items()],
        }
        records = self._popularity()
        changed = np.flatnonzero(machine.tables.marks[: machine.row_count] & SAVE)
        return meta, records, changed

    def _popularity(self) -> Records:
        """Return the popularity that changed, all as of now, so it must be written at once."""
        machine, tables = self.machine, self.machine.tables
        # during a replay the loaded popularity may include more than the position
        included = max(machine.position - 1, machine.popularity_included)
        records: Records = [(CLOCK, item_codec.pack_clock(tables.popularity, included))]
        for block in np.flatnonzero(tables.popular_blocks).tolist():
            items = np.arange(block << BLOCK_BITS, min((block + 1) << BLOCK_BITS, len(machine.items)))
            if machine.others.view is not None:  # otherwise messages have the buyers of all items
                items = items[tables.row_of[items] >= 0]
            records.append((key(POPULARITY, block), item_codec.pack_popularity(tables.popularity, items)))
        tables.popular_blocks[:] = 0
        if not machine.availability_stored:
            records.append((HIDDEN, item_codec.pack_hidden(tables.popularity, len(machine.items))))
            machine.availability_stored = True
        return records

    def _pack(self, numbers: list[int]) -> Records:
        tables, position = self.machine.tables, self.machine.position
        which = np.array(numbers, np.int64)
        which = which[tables.marks[which] & SAVE > 0]
        tables.marks[which] &= np.uint8(0xFF ^ SAVE)
        records: Records = []
        for start in range(0, len(which), WRITTEN_AT_ONCE):
            some = which[start : start + WRITTEN_AT_ONCE]
            included = np.maximum(position - 1, tables.included[some])
            packed = item_codec.pack_rows(tables.rows, some, tables.sizes[some], included)
            records += [(key(b"r", row), raw) for row, raw in zip(some.tolist(), packed, strict=True)]
        return records

    def _appended(self) -> Records:
        machine, items = self.machine, self.machine.items
        records: Records = []
        if len(items) > self._hashes:
            hashes = items.hashes[self._hashes : len(items)]
            records.append((key(b"h", self._hashes), codec.pack_hashes(hashes)))
            self._hashes = len(items)
        if named := items.named[self._names :]:
            records.append((key(b"n", self._names), codec.pack_numbers(np.array(named))))
            records.append((key(b"N", self._names), codec.pack_page(items.ids(named))))
            self._names = len(items.named)
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


def _batched(records: Iterable[tuple[bytes, bytes]], n: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield records n at a time."""
    iterator = iter(records)
    while some := list(islice(iterator, n)):
        yield some
