"""The customer machine's store.

m            META: window, partitions, log, position to replay from
k            TOTALS
f            NEWEST, of a machine that publishes late
t            SENT: before which offset all that follows from events was sent
H customer   HISTORY, the customer's id hashed (`state.customers.keys`)
I item id    NUMBER of an item
N number     ID of an item
w number     NUMBERS: partitions of the items from that number on
x number     HASHES of these items

A forgotten customer's record is deleted in the next step, while META may still have a replay begin before the
event. That replay changes nothing. What was stored had been acknowledged by Kafka (SENT), so nothing of it is
sent again. The customer, who has an empty history in the replay, is erased once more at the same event; a
customer who came back has a record that includes what is replayed. The only difference is that a return may
reach the dead letters because the purchases it refers to are erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from state.customers import codec as history_codec
from state.customers import history_memory
from state.customers.keys import HISTORY, history_key
from state.customers.memory import CustomerMemory, Entries
from state.errors import CorruptRecord
from state.memory.budget import KEPT, records_bytes
from state.memory.eviction import second_chance
from state.storage import codec
from state.storage.saving import TOTALS, Saver, key
from state.storage.store import Records, Store
from state.storage.stored_ids import StoredIds

PARTITIONS, HASHES, SENT, NEWEST = b"w", b"x", b"t", b"f"
Machine = TypeVar("Machine", bound=CustomerMemory)
WRITTEN_AT_ONCE = 256


class CustomerSaver(Saver, Generic[Machine]):
    """Saves and loads one customer machine or crossing machine, and keeps it within its memory budget."""

    def __init__(self, machine: Machine, store: Store, log: str | None = None) -> None:
        super().__init__(store, log)
        self.machine = machine
        machine.backing = self
        self._ids = StoredIds(store)
        self._customers = 0  # stored with an item
        self._totals = (0, 0)
        self._newest_ms = -1
        self._placed = 0
        self._sent_to = 0
        self._erased: list[bytes] = []  # keys to purge
        self._hand = 0
        machine.items.keep_in(self._ids)

    def position(self) -> int:
        """Return the machine's position."""
        return self.machine.position

    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""
        self.stored = self.machine.position = position
        self.machine.recall({})

    def load(self) -> None:
        """Fill the empty machine from the store; with a budget, customers are read when they are needed.

        Raises
        ------
        BadSettings, ForeignLog, UnknownLayout, CorruptRecord
        """
        machine = self.machine
        meta = self._open()
        raw = self.store.get(TOTALS)
        self._totals = codec.unpack_totals(TOTALS, raw) if raw is not None else (0, 0)
        n_items, self._customers = self._totals
        machine.items.open(self._ids, n_items, whole=machine.budget_bytes is None)
        pages = [codec.unpack_numbers(k, v) for k, v in self.store.scan(PARTITIONS)]
        if pages:
            machine.item_partitions = np.concatenate(pages).astype(np.uint16)
            hashes = [codec.unpack_hashes(k, v) for k, v in self.store.scan(HASHES)]
            machine.item_hashes = np.concatenate(hashes)
            machine.placed = self._placed = len(machine.item_partitions)
        machine.make_room()
        if machine.budget_bytes is None:
            for k, v in self.store.scan(HISTORY):
                self._fill(*history_codec.history_customer(k, v), k, v)
        machine.whole = machine.budget_bytes is None
        machine.customer_count = self._customers
        machine.sent_ids = n_items
        if (raw := self.store.get(SENT)) is not None:
            machine.sent_to = self._sent_to = codec.unpack_sent(SENT, raw)
        machine.position = self.stored
        newest = self.store.get(NEWEST)
        if newest is not None:
            machine.newest_ms = self._newest_ms = codec.unpack_newest(NEWEST, newest)
        machine.recall(meta or {})

    def bring_in(self, customer_ids: list[str]) -> None:
        """Give slots and their histories to those of these customers who are stored.

        Raises
        ------
        CorruptRecord
        """
        keys = [history_key(customer_id) for customer_id in customer_ids]
        for customer_id, k, raw in zip(customer_ids, keys, self.store.get_many(keys), strict=True):
            if raw is not None:
                stored_id, profiles = history_codec.history_customer(k, raw)
                if stored_id != customer_id:
                    raise CorruptRecord(f"record {k!r} of customer {customer_id!r} is another customer's")
                self._fill(customer_id, profiles, k, raw)

    def others(self) -> Iterator[Entries]:
        """Yield the stored customers with an item who are not in memory.

        Raises
        ------
        CorruptRecord
        """
        machine = self.machine
        for k, raw in self.store.scan(HISTORY):
            customer_id, _ = history_codec.history_customer(k, raw)
            if customer_id not in machine.customers.numbers and customer_id not in machine.erased:
                entries, times_ms = history_codec.history_entries(k, raw)
                if len(entries):
                    yield customer_id, entries, times_ms

    def _fill(self, customer_id: str, profiles: list[str], k: bytes, raw: bytes) -> None:
        machine = self.machine
        slot = machine.customers.number(customer_id)
        machine.make_room()
        machine.profiles.put(slot, profiles)
        machine.included[slot] = history_codec.unpack_history(machine.histories, slot, k, raw)
        machine.counted[slot] = machine.histories.length[slot] > 0

    def over_budget(self) -> bool:
        """Return whether customers take more than the budget allows."""
        budget = self.machine.budget_bytes
        return budget is not None and self.machine.footprint_bytes() > records_bytes(budget)

    def shrink(self) -> None:
        """Store customers who were not used lately, and drop them from memory. All deltas must be
        acknowledged.
        """
        machine, budget = self.machine, self.machine.budget_bytes
        if budget is None:
            return
        n_bytes = machine.slot_bytes()
        excess = int(n_bytes.sum()) - int(KEPT * records_bytes(budget))
        if excess > 0:
            used = machine.used[: len(n_bytes)] > 0
            dropped, spared, self._hand = second_chance(self._hand, used, n_bytes, excess)
            machine.used[spared] = 0
            changed = dropped[machine.changed[dropped] > 0]
            for start in range(0, len(changed), WRITTEN_AT_ONCE):
                some = changed[start : start + WRITTEN_AT_ONCE].tolist()
                self._write(self._pack(some))
            machine.evict(dropped)
        history_memory.close_gaps(machine.histories)

    def _identity(self) -> dict[str, Any]:
        return self.machine.identity()

    def _born(self) -> dict[str, Any]:
        return self.machine.born()

    def _begin(self) -> tuple[dict[str, Any], Records, npt.NDArray[np.int64]]:
        return (
            {"position": self.machine.position, **self.machine.noted()},
            [],
            np.flatnonzero(self.machine.changed),
        )

    def _pack(self, numbers: list[int]) -> Records:
        return [self._packed(number) for number in numbers if self.machine.changed[number]]

    def _packed(self, number: int) -> tuple[bytes, bytes]:
        machine = self.machine
        machine.changed[number] = 0
        counted = int(machine.histories.length[number] > 0)
        self._customers += counted - int(machine.counted[number])
        machine.counted[number] = counted
        customer_id = machine.customers.id(number)
        included = max(machine.position - 1, int(machine.included[number]))
        packed = history_codec.pack_history(
            machine.histories, number, customer_id, included, machine.profiles.of(number)
        )
        return history_key(customer_id), packed

    def _appended(self) -> Records:
        machine, items = self.machine, self.machine.items
        records = self._ids.records(items.written, list(items.since(items.written)))
        items.written = len(items)
        sent_to = max(machine.position, machine.sent_to)  # in a replay the position is before it
        if sent_to > self._sent_to:
            records.append((SENT, codec.pack_sent(sent_to)))
            self._sent_to = sent_to
        if machine.placed > self._placed:
            partitions = machine.item_partitions[self._placed : machine.placed]
            hashes = machine.item_hashes[self._placed : machine.placed]
            records.append((key(PARTITIONS, self._placed), codec.pack_numbers(partitions)))
            records.append((key(HASHES, self._placed), codec.pack_hashes(hashes)))
            self._placed = machine.placed
        for customer_id, counted in machine.erased.items():
            records.append((history_key(customer_id), None))
            self._erased.append(history_key(customer_id))
            self._customers -= counted
        machine.erased.clear()
        if self._totals != (len(items), self._customers):
            self._totals = len(items), self._customers
            records.append((TOTALS, codec.pack_totals(*self._totals)))
        if self._newest_ms != machine.newest_ms:
            # written with the records it covers: a replay skips the events that records include
            self._newest_ms = machine.newest_ms
            records.append((NEWEST, codec.pack_newest(self._newest_ms)))
        return records

    def _swept(self) -> None:
        self.store.purge(self._erased)
        self._erased = []
