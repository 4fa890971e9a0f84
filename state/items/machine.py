"""The item machine: it turns deltas into related lists, one machine per partition of the items.

Its state is a function of the messages of its pair-deltas partition alone: for each item that it owns, a row
of co-occurrence counts, the buyers' opportunity sizes and the popularity. It drops what a source sends again,
and counts exactly as long as no row is full.

This file applies messages. `state.items.listing` ranks and reads the lists, and `state.items.memory` holds
the rows, and brings them in from the store.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from state import relatedness
from state.items import counting
from state.items.listing import ItemLists
from state.items.marks import absent_rows, mark_holders
from state.items.memory import SourceState
from state.items.pair_counting import count_pairs
from state.items.tables import new_pending
from state.messages.checking import check_deltas, check_pairs
from state.messages.deltas import Availability, Deltas, Source
from state.messages.pair_changes import PairChanges
from state.messages.wire import require
from state.popularity import counts as pop


@dataclass
class ItemMachine(ItemLists):
    """The counts and lists of one partition's items. See `ItemMemory` for the parameters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gaps_seen = 0  # how many messages were dropped because one before them is missing
        self.popularity_included = -1  # last message the loaded popularity has
        self.availability_stored = True
        self._pending = new_pending(1 << 16)

    def apply(self, deltas: Deltas, position: int | None = None) -> int:
        """Apply one message; return how many of its events were new.

        A message is dropped if it has been applied. It is also dropped if a message before it is missing: its
        source failed to send that one, and sends both again, because a source continues from where Kafka had
        acknowledged everything.

        Parameters
        ----------
        deltas
            The message.
        position
            The message's offset in pair-deltas if it is from there; by default the one after the last
            message.

        Raises
        ------
        NoMessage
            If the parts of the message do not fit together: nothing is changed then.
        """
        check_deltas(deltas, self.settings.window)
        position = self.position if position is None else position
        source = self.sources.setdefault(deltas.source, SourceState())
        applied = 0
        if deltas.previous > source.end:
            self.gaps_seen += 1
        else:
            numbers = self._number(deltas)
            if deltas.end > source.end:
                if self.absent:
                    self.bring_in(absent_rows(self.tables, numbers[: deltas.own]))
                applied = counting.count(
                    self.tables, position, self.popularity_included, source.end - deltas.first,
                    self.settings.window, self.settings.row_capacity, self.mode == relatedness.MIX,
                    self.settings.score_tolerance, numbers, deltas.own, deltas.words,
                    deltas.events, deltas.near, deltas.gone, deltas.histories, deltas.taken, self._pending,
                )  # fmt: skip
                source.end, source.customers = deltas.end, deltas.customers
        self.position = position + 1
        self.shrink()
        return int(applied)

    def _number(self, deltas: Deltas) -> npt.NDArray[np.int64]:
        """Return the numbers of a message's items; items of this partition get rows."""
        before = len(self.items)
        numbers = self.items.numbers(deltas.hashes)
        self.make_room()
        self._make_pending(2 * deltas.near)
        own = numbers[: deltas.own]
        for number in dict.fromkeys(own[self.tables.row_of[own] < 0].tolist()):
            self.add_row(number)
        if len(self.items) > before:
            self.tables.popularity.roots[before : len(self.items)] = -1.0  # in no list without an id
            self.others.adopt(self.items, self.tables, np.arange(before, len(self.items)))
        if deltas.new_ids:
            new = numbers[deltas.new_items]
            for number, name in zip(new.tolist(), deltas.new_ids, strict=True):
                self.items.name(number, name)
            pop.refresh_items(self.tables.popularity, new)
        return numbers

    def apply_pairs(self, changes: PairChanges, position: int | None = None) -> int:
        """Apply one message of a crossing machine, as `apply` does others; return how many effects were new.

        Only items that somebody watched get rows.

        Raises
        ------
        NoMessage
            If the message does not fit together, or to what is applied: nothing is changed then.
        """
        position = self.position if position is None else position
        known = self.sources.get(changes.source)
        check_pairs(changes, 0 if known is None else len(known.items), self.settings.window)
        source = self._source(changes.source, changes.first, begins=changes.base == 0)
        applied = 0
        if source is not None:
            self._learn(source, changes)
            if changes.end > source.end:
                self._count_pairs(source, changes, position)
                applied = changes.end - max(changes.first, source.end)
                source.end, source.customers = changes.end, changes.customers
        self.position = position + 1
        self.shrink()
        return applied

    def _count_pairs(self, source: SourceState, changes: PairChanges, position: int) -> None:
        own = source.items.astype(np.uint32)
        buyers, sizes, pairs = changes.buyers, changes.sizes, changes.pairs
        buyers, sizes = buyers._replace(items=own[buyers.items]), sizes._replace(items=own[sizes.items])
        pairs = pairs._replace(items=own[pairs.items], bought=own[pairs.bought])
        for item in np.unique(sizes.items).tolist():
            if self.tables.row_of[item] < 0:
                self.add_row(item)
        self.make_room()
        self._make_pending(len(pairs.items))
        if self.absent:
            self.bring_in(absent_rows(self.tables, sizes.items.astype(np.int64)))
            self.bring_in(absent_rows(self.tables, pairs.items.astype(np.int64)))
        count_pairs(
            self.tables, position, self.popularity_included, source.end - changes.first,
            self.settings.row_capacity, self.mode == relatedness.MIX, self.settings.score_tolerance,
            buyers, sizes, pairs, self._pending,
        )  # fmt: skip

    def apply_availability(self, message: Availability, position: int | None = None) -> int:
        """Apply a catalogue message; rows with an item that changed are marked for ranking."""
        position = self.position if position is None else position
        source = self._source(message.source, message.first, begins=False)
        changed = 0
        if source is not None and message.end > source.end:
            for name, available in zip(message.ids, message.available.tolist(), strict=True):
                number = self.items.get(name)
                if number is None and available:
                    continue  # items are available by default, so an unknown item needs no number
                number = self.items.number(name)
                self.make_room()
                if self.items.id(number) != name:
                    continue  # another id has the hash, and is not hidden for this one
                popularity = self.tables.popularity
                if popularity.available[number] != available:
                    popularity.available[number] = available
                    popularity.changes[number] += 1
                    self.availability_stored = False
                    pop.refresh_item(popularity, number)
                    mark_holders(self.tables, self.row_count, number)
                    changed += 1
            source.end = message.end
        self.position = position + 1
        return changed

    def _source(self, name: Source, first: int, *, begins: bool) -> SourceState | None:
        """Return the source of a message that covers offsets from `first` on; None if a message before is
        missing.

        A source that is new and sends its first ids (`begins`) may begin anywhere, as its log may have been
        cut off.
        """
        source = self.sources.setdefault(name, SourceState())
        if first <= source.end or (begins and source.end == 0):
            return source
        self.gaps_seen += 1
        return None

    def _learn(self, source: SourceState, changes: PairChanges) -> None:
        """Give numbers to the source's new items; raise NoMessage if those before them are missing."""
        known = len(source.items)
        require(
            changes.base <= known, "pair-deltas", f"items from {changes.base} on, of which {known} are known,"
        )
        fresh = changes.new_ids[known - changes.base :]
        if fresh:
            numbers = [self.items.number(name) for name in fresh]
            self.make_room()
            source.items = np.append(source.items, np.array(numbers, np.int32))

    def _make_pending(self, increments: int) -> None:
        """Make room for the increments of a message."""
        if increments > len(self._pending.row):
            self._pending = new_pending(2 * increments)
