"""One partition's customers of a kind: their events train the ranker, and questions about them are answered.

`recommendations` publishes what they should see.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from faust.types import TP

from recommending.catalogue import Filter
from recommending.recommender import Shelf
from state.customers.actions import Action
from state.customers.machine import CustomerMachine
from state.customers.pairing import INCLUDED, LIMITED, NEW, REPEAT
from state.customers.saver import CustomerSaver
from state.messages.deltas import Source
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.kinds import EVENTS_SOURCE, EventKind, kinds_of
from streams.messages.checks import EventTypes
from streams.messages.decoding import decode_events
from streams.messages.schema import REPORTED, Progress
from streams.process.threads import in_thread
from streams.recommending.advice import Advice
from streams.recommending.learnt import LearntPublisher
from streams.recommending.messages import Recommendations, key_of
from streams.recommending.recommendations import RecommendationsPublisher
from streams.tasks.context import Context
from streams.tasks.customers import counting_settings, item_partitions
from streams.tasks.outgoing import Outgoing
from streams.tasks.task import Reached, Task

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk
    from streams.recommending.tasks import Shared

log = logging.getLogger("alsobought")

BACKLOG_S = 1.5  # without a chunk for so long, there is none
LEAD_EVENTS = 2_000  # that it may always be ahead of the worker


class RecommenderTask(Task):
    """Keeps the histories of one partition's customers, and recommends to them.

    Attributes
    ----------
    publisher : RecommendationsPublisher
        It publishes the recommendations of the customers who wait for them.
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
        self.publisher = RecommendationsPublisher(self, self._board, self._pacing, self._learnt)
        self._news: list[tuple[int, list[str]]] = []  # offset of a chunk, whom it has news of
        self._behind_ms, self._chunk_at = 0.0, 0.0
        self._event_ms = 0  # newest event time applied
        self.replayed_from = self.replayed_to = 0

    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""
        partitions = self.context.partitions
        # as the worker's, but for the pairs, so that the worker's checkpoints are of the same histories
        self.machine = CustomerMachine(
            counting_settings(self.context.settings),
            Source(EVENTS_SOURCE, self.tp.partition),
            partitions,
            partial(item_partitions, partitions),
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
        return [self.publisher.run(), self.publisher.look_back()]

    @property
    def reported_as(self) -> str:
        """The name of its progress."""
        return f"{REPORTED}{self.name}"

    @property
    def reports(self) -> bool:
        """Whether it reports: not before it is known how far recommendations were."""
        return self.publisher.remembers

    @property
    def reached(self) -> Reached:
        """The newest settle mark up to which everybody is recommended to and nothing is newer."""
        recommended = self.publisher.recommended
        done = recommended if recommended >= self.position else -1
        return (self._board.settled, done)

    def progress(self, worker: str) -> Progress:
        """Return how far it is, how far its recommendations are, and which model they use."""
        progress = super().progress(worker)
        progress.task = self.reported_as
        progress.recommended, progress.settled = self.publisher.recommended, self._board.settled
        progress.model, progress.looked_through = self.advice.model_version, self.publisher.looked_through
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

    @property
    def behind(self) -> bool:
        """Whether a backlog of events is read."""
        busy = time.monotonic() - self._chunk_at < BACKLOG_S
        return busy and self._behind_ms > 2 * self.context.settings.staleness_ms

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
            self.publisher.waiting.add(customers, offset)
        self.publisher.wake()

    def _changed_by(self, chunk: Chunk, records: Sequence[Any]) -> list[str]:
        """Apply a chunk; return the customers who have something new."""
        machine = self.machine
        now_ms = time.time_ns() // 1_000_000
        decoded = decode_events(records, chunk.end, machine, self._types, now_ms)
        batch = decoded.batch
        for slot in np.unique(batch.customers[batch.actions == Action.FORGET]).tolist():
            customer_id = machine.customers.id(slot)
            for profile in (None, *filter(None, machine.profiles.of(slot))):
                self.publisher.waiting.erased[key_of(customer_id, profile).encode()] = None
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
