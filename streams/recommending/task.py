"""One partition's customers of a kind: lessons before their events are in histories, then recommendations.

Recommendations follow the lists: they are made a moment after a customer's event, not more than about once a
second for the same customer, and while a backlog is read not at all (customers wait, each once). What is
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

from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import Source
from state.events import Kind
from state.pairing import DUPLICATE, INCLUDED, NEW, REPEAT
from state.recommending import lessons
from state.recommending.catalogue import Filter
from state.recommending.experiments import parse, variant_of
from state.recommending.learner import Learner
from state.recommending.recommender import Recommender, Shelf
from state.saving import Saver
from state.store import RocksStore
from streams.checks import EventTypes
from streams.context import Context
from streams.customer_task import counting_settings, item_partition
from streams.decoding import Decoded, decode_events
from streams.foreign import Written
from streams.kinds import EVENTS_SOURCE, EventKind, kinds_of
from streams.messages import REPORTED, Progress
from streams.recommending.learnt import LearntPublisher
from streams.recommending.messages import Recommendations, Recommended, encode, key_of
from streams.recommending.offers import Offers
from streams.recommending.unfinished import customers_between, published_before, recommended_before
from streams.tasks import Outgoing, Task
from streams.threads import in_thread

if TYPE_CHECKING:
    from streams.recommending.tasks import Shared
    from streams.transport import Chunk

log = logging.getLogger("alsobought")

TICK_S = 0.03
AGAIN_S = 1.0  # to the same customer
PUBLISH_S = 2.0  # between two times of publishing what was learnt
AT_ONCE = 32  # customers, while no events are applied
MOST_UNSERVED = 1_000
LOOK_S = 1.0  # between looks for other writers
IDLE_S = 1.0  # without a chunk for so long, there is no backlog
LEAD_EVENTS = 2_000  # that it may always be ahead of the worker


class RecommenderTask(Task):
    """Keeps the histories of one partition's customers, and recommends to them.

    Attributes
    ----------
    recommended : int
        Offset up to which every customer's recommendations follow from the events.
    remembers : bool
        Whether it knows where the partition's last owner was.
    """

    machine: CustomerMachine
    memory_share = 1.0

    def __init__(self, tp: TP, context: Context, kind: EventKind, shared: Shared) -> None:
        super().__init__(tp, context)
        self.kind = kind
        self._board, self._following = shared.boards.of(kind), shared.following
        self._pacing = shared.boards.pacing
        self._types = EventTypes(kind, kinds_of(context.settings))
        self._variants = parse(context.settings.variants or "")
        self._learner: Learner | None = None
        self._learnt = LearntPublisher(tp.partition, self._board, context, lambda: shared.lessons(kind))
        # customers in the order of their events: when they are due, and an offset not behind their first
        self._waiting: dict[str, tuple[float, int]] = {}
        self._served: dict[str, float] = {}  # when, of those of the last second
        self._urgent: dict[str, None] = {}  # customers of whom what is published may not stay
        self._erased: dict[bytes, None] = {}  # keys of messages to take back
        self._unserved: dict[str, None] = {}  # customers there was nothing for
        self._purchases = 0  # of the popularity when they were looked at
        self._offers = Offers(self._board.view.items, context.settings.recommendations)
        self._looked_back = False  # the offers know what was published before
        self._hidden = -1  # of the board, when offers were last looked through
        self._news: list[tuple[str, int]] = []  # customers with something new, and the offset of their chunk
        self._written: Written | None = None
        self._wake = asyncio.Event()
        self._behind_ms, self._chunk_at = 0.0, 0.0
        self.replayed_from = self.replayed_to = 0
        self.recommended = 0
        self.remembers = False

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
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
        return CustomerSaver(self.machine, store, self.log_identity)

    def limit_memory(self, part: float) -> None:
        """Keep to this part of the memory for customers."""
        self.machine.budget_bytes = self.memory_bytes(part)

    def holds(self) -> int:
        """Customers, in memory or not, and items."""
        return self.machine.customer_count + len(self.machine.items)

    def replays_to(self, end: int) -> None:
        """Take it that what is before was learnt from."""
        self.replayed_from, self.replayed_to = self.position, end

    def loops(self) -> list[Any]:
        """What recommends. No checkpoints are taken: it begins from those of workers."""
        return [self._run(), self._look_back()]

    @property
    def reported_as(self) -> str:
        """The name of its progress."""
        return f"{REPORTED}{self.name}"

    @property
    def reports(self) -> bool:
        """Not before it is known how far recommendations were."""
        return self.remembers

    def progress(self, worker: str) -> Progress:
        """How far it is, how far its recommendations are, and which model they use."""
        progress = super().progress(worker)
        progress.task = self.reported_as
        progress.recommended, progress.settled = self.recommended, self._board.settled
        progress.model = self.model_version
        return progress

    # ------------------------------------------------------------------ events

    def postpones(self, now_s: float) -> bool:
        """Wait while it is far ahead of the worker: a lesson needs the lists of what was before it."""
        del now_s
        new = self.position >= self.replayed_to
        return new and self._following.ahead(self.name, self.position, LEAD_EVENTS)

    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Bring a chunk of events into the histories; what is no event the worker has refused."""
        self._news += [(customer_id, chunk.start) for customer_id in self._changed_by(chunk, records)]
        self.counters.events += len(records)
        return Outgoing()

    def took_in(self) -> None:
        """Have those recommended to who have something new."""
        due = self._chunk_at = time.monotonic()
        news, self._news = self._news, []
        for customer_id, offset in news:
            if customer_id not in self._waiting:
                again = self._served.get(customer_id, 0.0) + AGAIN_S
                self._waiting[customer_id] = max(due, again), offset
        self._wake.set()

    def _changed_by(self, chunk: Chunk, records: Sequence[Any]) -> list[str]:
        """Apply a chunk; the customers who have something new."""
        machine = self.machine
        now_ms = time.time_ns() // 1_000_000
        decoded = decode_events(records, chunk.end, machine, self._types, now_ms)
        batch = decoded.batch
        for slot in np.unique(batch.customers[batch.kinds == Kind.FORGET]).tolist():
            customer_id = machine.customers.id(slot)
            for profile in (None, *filter(None, machine.profiles.of(slot))):
                self._erased[key_of(customer_id, profile).encode()] = None
        tests = self._before(decoded)
        outcomes = machine.apply(batch).outcomes
        self._after(decoded, tests, outcomes)
        counted = (outcomes == NEW) | (outcomes == REPEAT)
        # as in a worker time passes with purchases: an erasure says when it was asked for
        if counted.any():
            with self._board.view.lock:
                self._board.popularity.move_on(int(batch.times_ms[counted].max()))
        self._behind_ms = now_ms - decoded.published_ms if decoded.published_ms else 0.0
        # a replay may bring what the state had already, but no recommendation had
        news = (outcomes < DUPLICATE) | (outcomes == INCLUDED)
        return [
            machine.customers.id(slot)
            for slot in np.unique(batch.customers[news]).tolist()
            if machine.customers.known(slot)
        ]

    # ------------------------------------------------------------------ lessons

    def learner(self) -> Learner | None:
        """The learner, once what is published has been read. Not to be called with the view's lock held."""
        if self._learner is None and self._following.caught_up.is_set():
            board = self._board
            recommender = Recommender(
                board.view, self.machine, board.popularity, board.catalogue, board.rankers
            )
            with board.view.lock:
                recommender.use(board.model)
                recommender.synchronise()
                if self._learner is None:  # nor by another thread meanwhile
                    learner = Learner(recommender)
                    self._learnt.begin(learner)
                    self._learner = learner
        return self._learner

    def _before(self, decoded: Decoded) -> list[lessons.Test]:
        """Look at what would be shown to those who come back, before their events are in the histories."""
        learner = self.learner()
        if learner is None or self.position < self.replayed_to:
            return []
        granted = self._pacing.lessons.granted()
        begin = time.perf_counter()
        with self._board.view.lock:
            learner.recommender.synchronise()
            tests = lessons.before(learner, self.machine, decoded.batch, granted)
        self._pacing.lessons.took(time.perf_counter() - begin, len(tests))
        return tests

    def _after(self, decoded: Decoded, tests: list[lessons.Test], outcomes: Any) -> None:
        """Learn from what came into the histories."""
        learner = self._learner
        if not tests or learner is None:
            return
        with self._board.view.lock:
            for tested in lessons.after(learner, tests, decoded.batch, outcomes):
                if self.machine.customers.known(tested.customer):  # not forgotten in this very chunk
                    variant = variant_of(self._variants, tested.customer_id)
                    if variant is not None and variant.algorithm in tested.hits:
                        hit = tested.hits[variant.algorithm]
                        learner.quality.add(tested.time_ms, "shown", variant.name, hit=hit)

    # ------------------------------------------------------------------ publishing

    async def _remember(self) -> None:
        """Have those recommended to whose events are in the histories, but perhaps in no recommendation."""
        start, end = await recommended_before(self, self.context), self.replayed_from
        self.recommended = min(start, end)
        if start < end:
            customers, erased = await customers_between(self, self.kind, self.context, start, end)
            # in the order of their events; who has newer ones, too, waits since these
            older = dict.fromkeys(customers, (0.0, start))
            self._waiting = older | {name: at for name, at in self._waiting.items() if name not in older}
            self._erased |= dict.fromkeys(erased)
        tp = TP(self.kind.recommendations.name, self.tp.partition)
        self._written = Written(tp, await self.context.reader.end_of(tp))
        self.remembers = True

    async def _look_for_others(self, written: Written) -> None:
        """Have customers recommended to again to whom somebody else published: what it made may be old."""
        reader = self.context.reader
        try:
            written.reached(await reader.end_of(written.tp))
            while written.foreign:
                keys = await reader.keys(written.tp, *written.foreign[0])
                self._urgent |= dict.fromkeys(key.decode().partition("\t")[0] for key in keys)
                written.foreign.pop(0)
        except KafkaError as error:
            log.info("%s: %s; looked at again later", self.name, error)

    async def _look_back(self) -> None:
        """Know what was published before; then do nothing."""
        while not self._looked_back:
            try:
                view = self._board.view
                older = await published_before(self, self.kind, self.context, view)
                async with self.lock:  # a thread may be noting what it recommends
                    self._offers.adopt(older)
                self._looked_back = True
            except KafkaError as error:
                log.info("%s: %s; read again", self.name, error)
                await asyncio.sleep(IDLE_S)
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
            if self._written is not None and self.position and time.monotonic() - looked_at > LOOK_S:
                await self._look_for_others(self._written)
                looked_at = time.monotonic()
            await self.withdraw_hidden()
            begun_at = time.monotonic()
            while self._has_work() and self.learner() is not None:
                await self._pacing.recommending(self._recommend)
                if time.monotonic() - begun_at > LOOK_S:  # there are other things to look at, too
                    self._wake.set()
                    break
            self._try_again()
            self.recommended = max(self.recommended, self._served_until(self.acknowledged))
            if time.monotonic() - published_at > PUBLISH_S:
                published_at = time.monotonic()
                learner = self.learner() if self._board.model is not None else self._learner
                if learner is not None and self.context.lease.held:
                    await in_thread(self.synchronise)
                    await self._learnt.publish(learner)

    def _has_work(self) -> bool:
        """Whether something is to be published now; in a backlog only what may not stay as it is."""
        return bool(self._urgent or ((self._due() or self._erased) and not self._behind))

    def _sleep_s(self) -> float:
        """Until somebody is due, or there is something to look at."""
        if not self._waiting or self._behind:
            return IDLE_S
        return max(0.001, min(due for due, _ in self._waiting.values()) - time.monotonic())

    def _served_until(self, position: int) -> int:
        """The offset before which recommendations follow from all events; the position at most."""
        if self._erased:
            return self.recommended
        return next(iter(self._waiting.values()))[1] if self._waiting else position

    def _due(self) -> list[str]:
        """Some of those who wait and are due, in their order."""
        now = time.monotonic()
        found: list[str] = []
        for customer_id, (due, _) in self._waiting.items():
            if due <= now:
                found.append(customer_id)
                if len(found) == AT_ONCE:
                    break
        return found

    def wake(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    async def withdraw_hidden(self) -> None:
        """Publish anew, at once, what offers an item that is hidden."""
        board = self._board
        if self._hidden == board.hidden or not self._looked_back or self.learner() is None:
            return
        hidden = board.hidden
        async with self.lock:
            keys = await in_thread(self._holding_hidden)
        self._urgent |= dict.fromkeys(key.decode().partition("\t")[0] for key in keys)
        while self._urgent:
            await self._pacing.recommending(self._recommend)
        self._hidden = hidden

    @property
    def withdrawn(self) -> bool:
        """Whether nothing published offers an item that is hidden, as far as it is known here."""
        return self._hidden == self._board.hidden and not self._urgent

    def _holding_hidden(self) -> list[bytes]:
        with self._board.view.lock:
            return self._offers.holding(self._board.popularity.popularity.available == 0)

    def _try_again(self) -> None:
        """Have those recommended to for whom there was nothing, once more was bought."""
        purchases = self._board.popularity.purchases
        if self._unserved and purchases > self._purchases:
            self._purchases = purchases
            # they have been served: nothing that was is taken back
            self._waiting |= {
                customer_id: (0.0, self.acknowledged)
                for customer_id in self._unserved
                if customer_id not in self._waiting
            }
            self._unserved = {}
            self._wake.set()

    @property
    def _behind(self) -> bool:
        busy = time.monotonic() - self._chunk_at < IDLE_S
        return busy and self._behind_ms > 2 * self.context.settings.staleness_ms

    async def _recommend(self) -> float:
        """Recommend to some of those who wait; returns the seconds it computed."""
        await self.confirmed()
        customers = list(self._urgent)[:AT_ONCE] or self._due()
        erased = list(self._erased)
        async with self.lock:
            begin = time.perf_counter()
            records = await in_thread(self._records, customers)
            now = time.monotonic()
            for customer in customers:
                self._waiting.pop(customer, None)
                self._urgent.pop(customer, None)
                self._served[customer] = now
            for key in erased:
                self._erased.pop(key, None)
                self._offers.remove(key)
            until = self._served_until(self.position)
        self._served = {c: at for c, at in self._served.items() if now - at < AGAIN_S}
        computed_s = time.perf_counter() - begin
        topic, partition = self.kind.recommendations.name, self.tp.partition
        tombstones: list[tuple[bytes, bytes | None]] = [(key, None) for key in erased]
        records = tombstones + records
        if records:
            first = await self.context.outbox.send_keyed(TP(topic, partition), records)
            if self._written is not None:
                self._written.own(first, len(records))
        self.recommended = max(self.recommended, until)
        return computed_s

    def synchronise(self) -> None:
        """Take in what changed in catalogue, popularity and model, if enough did."""
        if (learner := self.learner()) is not None:
            with self._board.view.lock:
                learner.recommender.use(self._board.model)
                learner.recommender.synchronise()

    def _records(self, customers: list[str]) -> list[tuple[bytes, bytes | None]]:
        self.synchronise()
        records: list[tuple[bytes, bytes | None]] = []
        k = self.context.settings.recommendations
        number = self._board.view.items.number
        for customer_id in customers:
            slot = self.machine.customers.get(customer_id)
            profiles = [] if slot is None else [name for name in self.machine.profiles.of(slot) if name]
            for profile in (None, *profiles):
                key = key_of(customer_id, profile).encode()
                message = self.message(customer_id, k, None, Filter(), profile)
                if message is None:
                    self._offers.remove(key)
                else:
                    self._offers.put(key, [number(item.item_id) for item in message.items])
                    if not message.items and len(self._unserved) < MOST_UNSERVED:
                        self._unserved[customer_id] = None
                records.append((key, None if message is None else encode(message)))
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
            customer_id=customer_id, profile_id=profile, kind=self.kind.name,
            as_of=recommender.popular.watermark_ms, variant=None if variant is None else variant.name,
            items=[Recommended(r.item_id, round(r.score, 6), r.because, r.source) for r in found],
        )  # fmt: skip

    # ------------------------------------------------------------------ questions

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

    async def newest(self, customer_id: str) -> tuple[int, int]:
        """Time of a customer's newest event, and for those without any how many events there were of late."""
        async with self.lock:
            history = self.machine.history(customer_id)
        return max((b.last_ms for b in history), default=0), int(
            self._board.popularity.popularity.recent.sum()
        )

    async def ask(
        self, customer_id: str, k: int, shelf: Shelf, wanted: Filter, profile: str | None
    ) -> Recommendations | None:
        """What a customer should see now, of a shelf."""
        async with self.lock:
            await in_thread(self.synchronise)
            return await in_thread(self.message, customer_id, k, shelf, wanted, profile)
