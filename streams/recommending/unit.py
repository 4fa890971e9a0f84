"""One partition's customers of a kind: lessons before what they buy is counted, recommendations after it.

Recommendations follow the lists: they are made a moment after a customer's event, when the lists that it
changed are out, at most once a tick, and while a backlog is counted not at all (customers wait, each once).
What is learnt is told by `teller`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, cast

import numpy as np
from aiokafka.errors import KafkaError

from state.customers import Applied
from state.events import Kind
from state.pairing import DUPLICATE, GONE, INCLUDED
from state.recommending.catalogue import Filter
from state.recommending.experiments import parse, variant_of
from state.recommending.learner import Case, Learner
from state.recommending.recommender import Recommender, Shelf
from state.recommending.visits import Visit, visits
from streams.outbox import acknowledged
from streams.recommending.messages import Recommendations, Recommended, encode, key_of
from streams.recommending.teller import Teller
from streams.recommending.unfinished import customers_between, recommended_before
from streams.threads import in_thread

if TYPE_CHECKING:
    from streams.context import Context
    from streams.customer_task import CustomerTask
    from streams.decoding import Decoded
    from streams.event_item_task import EventItemTask
    from streams.recommending.board import Board

log = logging.getLogger("alsobought")

TICK_S = 0.03
TELL_S = 2.0  # between two tellings of what was learnt
AT_ONCE = 32  # customers of a tick
MOST_UNSERVED = 1_000
IDLE_S = 1.0  # without a chunk for so long, there is no backlog


class Unit:
    """Recommends to the customers of one customer task.

    Attributes
    ----------
    remembers : bool
        Whether it knows where the partition's last owner was.
    recommended : int
        Offset up to which every customer's recommendations follow from the events.
    """

    def __init__(self, task: CustomerTask, board: Board, context: Context) -> None:
        self._task, self._board, self._context = task, board, context
        self._pacing = context.boards.pacing
        self._variants = parse(context.settings.variants or "")
        self._learner: Learner | None = None
        self._teller = Teller(task.tp.partition, board, context)
        self._waiting: dict[str, None] = {}  # customers, in the order of their events
        self._erased: dict[bytes, None] = {}  # keys of messages to take back
        self._unserved: dict[str, None] = {}  # customers there was nothing for
        self._items = 0  # that could be recommended when they were looked at
        self._wake = asyncio.Event()
        self._behind_ms, self._chunk_at = 0.0, 0.0
        self._looking_s = 0.0
        self.recommended = 0
        self.remembers = False

    # ------------------------------------------------------------------ lessons

    def learner(self) -> Learner | None:
        """The learner, once lists and item machine are there; a new one when the item machine is another."""
        item = self._item_task()
        if item is None or not item.warm or not self._context.following.caught_up.is_set():
            return None
        known = self._learner
        if known is None or known.recommender.machine is not item.machine:
            board = self._board
            recommender = Recommender(
                board.view, self._task.machine, item.machine, board.catalogue, board.rankers
            )
            with board.view.lock:
                recommender.use(board.model)
                recommender.synchronise()
            self._learner = Learner(recommender)
            self._teller.begin(self._learner)
        return self._learner

    def _item_task(self) -> EventItemTask | None:
        task = self._context.task(self._board.kind.deltas, self._task.tp.partition)
        return cast("EventItemTask | None", task)

    def before(self, decoded: Decoded) -> list[tuple[Visit, Case]]:
        """Look at what would be shown to those who come back in a chunk, before it is counted."""
        batch, machine = decoded.batch, self._task.machine
        for slot in np.unique(batch.customers[batch.kinds == Kind.FORGET]).tolist():
            customer_id = machine.customers.id(slot)
            for profile in (None, *filter(None, machine.profiles.of(slot))):
                self._erased[key_of(customer_id, profile).encode()] = None
        learner = self.learner()
        if learner is None or self._task.position < self._task.replayed_to:
            return []
        begin = time.perf_counter()
        cases = []
        with self._board.view.lock:
            for visit in visits(batch, machine.histories, self._pacing.lessons.granted()):
                history = learner.recommender.history(machine.customers.id(visit.customer))
                cases.append((visit, learner.before(history)))
        self._looking_s = time.perf_counter() - begin
        return cases

    def after(self, decoded: Decoded, applied: Applied, cases: list[tuple[Visit, Case]]) -> None:
        """Learn from what was counted, and have its customers recommended to."""
        batch, machine, learner = decoded.batch, self._task.machine, self._learner
        if cases and learner is not None:
            begin = time.perf_counter()
            with self._board.view.lock:
                for visit, case in cases:
                    counted = [i for i in visit.events if applied.outcomes[i] < GONE]
                    items = learner.recommender.in_view(np.unique(batch.items[counted]))
                    if len(items):
                        told = learner.after(case, items, visit.time_ms)
                        if machine.customers.known(visit.customer):  # not forgotten in this very chunk
                            customer_id = machine.customers.id(visit.customer)
                            self._count_shown(learner, customer_id, told, visit.time_ms)
            self._pacing.lessons.took(self._looking_s + time.perf_counter() - begin, len(cases))
        # a replay may bring what the state had already, but no recommendation had
        news = (applied.outcomes < DUPLICATE) | (applied.outcomes == INCLUDED)
        for slot in np.unique(batch.customers[news]).tolist():
            if machine.customers.known(slot):
                self._waiting[machine.customers.id(slot)] = None
        self._chunk_at = time.monotonic()
        self._behind_ms = time.time() * 1000 - decoded.published_ms if decoded.published_ms else 0.0
        self._wake.set()

    def _count_shown(self, learner: Learner, customer_id: str, told: dict[str, bool], time_ms: int) -> None:
        variant = variant_of(self._variants, customer_id)
        if variant is not None and variant.algorithm in told:
            learner.quality.add(time_ms, "shown", variant.name, hit=told[variant.algorithm])

    # ------------------------------------------------------------------ publishing

    async def _remember(self) -> None:
        """Have those recommended to whose events are in the state, but perhaps in no recommendation."""
        start, end = await recommended_before(self._task, self._context), self._task.replayed_from
        self.recommended = min(start, end)
        self.remembers = True
        if start < end:
            customers, erased = await customers_between(
                self._task, self._board.kind, self._context, start, end
            )
            self._waiting = dict.fromkeys(customers) | self._waiting
            self._erased |= dict.fromkeys(erased)

    async def run(self) -> None:
        """Recommend, and tell what was learnt, until cancelled."""
        while True:
            try:
                await self._remember()
                break
            except KafkaError as error:
                log.info("%s: %s; asked again", self._task.name, error)
                await asyncio.sleep(IDLE_S)
        told_at = synchronised_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TELL_S)
            self._wake.clear()
            await asyncio.sleep(TICK_S)
            while (self._waiting or self._erased) and not self._behind:
                if self.learner() is None:
                    break
                await self._pacing.recommending(self._recommend)
            learner = None if self._board.model is None else self.learner()  # made, if it is not there yet
            known = learner or self._learner
            other_model = known is not None and known.recommender.model is not self._board.model
            if other_model or (self._behind and time.monotonic() - synchronised_at > TELL_S):
                synchronised_at = time.monotonic()
                await self.synchronise()  # for the lessons
            self._try_again()
            if not self._waiting and not self._erased:
                self.recommended = max(self.recommended, self._task.acknowledged)
            if time.monotonic() - told_at > TELL_S:
                told_at = time.monotonic()
                if self._learner is not None and self._context.lease.held:
                    await self._teller.tell(self._learner)

    def _try_again(self) -> None:
        """Have those recommended to for whom there was nothing, once there is more to recommend."""
        items = len(self._board.view.items)
        if self._unserved and items > self._items:
            self._items = items
            self._waiting = self._unserved | self._waiting
            self._unserved = {}
            self._wake.set()

    @property
    def _behind(self) -> bool:
        busy = time.monotonic() - self._chunk_at < IDLE_S
        return busy and self._behind_ms > 2 * self._context.settings.staleness_ms

    async def _recommend(self) -> float:
        """Recommend to some of those who wait; returns the seconds it computed."""
        await self._task.confirmed()
        await self.synchronise()
        customers = list(self._waiting)[:AT_ONCE]
        erased = list(self._erased)
        async with self._task.lock:
            position = self._task.position
            begin = time.perf_counter()
            records = [(key, None) for key in erased] + await in_thread(self._records, customers)
            for customer in customers:
                self._waiting.pop(customer, None)
            for key in erased:
                self._erased.pop(key, None)
            all_done = not self._waiting
        computed_s = time.perf_counter() - begin
        topic, partition = self._board.kind.recommendations.name, self._task.tp.partition
        sent = await self._context.outbox.send_many(topic, partition, records)
        await acknowledged([batch.acknowledged for batch in sent])
        if all_done:
            self.recommended = max(self.recommended, position)
        return computed_s

    async def synchronise(self) -> None:
        """Take in what the item machine learnt to know."""
        learner, item = self.learner(), self._item_task()
        if learner is not None and item is not None:
            async with item.lock:
                await in_thread(self._synchronise, learner.recommender)

    def _synchronise(self, recommender: Recommender) -> None:
        with self._board.view.lock:
            recommender.use(self._board.model)
            recommender.synchronise()

    def _records(self, customers: list[str]) -> list[tuple[bytes, bytes | None]]:
        records: list[tuple[bytes, bytes | None]] = []
        k = self._context.settings.recommendations
        for customer_id in customers:
            slot = self._task.machine.customers.get(customer_id)
            profiles = [] if slot is None else [name for name in self._task.machine.profiles.of(slot) if name]
            for profile in (None, *profiles):
                key = key_of(customer_id, profile)
                message = self.message(customer_id, k, None, Filter(), profile)
                if message is not None and not message.items and len(self._unserved) < MOST_UNSERVED:
                    self._unserved[customer_id] = None
                records.append((key.encode(), None if message is None else encode(message)))
        return records

    def message(
        self, customer_id: str, k: int, shelf: Shelf | None, wanted: Filter, profile: str | None
    ) -> Recommendations | None:
        """Recommendations as of now; None for a customer who has nothing. The task's lock must be held.

        Without a `shelf` it is the one that is published: that of the customer's variant, or all.
        """
        learner = self.learner()
        if learner is None:
            return None
        recommender = learner.recommender
        variant = variant_of(self._variants, customer_id)
        algorithm = "ours" if variant is None else variant.algorithm
        with self._board.view.lock:
            history = recommender.history(customer_id, profile)
            if shelf is None:
                if len(history.item) == 0:
                    return None
                shelf = "all" if algorithm == "ours" else "new"
            found = recommender.recommend(history, k, shelf, wanted, algorithm)
        return Recommendations(
            customer_id=customer_id, profile_id=profile, kind=self._board.kind.name,
            as_of=recommender.machine.watermark_ms, variant=None if variant is None else variant.name,
            items=[Recommended(r.item_id, round(r.score, 6), r.because, r.source) for r in found],
        )  # fmt: skip

    # ------------------------------------------------------------------ questions

    @property
    def partition(self) -> int:
        """Of the customers."""
        return int(self._task.tp.partition)

    @property
    def lessons(self) -> dict[str, float] | None:
        """What each ranker learnt from these customers; None before it can recommend."""
        return None if self._learner is None else self._learner.lessons

    @property
    def ready(self) -> bool:
        """Whether it can recommend."""
        return self.learner() is not None

    @property
    def model_version(self) -> int:
        """Of the chronological model in use; -1: none."""
        model = None if self._learner is None else self._learner.recommender.model
        return -1 if model is None else model.version

    def newest(self, customer_id: str) -> tuple[int, int]:
        """Time of a customer's newest event, and for those without any how many events there were of late."""
        history = self._task.machine.history(customer_id)
        item = self._item_task()
        recent = 0 if item is None else int(item.machine.tables.popularity.recent.sum())
        return max((b.last_ms for b in history), default=0), recent

    async def ask(
        self, customer_id: str, k: int, shelf: Shelf, wanted: Filter, profile: str | None
    ) -> Recommendations | None:
        """What a customer should see now, of a shelf."""
        async with self._task.lock:
            return await in_thread(self.message, customer_id, k, shelf, wanted, profile)
