"""The customer machine: from purchase events to deltas, one per partition of the purchases.

Its state is a function of the events of its partition alone: every customer's history (distinct items in
order of first purchase) and last event ids. `apply` changes the histories and returns, per item partition,
what that changes in the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state import histories as hs
from state import pairing
from state.deltas import Deltas, Source
from state.events import Event, EventBatch
from state.ids import Dictionary
from state.settings import CountingSettings

BATCH_EVENTS = 2_000
GONE_ITEMS = 250_000  # history items of removals in one message: 2 MB


@dataclass(frozen=True)
class Purchased:
    """An item of a history, in order of first purchase."""

    item_id: str
    quantity: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Applied:
    """What a batch did.

    Attributes
    ----------
    deltas : list[list[Deltas]]
        Per item partition the messages, in order; together they cover the batch's offsets.
    outcomes : uint8[n]
        Per event a value of `state.pairing` (NEW, REPEAT, GONE, DUPLICATE, ...).
    """

    deltas: list[list[Deltas]]
    outcomes: npt.NDArray[np.uint8]


@dataclass
class CustomerMachine:
    """The histories of one partition's customers.

    Parameters
    ----------
    settings
        Counting settings; `window` matters here.
    source
        What its deltas name as their source.
    partitions, partition_of
        Item partitions, and the partition of an item id.
    """

    settings: CountingSettings = field(default_factory=CountingSettings)
    source: Source = field(default_factory=lambda: Source(0, 0))
    partitions: int = 1
    partition_of: Callable[[str], int] = lambda _item_id: 0

    def __post_init__(self) -> None:
        self.customers = Dictionary()
        self.items = Dictionary()
        self.position = 0  # offset after the last record applied
        self.customer_count = 0  # customers with an item
        self.sent_ids = 0  # item ids that went out in deltas
        self.histories = hs.new_histories(1024)
        self.included = np.full(1024, -1, np.int64)  # per customer: offset its loaded record has
        self.changed = np.zeros(1024, np.uint8)  # per customer: not stored since it changed
        self.item_partitions = np.zeros(1024, np.uint16)
        self._placed = 0

    def batch(self, events: Iterable[Event]) -> EventBatch:
        """Events as the next batch of the log, for use without Kafka."""
        return EventBatch.of_events(events, self.customers, self.items, self.position)

    def apply(self, batch: EventBatch) -> Applied:
        """Apply a batch that follows `position`; returns what it changes."""
        self.make_room()
        deltas: list[list[Deltas]] = [[] for _ in range(self.partitions)]
        outcomes = np.empty(len(batch), np.uint8)
        done = 0
        while True:
            upto = min(done + BATCH_EVENTS, len(batch))
            applied, messages = self._apply_some(batch, done, upto)
            outcomes[done : done + len(applied)] = applied
            for to, message in zip(deltas, messages, strict=True):
                to.append(message)
            done += len(applied)
            if done == len(batch):
                return Applied(deltas, outcomes)

    def _apply_some(
        self, batch: EventBatch, start: int, stop: int
    ) -> tuple[npt.NDArray[np.uint8], list[Deltas]]:
        """Events start .. stop or fewer, as one message per item partition."""
        columns: list[Any] = [
            column[start:stop]
            for column in (
                batch.offsets, batch.kinds, batch.customers, batch.items,
                batch.quantities, batch.times_ms, batch.hashes,
            )
        ]  # fmt: skip
        removing = columns[1] != 0
        longest = int(self.histories.length[columns[2][removing]].max(initial=0)) + (stop - start)
        room = max(GONE_ITEMS, longest) if removing.any() else 0
        out = pairing.new_paired(stop - start, self.settings.window, room)
        arguments: tuple[Any, ...] = (self.histories, self.included, self.settings.window, *columns, out)
        n, gone, gained = pairing.pair(*arguments)
        self.customer_count += gained
        self.changed[columns[2][:n][out.outcomes[:n] < pairing.DUPLICATE]] = 1
        end = batch.end if start + n == len(batch) else int(batch.offsets[start + n])
        messages = list(self._messages(columns, out, n, gone, end))
        self.position = end
        self.sent_ids = len(self.items)
        return out.outcomes[:n], messages

    def _messages(
        self, columns: list[npt.NDArray[Any]], out: pairing.Paired, n: int, gone: int, end: int
    ) -> Iterator[Deltas]:
        counted = out.outcomes[:n] <= pairing.GONE
        which = np.flatnonzero(counted)
        offsets = (columns[0][which] - self.position).astype(np.uint32)
        items, times = columns[3][which].astype(np.uint32), columns[5][which].astype(np.int64)
        near_ends = out.near_ends[which]
        near_items = out.near_items[: near_ends[-1] if len(near_ends) else 0]
        gone_end = out.gone_ends[gone - 1] if gone else 0
        new_ids = self.items.ids[self.sent_ids :]
        for partition in range(self.partitions):
            ends, to_items, distances = pairing.route(
                partition, self.item_partitions, items, near_ends, near_items
            )
            yield Deltas(
                self.source, self.position, end, self.customer_count, self.sent_ids, new_ids,
                self.item_partitions[self.sent_ids : len(self.items)],
                offsets, items, out.outcomes[which], out.ranks[which],
                ends, times, to_items, distances,
                np.searchsorted(which, out.gone_events[:gone]).astype(np.uint32),
                out.gone_ranks[:gone], out.gone_ends[:gone].astype(np.uint32),
                out.gone_items[:gone_end], out.gone_minutes[:gone_end],
            )  # fmt: skip

    def make_room(self) -> None:
        """Room for every customer and item the dictionaries know by now."""
        while len(self.customers) > len(self.included):
            capacity = 2 * len(self.included)
            self.histories = hs.grow_histories(self.histories, capacity)
            grown = np.full(capacity, -1, np.int64)
            grown[: len(self.included)] = self.included
            self.included = grown
            self.changed = np.append(self.changed, np.zeros(capacity - len(self.changed), np.uint8))
        if len(self.items) > len(self.item_partitions):
            grown_items = np.zeros(max(len(self.items), 2 * len(self.item_partitions)), np.uint16)
            grown_items[: len(self.item_partitions)] = self.item_partitions
            self.item_partitions = grown_items
        for number in range(self._placed, len(self.items)):
            self.item_partitions[number] = self.partition_of(self.items.id(number))
        self._placed = len(self.items)

    def history(self, customer_id: str) -> list[Purchased]:
        """A customer's items in order of first purchase; empty for an unknown customer."""
        number = self.customers.get(customer_id)
        if number is None or number >= len(self.included):
            return []
        columns = hs.read(self.histories, number)
        return [
            Purchased(self.items.id(item), quantity, first, last)
            for item, quantity, first, last in zip(*(c.tolist() for c in columns), strict=True)
        ]
