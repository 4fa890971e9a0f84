"""One partition's customers of a kind: it trains the ranker on their events, and recommends to them.

Recommendations are made a moment after a customer's event, so that they follow the lists; at most about once
a second for the same customer; and not while a backlog is read, in which each customer waits once. What is
learnt is published by `learnt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka.errors import KafkaError
from faust.types import TP

from recommending.catalogue import Filter
from recommending.recommender import Shelf
from state.customers.actions import Action
from state.customers.machine import CustomerMachine
from state.customers.pairing import INCLUDED, LIMITED, NEW, REPEAT
from state.customers.saver import CustomerSaver
from state.messages.deltas import Source
from state.storage.saving import Saver
from state.storage.store import RocksStore
from streams.kinds import EVENTS_SOURCE, EventKind, kinds_of
from streams.messages.checks import EventTypes
from streams.messages.decoding import decode_events
from streams.messages.schema import REPORTED, Progress
from streams.process.threads import in_thread
from streams.recommending.advice import Advice
from streams.recommending.learnt import LearntPublisher
from streams.recommending.messages import Recommendations, encode, key_of
from streams.recommending.published import PublishedRecommendations
from streams.recommending.unfinished import customers_between, reported_before
from streams.recommending.waiting import Waiting
from streams.tasks.context import Context
from streams.tasks.customers import counting_settings, item_partition
from streams.tasks.task import Outgoing, Reached, Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.recommending.tasks import Shared

log = logging.getLogger("alsobought")

TICK_S = 0.03
PUBLISH_S = 2.0  # between two times of publishing what was learnt
AT_ONCE = 32  # customers, while no events are applied
LOOK_S = 1.0  # between looks for other writers
IDLE_S = 1.0
BACKLOG_S = 1.5  # without a chunk for so long, there is none
LEAD_EVENTS = 2_000  # that it may always be ahead of the worker


class RecommenderTask(Task):
    """Keeps the histories of one partition's customers, and recommends to them.

    Attributes
    ----------
    recommended : int
        The offset up to which every customer's recommendations follow from the events.
    looked_through : int
        The offset of the published recommendations before which none is by a former owner.
    remembers : bool
        Whether it knows where the partition's last owner was.
    """

    machine: CustomerMachine
    memory_share = 1.0

    def __init__(self, tp: TP, context: Context, kind: EventKind, shared: Shared) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._board, self._follower = shared.boards.of(kind), shared.follower
        self._pacing = shared.boards.pacing
        self._types = EventTypes(kind, kinds_of(context.settings))
        self._learnt = LearntPublisher(
            tp.partition, self._board, context, lambda: shared.training_steps(kind)
        )
        self._waiting = Waiting()
        self._news: list[tuple[int, list[str]]] = []  # offset of a chunk, whom it has news of
        self._published = PublishedRecommendations(self._board, tp.partition, context)
        self._hidden = -1  # of the board, when what is published was last looked through
        self._wake = asyncio.Event()
        self._behind_ms, self._chunk_at = 0.0, 0.0
        self._event_ms = 0  # newest event time applied
        self.replayed_from = self.replayed_to = 0
        self.recommended = 0
        self.looked_through = -1
        self.remembers = False

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        partitions = self.context.partitions
        # as the worker's, but for the pairs, so that the worker's checkpoints are of the same histories
        self.machine = CustomerMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partition, partitions),
            self.memory_bytes(1 / partitions),
            pairs=False,
        )
        self.advice = Advice(
            self.machine, self._board, self._follower, self._pacing, self.context.settings.variants,
            self._learnt.begin,
        )  # fmt: skip
        return CustomerSaver(self.machine, store, self.log_identity)

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for customers."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def memory_parts(self) -> dict[str, int]:
        """Return the bytes that histories take."""
        return {"histories": self.machine.footprint_bytes()}

    def evicted(self) -> int:
        """Return how often a customer was dropped from memory."""
        return self.machine.evicted

    def holds(self) -> int:
        """Return the number of customers, in memory or not, and items."""
        return self.machine.customer_count + len(self.machine.items)

    def replays_to(self, end: int) -> None:
        """Assume that the events before `end` were learnt from."""
        self.replayed_from, self.replayed_to = self.position, end

    def loops(self) -> list[Any]:
        """Return the loops of this task. It takes no checkpoints, because it begins from those of workers."""
        return [self._run(), self._look_back()]

    @property
    def reported_as(self) -> str:
        """The name of its progress."""
        return f"{REPORTED}{self.name}"

    @property
    def reports(self) -> bool:
        """Whether it reports: not before it is known how far recommendations were."""
        return self.remembers

    @property
    def reached(self) -> Reached:
        """The newest settle mark up to which everybody is recommended to and nothing is newer."""
        done = self.recommended if self.recommended >= self.position else -1
        return (self._board.settled, done)

    def progress(self, worker: str) -> Progress:
        """Return how far it is, how far its recommendations are, and which model they use."""
        progress = super().progress(worker)
        progress.task = self.reported_as
        progress.recommended, progress.settled = self.recommended, self._board.settled
        progress.model, progress.looked_through = self.advice.model_version, self.looked_through
        return progress

    # ------------------------------------------------------------------ events

    def postpones(self, now_s: float) -> bool:
        """Wait while the task is far ahead of the worker: training needs the lists from before the event."""
        read_ms = max(self._event_ms, self.machine.newest_ms)  # also of before it was opened
        self._board.alignment.has_more(self.tp.partition, read_ms)
        new = self.position >= self.replayed_to
        waits = new and self._follower.ahead(self.name, self.position, LEAD_EVENTS)
        if waits:
            self._chunk_at = now_s  # there is still a backlog
        return waits

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Bring a chunk of events into the histories.

        Records that are no events are refused by the worker.
        """
        self._news.append((chunk.start, self._changed_by(chunk, records)))
        self._board.alignment.applied(self.tp.partition, self._event_ms, chunk.left)
        self.counters.events += len(records)
        return Outgoing()

    def took_in(self) -> None:
        """Let the customers with new events wait for recommendations."""
        self._chunk_at = time.monotonic()
        news, self._news = self._news, []
        for offset, customers in news:
            self._waiting.add(customers, offset)
        self._wake.set()

    def _changed_by(self, chunk: Chunk, records: Sequence[Any]) -> list[str]:
        """Apply a chunk; return the customers who have something new."""
        machine = self.machine
        now_ms = time.time_ns() // 1_000_000
        decoded = decode_events(records, chunk.end, machine, self._types, now_ms)
        batch = decoded.batch
        for slot in np.unique(batch.customers[batch.actions == Action.FORGET]).tolist():
            customer_id = machine.customers.id(slot)
            for profile in (None, *filter(None, machine.profiles.of(slot))):
                self._waiting.erased[key_of(customer_id, profile).encode()] = None
        learns = self.position >= self.replayed_to and self._board.alignment.is_fresh(self._event_ms)
        tests = self.advice.before(decoded) if learns else []
        outcomes = machine.apply(batch).outcomes
        self.advice.after(decoded, tests, outcomes)
        counted = (outcomes == NEW) | (outcomes == REPEAT)
        # as in a worker time passes with purchases: an erasure says when it was asked for
        if counted.any():
            self._event_ms = max(self._event_ms, int(batch.times_ms[counted].max()))
            with self._board.related.lock:
                self._board.popularity.move_on(self._event_ms)
        self._behind_ms = now_ms - decoded.published_ms if decoded.published_ms else 0.0
        # a replay may bring what the state had already, but no recommendation had
        news = (outcomes < LIMITED) | (outcomes == INCLUDED)
        return [
            machine.customers.id(slot)
            for slot in np.unique(batch.customers[news]).tolist()
            if machine.customers.known(slot)
        ]

    async def close(self, *, save: bool) -> None:
        """Stop delaying lists and popularity, and close as `Task` does."""
        self._board.alignment.closed(self.tp.partition)
        await super().close(save=save)

    # ------------------------------------------------------------------ publishing

    async def _remember(self) -> None:
        """Let those customers wait whose events are in the histories, but perhaps in no recommendation."""
        before = await reported_before(self, self.context)
        start, end = 0 if before is None else max(before.recommended, 0), self.replayed_from
        self.recommended = min(start, end)
        if start < end:
            customers, erased = await customers_between(self, self.kind, self.context, start, end)
            self._waiting.add_before(customers, start)
            self._waiting.erased |= dict.fromkeys(erased)
        self.looked_through = -1 if before is None else before.looked_through
        await self._published.begin(self.looked_through)
        self.remembers = True

    async def _look_back(self) -> None:
        """Read what was published before, then do nothing."""
        await self._published.look_back()
        self._wake.set()
        await asyncio.Event().wait()

    async def _run(self) -> None:
        """Recommend, and publish what was learnt, until cancelled."""
        while True:
            try:
                await self._remember()
                break
            except KafkaError as error:
                log.info("%s: %s; asked again", self.name, error)
                await asyncio.sleep(IDLE_S)
        published_at = looked_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._sleep_s())
            self._wake.clear()
            await asyncio.sleep(TICK_S)
            if time.monotonic() - looked_at > LOOK_S:
                await self.look_for_others()
                looked_at = time.monotonic()
            await self.withdraw_hidden()
            begun_at = time.monotonic()
            while self._has_work() and self.advice.learner() is not None:
                await self._pacing.recommending(self._recommend)
                if time.monotonic() - begun_at > LOOK_S:  # there are other things to look at, too
                    self._wake.set()
                    break
            self._note_looked_through()
            if self._waiting.try_again(self._board.popularity.purchases, self.acknowledged):
                self._wake.set()
            self.recommended = self._waiting.served_until(self.acknowledged, self.recommended)
            if time.monotonic() - published_at > PUBLISH_S:
                published_at = time.monotonic()
                learner = self.advice.learner()
                if learner is not None and self.context.lease.held:
                    await in_thread(self.advice.synchronise)
                    await self._learnt.publish(learner)

    async def look_for_others(self) -> None:
        """Recommend again to customers for whom somebody else published; none of our messages may be on its
        way.

        In a replay nobody is looked for, because the histories do not have all customers yet.
        """
        if self.position >= self.replayed_to:
            self._waiting.urgent |= dict.fromkeys(await self._published.by_others())

    def _note_looked_through(self) -> None:
        """Note that the messages of others are replaced, once nobody is urgent."""
        if not self._waiting.urgent:
            self.looked_through = self._published.looked_through

    def _has_work(self) -> bool:
        """Return whether something is to be published now; in a backlog, only what must not stay as it is."""
        waiting = self._waiting
        return bool(waiting.urgent or ((waiting.erased or waiting.due(1)) and not self._behind))

    def _sleep_s(self) -> float:
        """Return the seconds until somebody is due, or there is something to check."""
        return IDLE_S if self._behind else self._waiting.next_s(IDLE_S)

    def wake(self) -> None:
        """Check soon, as there may be something to publish."""
        self._wake.set()

    async def withdraw_hidden(self) -> None:
        """Publish again, at once, all recommendations with a hidden item."""
        board = self._board
        if self._hidden == board.hidden or not self._published.whole or self.advice.learner() is None:
            return
        hidden = board.hidden
        async with self.lock:
            customers = await in_thread(self._published.holding_hidden)
        self._waiting.urgent |= dict.fromkeys(customers)
        while self._waiting.urgent:
            await self._pacing.recommending(self._recommend)
        self._hidden = hidden

    @property
    def withdrawn(self) -> bool:
        """Whether no published recommendation has a hidden item, as far as it is known here."""
        return self._hidden == self._board.hidden and not self._waiting.urgent

    @property
    def _behind(self) -> bool:
        busy = time.monotonic() - self._chunk_at < BACKLOG_S
        return busy and self._behind_ms > 2 * self.context.settings.staleness_ms

    async def _recommend(self) -> float:
        """Recommend to some of those who wait; return the seconds that it computed."""
        await self.confirmed()
        async with self.lock:  # held from reading who waits: otherwise a customer who is forgotten and comes
            # back in between would be served with the new events, and withdrawn afterwards
            customers, erased = self._waiting.due(AT_ONCE), list(self._waiting.erased)
            begin = time.perf_counter()
            for key in erased:  # first, as a customer may have come back
                self._published.offers.remove(key)
            records, unserved = await in_thread(self._records, customers)
            self._waiting.serve(customers, erased, unserved)
            until = self._waiting.served_until(self.position, self.recommended)
        computed_s = time.perf_counter() - begin
        topic, partition = self.kind.recommendations.name, self.tp.partition
        tombstones: list[tuple[bytes, bytes | None]] = [(key, None) for key in erased]
        records = tombstones + records
        if records:
            first = await self.context.outbox.send_keyed(TP(topic, partition), records)
            self._published.own(first, len(records))
        self.recommended = max(self.recommended, until)
        return computed_s

    def _records(self, customers: list[str]) -> tuple[list[tuple[bytes, bytes | None]], list[str]]:
        """Return the messages for customers and their profiles, and the customers without any."""
        advice, machine, offers = self.advice, self.machine, self._published.offers
        advice.synchronise()
        records: list[tuple[bytes, bytes | None]] = []
        unserved: list[str] = []
        k, number = self.context.settings.recommendations, self._board.related.items.number
        machine.bring_in(customers, [])
        for customer_id in customers:
            slot = machine.customers.get(customer_id)
            profiles = [] if slot is None else [name for name in machine.profiles.of(slot) if name]
            for profile in (None, *profiles):
                key = key_of(customer_id, profile).encode()
                message = advice.message(customer_id, k, None, Filter(), profile)
                if message is None:
                    offers.remove(key)
                else:
                    offers.put(key, [number(item.item_id) for item in message.items])
                    if not message.items:
                        unserved.append(customer_id)
                records.append((key, None if message is None else encode(message)))
        return records, unserved

    # ------------------------------------------------------------------ questions

    @property
    def ready(self) -> bool:
        """Whether it can recommend."""
        return self.advice.learner() is not None

    async def newest(self, customer_id: str) -> tuple[int, int]:
        """Return the time of a customer's newest event; for a customer without one, how many events came of
        late.
        """
        async with self.lock:
            history = self.machine.history(customer_id)
        return max((b.last_ms for b in history), default=0), int(
            self._board.popularity.popularity.recent.sum()
        )

    async def ask(
        self, customer_id: str, k: int, shelf: Shelf, wanted: Filter, profile: str | None
    ) -> Recommendations | None:
        """Return what a customer should see now, of a shelf."""
        async with self.lock:
            await in_thread(self.advice.synchronise)
            return await in_thread(self.advice.message, customer_id, k, shelf, wanted, profile)
