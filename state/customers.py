"""The customer machine: from purchase events to deltas, one per partition of the purchases.

Its state is a function of the events of its partition alone: every customer's history (distinct items in
order of first purchase) and last event ids. `apply` changes the histories and returns, per item partition,
what that changes in the counts.

With a store behind it not all customers need be in memory: those of a batch are brought in before it is
applied. A customer in memory takes a slot (its number in the arrays below), and about
`CUSTOMER_BYTES` beside history and event ids; one who is not takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from state import histories as hs
from state import pairing
from state.budget import ids_limit
from state.deltas import Deltas, Source
from state.events import Event, EventBatch, Kind
from state.ids import Dictionary
from state.residents import Residents
from state.settings import CountingSettings

BATCH_EVENTS = 2_000
GONE_ITEMS = 250_000  # history items of removals in one message: 2 MB
CUSTOMER_BYTES = 256  # an id of 20 letters, its entries in a dictionary and a list, 41 bytes in arrays


class Backing(Protocol):
    """Where customers are who are not in memory."""

    def bring_in(self, customer_ids: list[str]) -> None:
        """Give those of these customers slots and their histories who have any."""


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
    budget_bytes
        Memory that histories and ids may take, None for any; may be changed at any time. `CustomerSaver`
        keeps to it.
    """

    settings: CountingSettings = field(default_factory=CountingSettings)
    source: Source = field(default_factory=lambda: Source(0, 0))
    partitions: int = 1
    partition_of: Callable[[str], int] = lambda _item_id: 0
    budget_bytes: int | None = None

    def __post_init__(self) -> None:
        self.customers = Residents()
        self.items = Dictionary()
        self.position = 0  # offset after the last record applied
        self.customer_count = 0  # customers with an item
        self.sent_ids = 0  # item ids that went out in deltas
        self.histories = hs.new_histories(1024)
        self.included = np.full(1024, -1, np.int64)  # per customer: offset its loaded record has
        self.changed = np.zeros(1024, np.uint8)  # per customer: not stored since it changed
        self.counted = np.zeros(1024, np.uint8)  # per customer: stored with an item
        self.used = np.zeros(1024, np.uint8)  # per customer: since the clock's hand came by
        self.erased: dict[str, int] = {}  # customers to erase from the store, and whether `counted` there
        self.backing: Backing | None = None
        self.whole = True  # all customers are in memory
        self.item_partitions = np.zeros(1024, np.uint16)
        self.placed = 0  # items whose partition is known

    def batch(self, events: Iterable[Event]) -> EventBatch:
        """Events as the next batch of the log, for use without Kafka."""
        events = list(events)
        self.bring_in([e.customer_id for e in events], [e.item_id for e in events])
        return EventBatch.of_events(events, self.customers, self.items, self.position)

    def bring_in(self, customer_ids: Iterable[str], item_ids: Iterable[str]) -> None:
        """Have customers and items in memory, as far as they are known: before they are given numbers."""
        self.items.limit = ids_limit(self.budget_bytes)
        self.items.prefetch(item_ids)
        if not self.whole and self.backing is not None:
            known, erased = self.customers.numbers, self.erased
            missing = [c for c in dict.fromkeys(customer_ids) if c not in known and c not in erased]
            if missing:
                self.backing.bring_in(missing)

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
                break
        self.used[batch.customers] = 1
        erased = (outcomes == pairing.GONE) | (outcomes == pairing.EMPTIED)
        self._erase(batch.customers[(batch.kinds == Kind.FORGET) & erased])
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
        new_ids = list(self.items.since(self.sent_ids))
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

    def _erase(self, slots: npt.NDArray[np.uint32]) -> None:
        """Leave nothing of customers who were forgotten, unless they came back in the same batch."""
        for slot in np.unique(slots).tolist():
            customer_id = self.customers.id(slot)
            if self.backing is not None:
                self.erased[customer_id] = self.erased.get(customer_id, 0) | int(self.counted[slot])
            self.counted[slot] = 0
            if self.histories.length[slot] == 0 and self.histories.seen[slot] == 0:
                self._vacate(slot)

    def _vacate(self, slot: int) -> None:
        self.customers.remove(slot)
        self.included[slot] = -1
        self.changed[slot] = self.counted[slot] = self.used[slot] = 0

    # ------------------------------------------------------------------ memory

    def footprint_bytes(self) -> int:
        """Memory that customers take, gaps between their blocks included."""
        return hs.footprint_bytes(self.histories) + CUSTOMER_BYTES * len(self.customers)

    def slot_bytes(self) -> npt.NDArray[np.int64]:
        """What each customer in memory takes; 0 for a free slot."""
        n = self.customers.slots
        taken = np.zeros(n, np.int64)
        taken[list(self.customers.numbers.values())] = CUSTOMER_BYTES
        return taken + hs.block_bytes(self.histories)[:n]

    def evict(self, slots: npt.NDArray[np.int64]) -> None:
        """Drop customers from memory, all of whom are stored as they are."""
        assert not self.changed[slots].any()
        hs.forget(self.histories, slots)
        self.whole = False
        for slot in slots.tolist():
            self._vacate(slot)

    def make_room(self) -> None:
        """Room for every customer and item known by now."""
        while self.customers.slots > len(self.included):
            capacity = 2 * len(self.included)
            self.histories = hs.grow_histories(self.histories, capacity)
            self.included = np.append(self.included, np.full(len(self.included), -1))
            self.changed, self.counted, self.used = (
                np.append(old, np.zeros_like(old)) for old in (self.changed, self.counted, self.used)
            )
        if len(self.items) > len(self.item_partitions):
            grown_items = np.zeros(max(len(self.items), 2 * len(self.item_partitions)), np.uint16)
            grown_items[: len(self.item_partitions)] = self.item_partitions
            self.item_partitions = grown_items
        for number, item_id in enumerate(self.items.since(self.placed), self.placed):
            self.item_partitions[number] = self.partition_of(item_id)
        self.placed = len(self.items)

    def history(self, customer_id: str) -> list[Purchased]:
        """A customer's items in order of first purchase; empty for an unknown customer."""
        self.bring_in([customer_id], [])
        slot = self.customers.get(customer_id)
        if slot is None or slot >= len(self.included):
            return []
        items, *columns = (column.tolist() for column in hs.read(self.histories, slot))
        return [
            Purchased(item_id, quantity, first, last)
            for item_id, quantity, first, last in zip(self.items.ids(items), *columns, strict=True)
        ]
