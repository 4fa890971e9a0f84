"""Customers in memory: what the customer machine and the crossing machine have in common.

With a store, not all customers need be in memory: those of a batch are brought in before it is applied. A
customer in memory takes a slot (a number in the arrays below), and about `CUSTOMER_BYTES` in addition to the
history and the event ids. A customer who is not in memory takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from state.customers import histories as hs
from state.customers import history_memory
from state.customers.profiles import Profiles
from state.customers.residents import Residents
from state.memory.arrays import longer
from state.memory.budget import ids_limit
from state.memory.ids import Dictionary
from state.memory.item_ids import item_hashes
from state.messages.deltas import Source
from state.settings import CountingSettings

CUSTOMER_BYTES = 256  # an id of 20 letters, its entries in a dictionary and a list, 54 bytes in arrays


Entries = tuple[str, npt.NDArray[np.uint32], npt.NDArray[np.int64]]
"""A customer, the entries of the history, and the times of the events that added them."""


class HistoryBacking(Protocol):
    """Where the customers are who are not in memory."""

    def bring_in(self, customer_ids: list[str]) -> None:
        """Give slots and their histories to those of these customers who are stored."""

    def others(self) -> Iterator[Entries]:
        """Yield the customers with an item who are not in memory."""


@dataclass
class CustomerMemory:
    """The customers of one partition, with their histories.

    Parameters
    ----------
    settings
        The counting settings; `window` matters here.
    source
        The source that the machine's deltas name.
    partitions, partitions_of
        The number of item partitions, and the function from ids of items to their partitions.
    budget_bytes
        The memory that histories and ids may take, None for any amount. It may be changed at any time;
        `CustomerSaver` keeps to it.
    """

    settings: CountingSettings = field(default_factory=CountingSettings)
    source: Source = field(default_factory=lambda: Source(0, 0))
    partitions: int = 1
    partitions_of: Callable[[Sequence[str]], npt.ArrayLike] = lambda item_ids: [0] * len(item_ids)
    budget_bytes: int | None = None

    def __post_init__(self) -> None:
        self.customers = Residents()
        self.profiles = Profiles()
        self.items = Dictionary()
        self.position = 0  # offset after the last record applied
        self.customer_count = 0  # customers with an item
        self.sent_ids = 0  # item ids that went out in deltas
        self.sent_to = 0  # everything that follows from earlier offsets is in Kafka, and in what was loaded
        self.histories = hs.new_histories(1024)
        self.included = np.full(1024, -1, np.int64)  # per customer: offset its loaded record has
        self.changed = np.zeros(1024, np.uint8)  # per customer: not stored since it changed
        self.counted = np.zeros(1024, np.uint8)  # per customer: stored with an item
        self.used = np.zeros(1024, np.uint8)  # per customer: used since the clock's hand last passed
        self.erased: dict[str, int] = {}  # customers to erase from the store, and whether `counted` there
        self.newest_ms = -1  # time of the newest event that added an item; kept if the machine publishes late
        self.backing: HistoryBacking | None = None
        self.whole = True  # all customers are in memory
        self.evicted = 0  # how often a customer was dropped from memory
        self.item_partitions = np.zeros(1024, np.uint16)
        self.item_hashes = np.zeros(1024, np.uint64)
        self.placed = 0  # items whose partition and hash are known

    def identity(self) -> dict[str, Any]:
        """Return the settings that the state depends on, as the store's META has them."""
        return {
            "window": self.settings.window, "partitions": self.partitions,
            "most_a_day": self.settings.most_a_day,
        }  # fmt: skip

    def born(self) -> dict[str, Any]:
        """Return what META has from the first record in the store on, even while the position is still 0."""
        return {}

    def noted(self) -> dict[str, Any]:
        """Return what META has in addition to the machine's position."""
        return {}

    def recall(self, meta: dict[str, Any]) -> None:
        """Restore what `noted` returned, from a store's META, which is empty for a new store.

        The position is set by the caller.
        """

    def bring_in(self, customer_ids: Iterable[str], item_ids: Iterable[str]) -> None:
        """Bring the known ones of these customers and items into memory, before they are given numbers."""
        self.items.limit = ids_limit(self.budget_bytes)
        self.items.prefetch(item_ids)
        if not self.whole and self.backing is not None:
            known, erased = self.customers.numbers, self.erased
            missing = [c for c in dict.fromkeys(customer_ids) if c not in known and c not in erased]
            if missing:
                self.backing.bring_in(missing)

    def everyone(self) -> Iterator[Entries]:
        """Yield every customer with an item, in memory or not. Nothing may change during the iteration."""
        for slot in np.flatnonzero(self.histories.length[: self.customers.slots]).tolist():
            entries, _, times_ms, *_ = history_memory.read(self.histories, slot)
            yield self.customers.id(slot), entries, times_ms
        if not self.whole and self.backing is not None:
            yield from self.backing.others()

    def erase(self, slots: npt.NDArray[np.uint32]) -> None:
        """Erase customers who were forgotten, unless they came back in the same batch."""
        for slot in np.unique(slots).tolist():
            customer_id = self.customers.id(slot)
            if self.backing is not None:
                self.erased[customer_id] = self.erased.get(customer_id, 0) | int(self.counted[slot])
            self.counted[slot] = 0
            if self.histories.length[slot] == 0 and self.histories.seen[slot] == 0:
                self._vacate(slot)
            else:
                days = history_memory.read(self.histories, slot)[4]
                self.profiles.blot_out(slot, (days >> hs.PROFILE_BITS).tolist())

    def _vacate(self, slot: int) -> None:
        self.customers.remove(slot)
        self.profiles.drop(slot)
        self.included[slot] = -1
        self.changed[slot] = self.counted[slot] = self.used[slot] = 0

    # ------------------------------------------------------------------ memory

    def footprint_bytes(self) -> int:
        """Return the memory that customers take, gaps between their blocks included."""
        return history_memory.footprint_bytes(self.histories) + CUSTOMER_BYTES * len(self.customers)

    def slot_bytes(self) -> npt.NDArray[np.int64]:
        """Return what each customer in memory takes; 0 for a free slot."""
        n = self.customers.slots
        taken = np.zeros(n, np.int64)
        taken[list(self.customers.numbers.values())] = CUSTOMER_BYTES
        return taken + history_memory.block_bytes(self.histories)[:n]

    def evict(self, slots: npt.NDArray[np.int64]) -> None:
        """Drop customers from memory; all of them must be stored as they are."""
        assert not self.changed[slots].any()
        hs.forget(self.histories, slots)
        self.whole = False
        self.evicted += len(slots)
        for slot in slots.tolist():
            self._vacate(slot)

    def make_room(self) -> None:
        """Make room for every customer and item known by now."""
        while self.customers.slots > len(self.included):
            capacity = 2 * len(self.included)
            self.histories = hs.grow_histories(self.histories, capacity)
            self.included = np.append(self.included, np.full(len(self.included), -1))
            self.changed, self.counted, self.used = (
                np.append(old, np.zeros_like(old)) for old in (self.changed, self.counted, self.used)
            )
        if len(self.items) > len(self.item_partitions):
            n = max(len(self.items), 2 * len(self.item_partitions))
            self.item_partitions = longer(self.item_partitions, n)
            self.item_hashes = longer(self.item_hashes, n)
        if len(self.items) > self.placed:
            fresh = list(self.items.since(self.placed))
            self.item_partitions[self.placed : len(self.items)] = self.partitions_of(fresh)
            self.item_hashes[self.placed : len(self.items)] = item_hashes(fresh)
            self.placed = len(self.items)
