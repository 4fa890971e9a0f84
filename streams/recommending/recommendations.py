"""Publish what the customers of one partition should see, as it changes.

Recommendations are made a moment after a customer's event, so that they follow the lists; at most about once
a second for the same customer; and not while a backlog is read, in which each customer waits once. What is
learnt is published by `learnt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.types import TP

from recommending.catalogue import Filter
from streams.process.threads import in_thread
from streams.recommending.messages import encode, key_of
from streams.recommending.published import PublishedRecommendations
from streams.recommending.unfinished import customers_between, reported_before
from streams.recommending.waiting import Waiting

if TYPE_CHECKING:
    from streams.recommending.board import Board
    from streams.recommending.learnt import LearntPublisher
    from streams.recommending.pacing import Pacing
    from streams.recommending.task import RecommenderTask

log = logging.getLogger("alsobought")

TICK_S = 0.03
PUBLISH_S = 2.0  # between two times of publishing what was learnt
AT_ONCE = 32  # customers, while no events are applied
LOOK_S = 1.0  # between looks for other writers
IDLE_S = 1.0


class RecommendationsPublisher:
    """Publishes the recommendations of one task's customers.

    Attributes
    ----------
    waiting : Waiting
        The customers who wait for recommendations.
    recommended : int
        The offset up to which every customer's recommendations follow from the events.
    looked_through : int
        The offset of the published recommendations before which none is by a former owner.
    remembers : bool
        Whether it knows where the partition's last owner was.
    """

    def __init__(self, task: RecommenderTask, board: Board, pacing: Pacing, learnt: LearntPublisher) -> None:
        self._task, self._board, self._pacing, self._learnt = task, board, pacing, learnt
        self.waiting = Waiting()
        self._published = PublishedRecommendations(board, task.tp.partition, task.context)
        self._hidden = -1  # of the board, when what is published was last looked through
        self._wake = asyncio.Event()
        self.recommended = 0
        self.looked_through = -1
        self.remembers = False

    async def _remember(self) -> None:
        """Let those customers wait whose events are in the histories, but perhaps in no recommendation."""
        before = await reported_before(self._task, self._task.context)
        start, end = 0 if before is None else max(before.recommended, 0), self._task.replayed_from
        self.recommended = min(start, end)
        if start < end:
            customers, erased = await customers_between(
                self._task, self._task.kind, self._task.context, start, end
            )
            self.waiting.add_before(customers, start)
            self.waiting.erased |= dict.fromkeys(erased)
        self.looked_through = -1 if before is None else before.looked_through
        await self._published.begin(self.looked_through)
        self.remembers = True

    async def look_back(self) -> None:
        """Read what was published before, then do nothing."""
        await self._published.look_back()
        self._wake.set()
        await asyncio.Event().wait()

    async def run(self) -> None:
        """Recommend, and publish what was learnt, until cancelled."""
        while True:
            try:
                await self._remember()
                break
            except KafkaError as error:
                log.info("%s: %s; asked again", self._task.name, error)
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
            while self._has_work() and self._task.advice.learner() is not None:
                await self._pacing.recommending(self._recommend)
                if time.monotonic() - begun_at > LOOK_S:  # there are other things to look at, too
                    self._wake.set()
                    break
            self._note_looked_through()
            if self.waiting.try_again(self._board.popularity.purchases, self._task.acknowledged):
                self._wake.set()
            self.recommended = self.waiting.served_until(self._task.acknowledged, self.recommended)
            if time.monotonic() - published_at > PUBLISH_S:
                published_at = time.monotonic()
                learner = self._task.advice.learner()
                if learner is not None and self._task.context.lease.held:
                    await in_thread(self._task.advice.synchronise)
                    await self._learnt.publish(learner)

    async def look_for_others(self) -> None:
        """Recommend again to customers for whom somebody else published; none of our messages may be on its
        way.

        In a replay nobody is looked for, because the histories do not have all customers yet.
        """
        if self._task.position >= self._task.replayed_to:
            self.waiting.urgent |= dict.fromkeys(await self._published.by_others())

    def _note_looked_through(self) -> None:
        """Note that the messages of others are replaced, once nobody is urgent."""
        if not self.waiting.urgent:
            self.looked_through = self._published.looked_through

    def _has_work(self) -> bool:
        """Return whether something is to be published now; in a backlog, only what must not stay as it is."""
        waiting = self.waiting
        return bool(waiting.urgent or ((waiting.erased or waiting.due(1)) and not self._task.behind))

    def _sleep_s(self) -> float:
        """Return the seconds until somebody is due, or there is something to check."""
        return IDLE_S if self._task.behind else self.waiting.next_s(IDLE_S)

    def wake(self) -> None:
        """Check soon, as there may be something to publish."""
        self._wake.set()

    async def withdraw_hidden(self) -> None:
        """Publish again, at once, all recommendations with a hidden item."""
        board = self._board
        if self._hidden == board.hidden or not self._published.whole or self._task.advice.learner() is None:
            return
        hidden = board.hidden
        async with self._task.lock:
            customers = await in_thread(self._published.holding_hidden)
        self.waiting.urgent |= dict.fromkeys(customers)
        while self.waiting.urgent:
            await self._pacing.recommending(self._recommend)
        self._hidden = hidden

    @property
    def withdrawn(self) -> bool:
        """Whether no published recommendation has a hidden item, as far as it is known here."""
        return self._hidden == self._board.hidden and not self.waiting.urgent

    async def _recommend(self) -> float:
        """Recommend to some of those who wait; return the seconds that it computed."""
        await self._task.confirmed()
        # the lock is held from reading who waits: otherwise a customer who is forgotten and comes back in
        # between would be served with the new events, and withdrawn afterwards
        async with self._task.lock:
            customers, erased = self.waiting.due(AT_ONCE), list(self.waiting.erased)
            begin = time.perf_counter()
            for key in erased:  # first, as a customer may have come back
                self._published.offers.remove(key)
            records, unserved = await in_thread(self._records, customers)
            self.waiting.serve(customers, erased, unserved)
            until = self.waiting.served_until(self._task.position, self.recommended)
        computed_s = time.perf_counter() - begin
        topic, partition = self._task.kind.recommendations.name, self._task.tp.partition
        tombstones: list[tuple[bytes, bytes | None]] = [(key, None) for key in erased]
        records = tombstones + records
        if records:
            first = await self._task.context.outbox.send_keyed(TP(topic, partition), records)
            self._published.own(first, len(records))
        self.recommended = max(self.recommended, until)
        return computed_s

    def _records(self, customers: list[str]) -> tuple[list[tuple[bytes, bytes | None]], list[str]]:
        """Return the messages for customers and their profiles, and the customers without any."""
        advice, machine, offers = self._task.advice, self._task.machine, self._published.offers
        begin = time.thread_time()
        advice.synchronise()
        records: list[tuple[bytes, bytes | None]] = []
        unserved: list[str] = []
        k, number = self._task.context.settings.recommendations, self._board.related.items.number
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
        if records:
            cpu_s = time.thread_time() - begin
            self._task.context.measured.recommended.note(cpu_s / len(records), len(records))
        return records, unserved
