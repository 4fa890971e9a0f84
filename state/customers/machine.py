"""The customer machine: it turns purchase events into deltas, one machine per partition of the purchases.

Its state is a function of the events of its partition alone: every customer's history (distinct items in
order of first purchase) and last event ids, and how far each source that numbers its events is applied.
`apply` changes the histories and returns, for each item partition, how the counts change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state.customers import histories as hs
from state.customers import history_memory, pairing
from state.customers.actions import Action
from state.customers.event_sources import EventSources
from state.customers.events import Event, EventBatch
from state.customers.memory import CustomerMemory
from state.customers.messages import DeltaMessages, Part, history_changes
from state.messages.deltas import Deltas, Source
from state.messages.history_changes import HistoryChanges

BATCH_EVENTS = 2_000
GONE_ITEMS = 250_000  # history items of removals in one message, and days of theirs: 6 MB at most


@dataclass(frozen=True)
class Purchased:
    """An item of a history.

    Attributes
    ----------
    days
        The number of days on which it was bought.
    recent
        How often it was bought, each purchase decayed to `last_ms` (tau 30 days).
    profile_id
        The profile that bought it last, if events name one.
    """

    item_id: str
    quantity: int
    first_ms: int
    last_ms: int
    days: int = 1
    recent: float = 1.0
    profile_id: str | None = None


@dataclass(frozen=True)
class Applied:
    """The result of applying a batch.

    Attributes
    ----------
    deltas : list[list[Deltas]]
        For each item partition its messages in order; none if the batch does not concern it.
    outcomes : uint8[n]
        For each event a value of `state.customers.pairing` (NEW, REPEAT, GONE, DUPLICATE, ...).
    history_changes : list[HistoryChanges]
        What is published to the crossing machine, if anything; together the messages cover the batch's
        offsets.
    """

    deltas: list[list[Deltas]]
    outcomes: npt.NDArray[np.uint8]
    history_changes: list[HistoryChanges]


@dataclass
class CustomerMachine(CustomerMemory):
    """The histories of one partition's customers. See `CustomerMemory` for the other parameters.

    Parameters
    ----------
    publishes_as
        The source as which it publishes its history changes to the crossing machine
        (`state.messages.history_changes`); None if there is no crossing machine.
    waits
        Whether a new machine publishes no history changes until it is asked to
        (`state.watched_bought.exchange`).
    pairs
        Whether it returns deltas. A machine that does not keeps the same histories, and its batches have
        outcomes but no deltas, which saves the time to make them.

    Attributes
    ----------
    published_from : int
        The offset from which on it has published, or will publish, all history changes.
    silent : bool
        Whether it has published no history changes yet.
    event_sources : EventSources
        How far each source that numbers its events is applied.
    """

    publishes_as: Source | None = None
    waits: bool = False
    pairs: bool = True
    published_from: int = 0
    silent: bool = field(default=False, init=False)
    event_sources: EventSources = field(default_factory=EventSources)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.silent = self.waits
        self._messages = DeltaMessages(self.partitions)

    @property
    def is_new(self) -> bool:
        """Whether it has applied nothing, so that it can publish all history changes as they come."""
        return self.position == self.published_from and len(self.items) == 0

    def born(self) -> dict[str, Any]:
        """Return that the machine is silent, if it is.

        A store without this entry is of a version whose machines did not wait, and published everything.
        """
        return {"silent": True} if self.silent else {}

    def noted(self) -> dict[str, Any]:
        """Return whether and from which offset on it publishes, and how far the sources of its events are
        applied.
        """
        publishes = self.publishes_as is not None or self.silent
        publishing = {"published_from": self.published_from} if publishes else {}
        return self.born() | publishing | {"sources": self.event_sources.noted()}

    def recall(self, meta: dict[str, Any]) -> None:
        """Restore what `noted` returned, or begin to publish."""
        self.published_from = int(meta.get("published_from", self.position))
        self.silent = bool(meta.get("silent", self.waits and not meta))
        self.event_sources.recall(meta.get("sources", []))

    def batch(self, events: Iterable[Event]) -> EventBatch:
        """Return events as the next batch of the log, for use without Kafka."""
        events = list(events)
        self.bring_in([e.customer_id for e in events], [e.item_id for e in events])
        return EventBatch.of_events(
            events, self.customers, self.items, self.profiles, self.event_sources, self.position
        )

    def apply(self, batch: EventBatch) -> Applied:
        """Apply a batch that begins at `position`; return what follows from it."""
        self.make_room()
        self.event_sources.make_room()
        deltas: list[list[Deltas]] = [[] for _ in range(self.partitions)]
        outcomes = np.empty(len(batch), np.uint8)
        published: list[HistoryChanges] = []
        done = 0
        while True:
            upto = min(done + BATCH_EVENTS, len(batch))
            applied, messages, history_changes = self._apply_some(batch, done, upto)
            published += history_changes
            outcomes[done : done + len(applied)] = applied
            for partition, message in messages:
                deltas[partition].append(message)
            done += len(applied)
            if done == len(batch):
                break
        self.used[batch.customers] = 1
        erased = (outcomes == pairing.GONE) | (outcomes == pairing.EMPTIED)
        self.erase(batch.customers[(batch.actions == Action.FORGET) & erased])
        if batch.sources.any():
            self._drop_strangers(batch.customers[outcomes == pairing.DUPLICATE])
            self.event_sources.tidy()
        return Applied(deltas, outcomes, published)

    def _apply_some(
        self, batch: EventBatch, start: int, stop: int
    ) -> tuple[npt.NDArray[np.uint8], list[tuple[int, Deltas]], list[HistoryChanges]]:
        """Apply events start .. stop or fewer.

        Return their outcomes, a message for each item partition concerned, and the history changes.
        """
        columns: list[Any] = [
            column[start:stop]
            for column in (
                batch.offsets, batch.actions, batch.customers, batch.items,
                batch.quantities, batch.times_ms, batch.hashes, batch.profiles,
                batch.sources, batch.sequences,
            )
        ]  # fmt: skip
        removing = columns[1] != 0
        room = self._room(columns[2][removing], stop - start) if removing.any() else 0
        window = self.settings.window if self.pairs else 0
        out = pairing.new_paired(stop - start, window, room)
        arguments: tuple[Any, ...] = (
            self.histories, self.included, self.event_sources.sequences, window,
            self.settings.most_a_day, *columns, out
        )  # fmt: skip
        n, gone, gained = pairing.pair(*arguments)
        self.customer_count += gained
        self.changed[columns[2][:n][out.outcomes[:n] < pairing.DUPLICATE]] = 1
        end = batch.end if start + n == len(batch) else int(batch.offsets[start + n])
        part = Part(columns, out, n, gone, end)
        messages = list(self._messages.of(self, part)) if self.pairs else []
        published: list[HistoryChanges] = []
        if self.waits or self.silent:
            came_ms = columns[5][:n][out.outcomes[:n] == pairing.NEW]
            self.newest_ms = max(self.newest_ms, int(came_ms.max(initial=-1)))
        if self.publishes_as is not None and not self.silent:
            published.append(history_changes(self, self.publishes_as, self.published_from, part))
        self.position = end
        return out.outcomes[:n], messages, published

    def _room(self, slots: npt.NDArray[np.uint32], events: int) -> int:
        """Return for how many items, and days, of histories a message has room; one event always fits."""
        lengths = self.histories.length[slots], self.histories.log_length[slots]
        return max(GONE_ITEMS, *(int(of_some.max()) + events for of_some in lengths))

    def _drop_strangers(self, slots: npt.NDArray[np.uint32]) -> None:
        """Drop customers of whom nothing is stored, and whose events were all published before."""
        histories = self.histories
        for slot in np.unique(slots).tolist():
            empty = histories.length[slot] == 0 and histories.seen[slot] == 0
            if empty and self.customers.known(slot) and self.included[slot] < 0 and not self.changed[slot]:
                self._vacate(slot)

    def history(self, customer_id: str) -> list[Purchased]:
        """Return a customer's items in order of first purchase; empty for an unknown customer."""
        self.bring_in([customer_id], [])
        slot = self.customers.get(customer_id)
        if slot is None or slot >= len(self.included):
            return []
        items, *columns = (column.tolist() for column in history_memory.read(self.histories, slot))
        names = [None, *(name or None for name in self.profiles.of(slot))]
        return [
            Purchased(
                item_id, quantity, first, last, days & hs.MOST_DAYS, recent, names[days >> hs.PROFILE_BITS]
            )
            for item_id, quantity, first, last, days, recent in zip(
                self.items.ids(items), *columns, strict=True
            )
        ]
