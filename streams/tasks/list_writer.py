"""Write the messages of an item machine's lists, and batches of them, as Kafka stores them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from state.items.lists import Lists
from state.items.machine import ItemMachine
from state.items.row_layout import MASS
from streams.messages.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.messages.record_batches import Framed, compressed, frame, successive
from streams.tasks.passes import RowNumbers


class Ranked(NamedTuple):
    """Messages of lists to be sent as a batch, and their rows."""

    framed: Framed
    rows: RowNumbers


class ListWriter:
    """Writes the messages of one machine's lists, for the topic of related lists of a kind."""

    def __init__(self, machine: ItemMachine, kind: str) -> None:
        self._machine = machine
        self._ids = JsonIds(machine.items)
        self._kind = np.frombuffer(msgspec.json.encode(kind), np.uint8).copy()

    def batch(self, lists: Lists, which: RowNumbers) -> Ranked:
        """Return the messages of some of the lists, by their indices; an empty list is a tombstone."""
        values, ends = self._messages(lists, which)
        keys = self._ids.plain(self._machine.tables.item_of[lists.row[which]].astype(np.int64))
        framed = frame(keys, successive(values, ends), lists.length[which] == 0)
        return Ranked(Framed(compressed(framed), len(which)), lists.row[which])

    def message(self, item: int) -> bytes | None:
        """Return the present message of an item's list, None if it has none. The lock must be held."""
        lists = self._machine.view(item)
        if not lists.length[0]:
            return None
        values, ends = self._messages(lists, np.zeros(1, np.int64))
        return values[: ends[0]].tobytes()

    def _messages(
        self, lists: Lists, which: RowNumbers
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return the messages of lists one behind the other, with room behind them, and where each ends."""
        machine, ids = self._machine, self._ids
        ids.update()
        entry = ENTRY_BYTES + ids.longest
        out = np.empty(int((HEAD_BYTES + ids.longest + lists.length[which] * entry).sum()), np.uint8)
        ends = np.empty(len(which), np.int64)
        write_lists(
            out, ends, which, lists, machine.tables.item_of, machine.tables.rows.heads, MASS,
            machine.watermark_ms, machine.position, self._kind, ids.blob, ids.starts, ids.ends,
        )  # fmt: skip
        return out, ends
