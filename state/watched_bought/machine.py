"""The crossing machine: it turns history changes into what those who watched an item went on to buy.

Its state is a function of the history changes of its partition alone: for each customer the items watched and
the items bought, each with the time of the event that brought it into the history. A watched X and a bought Y
of a customer are a pair if Y was first bought within `days` of event time after X was first watched. X itself
is included: who watches a film and then buys it went on to buy it. Nothing depends on how the logs of watches
and of purchases interleave, only on what is in the histories in the end. Purchases that were not published as
they came are transferred later, all at once (`state.watched_bought.exchange`).

Histories lie in memory and in the store as those of a customer machine do (`state.customers.histories`). The
number of an entry is twice the item's, plus one for a watch; the quantity of a watch is the number of items
it pairs with, plus one. The offsets in its messages number the effects that it has applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from state.customers import histories as hs
from state.customers import history_memory
from state.customers.memory import CustomerMemory
from state.memory.budget import ids_limit
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED, HistoryChanges
from state.messages.pair_changes import Buyers, PairChanges, Pairs, Sizes
from state.messages.transfer import Step, Transfer
from state.watched_bought.crossing import Crossed, cross, new_crossed

DAY_MS = 86_400_000
ROOM = 20_000  # pairs in one message, beyond those of one effect: 340 KB


@dataclass
class CrossingMachine(CustomerMemory):
    """What the customers of one partition watched and bought. See `CustomerMemory` for the other parameters.

    Parameters
    ----------
    days
        For how long after a watch a purchase counts.

    Attributes
    ----------
    applied : int
        The number of effects applied so far.
    ends : dict[Source, int]
        By source, the offset up to which its events are applied.
    gaps_seen, unpublished : int
        How many messages were dropped because one before them is missing; how many offsets a source never
        published history changes of, because it was not asked to then.
    watched, asked : bool
        Whether any watch was ever published here, and whether all partitions were asked for purchases since.
    wanted : bool
        Whether purchases are to be published here, because somebody watched something in any partition.
    begun, finished : dict[Source, int]
        By source, the number of the transfer that is under way, and of the one that ended last.
    unsettled_at : int
        The position of the message that the transfer under way, or to come, follows from; -1 without any.
    """

    days: int = 30
    applied: int = 0
    gaps_seen: int = 0
    unpublished: int = 0
    ends: dict[Source, int] = field(default_factory=dict)
    watched: bool = False
    asked: bool = False
    wanted: bool = False
    begun: dict[Source, int] = field(default_factory=dict)
    finished: dict[Source, int] = field(default_factory=dict)
    unsettled_at: int = -1

    def identity(self) -> dict[str, Any]:
        """Return the settings that the state depends on."""
        return {**super().identity(), "watched_bought_days": self.days}

    def noted(self) -> dict[str, Any]:
        """Return how far each source is applied."""
        by_source = {"ends": self.ends, "begun": self.begun, "finished": self.finished}
        return {
            "applied": self.applied, "watched": self.watched, "asked": self.asked, "wanted": self.wanted,
            "unsettled_at": self.unsettled_at,
            **{name: [[*source, n] for source, n in some.items()] for name, some in by_source.items()},
        }  # fmt: skip

    def recall(self, meta: dict[str, Any]) -> None:
        """Restore what `noted` returned."""
        self.ends, self.begun, self.finished = (
            {Source(topic, partition): n for topic, partition, n in meta.get(name, ())}
            for name in ("ends", "begun", "finished")
        )
        self.applied, self.unsettled_at = int(meta.get("applied", 0)), int(meta.get("unsettled_at", -1))
        self.asked = bool(meta.get("asked"))
        # a store of a version that did not ask has everything of this partition, but others may wait
        topics = {source.topic for source in self.ends}
        self.watched = bool(meta.get("watched", WATCHED in topics))
        self.wanted = bool(meta.get("wanted", BOUGHT in topics))

    def apply(
        self, message: HistoryChanges | Transfer, position: int | None = None
    ) -> list[list[PairChanges]]:
        """Apply one message; return for each item partition the changes that follow, none for a known
        message.

        As an item machine does, it drops a message that it has applied, and one before which a message is
        missing.

        Parameters
        ----------
        message
            History changes, or a message of a transfer.
        position
            The message's offset in first-events if it is from there; by default the one after the last
            message.
        """
        position = self.position if position is None else position
        messages: list[list[PairChanges]] = [[] for _ in range(self.partitions)]
        end = self.ends.get(message.source, 0)
        if isinstance(message, Transfer):
            self._apply_transfer(message, position, messages)
        elif message.source in self.begun:
            self.gaps_seen += 1  # a transfer of everything that the source has is under way
        elif message.first > max(end, message.since):
            self.gaps_seen += 1
        elif message.end > end:
            self.unpublished += max(0, message.first - end)
            self.ends[message.source] = message.end
            self.wanted |= message.source.topic == BOUGHT
            fresh = int(np.searchsorted(message.offsets, max(0, end - message.first)))
            if fresh < len(message.offsets):
                self.watched |= message.source.topic == WATCHED
                self._apply_fresh(message, fresh, position, messages)
        self.position = position + 1
        return messages

    def _apply_transfer(self, message: Transfer, position: int, messages: list[list[PairChanges]]) -> None:
        source = message.source
        if message.step == Step.ASK:
            if not self.wanted:
                self.wanted, self.unsettled_at = True, position
        elif message.step == Step.BEGIN:
            if message.number == self.finished.get(source):
                return
            if source not in self.begun and (source in self.ends or self.unsettled_at < 0):
                self.unsettled_at = position
            self.begun[source] = message.number
        elif message.changes is None or message.number != self.begun.get(source):
            self.gaps_seen += 1
        else:
            if len(message.changes.offsets):
                self._apply_fresh(message.changes, 0, position, messages)
            if message.step == Step.LAST:
                self.finished[source] = self.begun.pop(source)
                self.ends[source], self.unsettled_at = message.changes.end, -1

    def side(self, side: int) -> dict[str, dict[str, int]]:
        """Return what customers watched, or bought: times in ms by customer and item."""
        found: dict[str, dict[str, int]] = {}
        for customer, entries, times_ms in self.everyone():
            of_side = entries & 1 == side
            if of_side.any():
                items = self.items.ids((entries[of_side] >> 1).tolist())
                found[customer] = dict(zip(items, times_ms[of_side].tolist(), strict=True))
        return found

    def _apply_fresh(
        self, events: HistoryChanges, done: int, position: int, messages: list[list[PairChanges]]
    ) -> None:
        self.items.limit = ids_limit(self.budget_bytes)
        self.bring_in(events.customers, events.item_ids)
        slots = np.array([self.customers.number(name) for name in events.customers], np.int64)
        numbers = np.array([self.items.number(name) for name in events.item_ids], np.int64)
        self.make_room()
        whose, items = slots[events.whose], numbers[events.items]
        within, most = self.days * DAY_MS, 2 * self.settings.window
        while done < len(items):
            room = int(self.histories.length[slots].max()) + 1 + ROOM
            out = new_crossed(len(items) - done, room)
            n, buyers, sizes, pairs, gained = cross(
                self.histories, self.included, self.changed, position, events.source.topic == WATCHED, within,
                most, whose[done:], items[done:], events.effects[done:], events.times_ms[done:], out,
            )  # fmt: skip
            self.customer_count += gained
            crossed = Crossed(
                Buyers._make(column[:buyers] for column in out.buyers),
                Sizes._make(column[:sizes] for column in out.sizes),
                Pairs._make(column[:pairs] for column in out.pairs),
            )
            new_ids = list(self.items.since(self.sent_ids))
            for partition, to in enumerate(messages):
                to.append(self._message(partition, crossed, n, new_ids))
            self.applied += n
            self.sent_ids = len(self.items)
            done += n
        self.used[slots] = 1
        emptied = slots[self.histories.length[slots] == 0]
        hs.forget(self.histories, emptied)
        self.erase(emptied.astype(np.uint32))

    def _message(self, partition: int, crossed: Crossed, n: int, new_ids: list[str]) -> PairChanges:
        """Return what an item partition needs of the next n effects: all buyers, and what concerns its own
        items.
        """
        sizes, pairs = (
            [column[self.item_partitions[changed.items] == partition] for column in changed]
            for changed in (crossed.sizes, crossed.pairs)
        )
        return PairChanges(
            self.source, self.applied, self.applied + n, self.customer_count, self.sent_ids,
            new_ids, self.item_partitions[self.sent_ids : len(self.items)],
            crossed.buyers, Sizes(*sizes), Pairs(*pairs),
        )  # fmt: skip

    def crossed(self, customer_id: str) -> tuple[dict[str, int], dict[str, int]]:
        """Return what a customer watched and bought: times in ms by item, empty for an unknown customer."""
        self.bring_in([customer_id], [])
        slot = self.customers.get(customer_id)
        found: tuple[dict[str, int], dict[str, int]] = {}, {}
        if slot is None or slot >= len(self.included):
            return found
        entries, _, times_ms, *_ = history_memory.read(self.histories, slot)
        for item_id, entry, time_ms in zip(
            self.items.ids((entries >> 1).tolist()), entries.tolist(), times_ms.tolist(), strict=True
        ):
            found[0 if entry & 1 == WATCHED else 1][item_id] = time_ms
        return found
