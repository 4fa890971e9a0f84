"""Tasks: one machine with its store and its place in the log, per partition of an input topic.

A task has no thread and no loop for its machine: `streams.tasks.cycle` gives it what was fetched, one cycle
after the other. Anything else that uses a machine (a query, the saving of state) holds the cycle's lock,
which all tasks of a worker share.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.kafka.outbox import Record
from streams.kafka.unacknowledged import Unacknowledged
from streams.messages.reasons import class_of
from streams.messages.schema import Progress
from streams.process.threads import in_thread
from streams.stores.checkpoints.taking import take_now_and_then
from streams.tasks.context import Context
from streams.tasks.outgoing import Outgoing, dead_letters, explained

if TYPE_CHECKING:
    from streams.kafka.transport import Chunk

log = logging.getLogger("alsobought")

CANCEL_AGAIN_S = 0.5
MIB = 1 << 20


class Torn(Exception):
    """A chunk was applied in part, so the machine must not be used or stored any more."""


@dataclass
class Counters:
    """What a task did since the worker started."""

    events: int = 0
    pair_updates: int = 0
    lists: int = 0
    dead_letters: int = 0
    misplaced: int = 0
    saves: int = 0
    checkpoints: int = 0
    failed_checkpoints: int = 0


Reached = tuple[int, ...]


class Task(abc.ABC):
    """One partition's machine.

    Attributes
    ----------
    memory_share : float
        The part of the worker's memory that all tasks of this class get together.
    unacknowledged : Unacknowledged
        What follows from its log and is on its way to Kafka.
    checkpointing : asyncio.Lock
        It is held while a checkpoint is taken.
    caught_up : int
        The offset at which the task last came to the end of its log after there had been more than it got.
    saved_ms, checkpoint_ms : int or None
        When its whole state was last stored, or read from the store, and when the newest checkpoint of it was
        made, ms since 1970; None while that is not known.
    """

    memory_share = 0.0

    def __init__(self, tp: TP, context: Context) -> None:
        self.tp = tp
        self.context = context
        self.unacknowledged = Unacknowledged()
        self.counters = Counters()
        self.saver: Saver
        self.store: RocksStore
        self.checkpointing = asyncio.Lock()
        self.caught_up = -1
        self.has_more = False  # whether the log had more than the last chunk
        self.saved_ms: int | None = None
        self.checkpoint_ms: int | None = None
        self._whole = True  # no chunk is applied in part
        self._loops: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def name(self) -> str:
        """Its topic and partition, such as purchases-3."""
        return f"{self.tp.topic}-{self.tp.partition}"

    @property
    def lock(self) -> asyncio.Lock:
        """The cycle's lock, shared by all tasks of the worker; whoever uses the machine holds it."""
        return self.context.lock

    @property
    def reports(self) -> bool:
        """Whether it may report how far it is: not before it knows what its last owner reported."""
        return True

    @property
    def reached(self) -> Reached:
        """What is reported as soon as it changes, because somebody may wait for it."""
        return (self.caught_up,)

    @property
    def position(self) -> int:
        """The offset after the last record applied."""
        return self.saver.position()

    @property
    def log_identity(self) -> str:
        """The topics its state is counted from."""
        return self.context.stores.log_identity(self.name)

    def memory_bytes(self, part: float) -> int | None:
        """Return the memory of its machine for this part of its class's memory; None for any amount."""
        memory_mib = self.context.settings.memory_mib
        return None if memory_mib is None else int(memory_mib * MIB * self.memory_share * part)

    def limit_memory(self, part: float) -> None:  # noqa: B027
        """Keep to this part (0 to 1) of its class's memory."""

    def memory_parts(self) -> dict[str, int]:
        """Return the bytes that its machine takes by part, of those parts that grow with the log."""
        return {}

    def evicted(self) -> int:
        """Return how often something was dropped from memory to keep to the budget."""
        return 0

    def holds(self) -> int:
        """Return how much it has to keep, compared with other tasks of the class."""
        return 0

    def replays_to(self, end: int) -> None:  # noqa: B027
        """Note, before starting, where the log ends: another worker may have applied everything before it."""

    @abc.abstractmethod
    def new_saver(self, store: RocksStore) -> Saver:
        """Return a new machine with its store, not loaded."""

    @abc.abstractmethod
    def apply(self, chunk: Chunk, records: Sequence[Any]) -> Outgoing:
        """Apply the records of a chunk that are new; the machine's position becomes the chunk's end.

        It runs in the cycle's thread, or in a quick cycle in the event loop, with the cycle's lock held.
        """

    def take(self, chunk: Chunk) -> Outgoing | None:
        """Apply a chunk; return None if it begins after the machine's
        position, so that something is missing.
        """
        position = self.position
        if chunk.start > position:
            return None
        if chunk.end <= position:
            return Outgoing()
        self._whole = False
        # what was applied already is at most at the beginning
        new = chunk.records if chunk.start == position else [r for r in chunk.records if r.offset >= position]
        outgoing = self.apply(chunk, new)
        self._whole = True
        if self.has_more and chunk.left == 0:
            self.caught_up = chunk.end
        self.has_more = chunk.left > 0
        outgoing.refused = explained(outgoing.refused)
        self.counters.dead_letters += len(outgoing.refused)
        self.context.measured.refused.update(
            (self.tp.topic, class_of(one.reason)) for one in outgoing.refused
        )
        outgoing.records += dead_letters(self.tp, outgoing.refused)
        return outgoing

    def is_quick(self, records: Sequence[Any]) -> bool:
        """Return whether a few small records are applied in less time than it takes to hand them to a thread:
        without reading a store, or waiting for another thread.
        """
        del records
        return False

    def postpones(self, now_s: float) -> bool:
        """Return whether chunks of this task wait for a later cycle; `now_s` is of the monotonic clock."""
        del now_s
        return False

    def took_in(self) -> None:  # noqa: B027
        """Note, in the event loop, that chunks were applied."""

    async def confirmed(self) -> None:
        """Wait until the group has confirmed that the partition is this process's."""
        await self.context.lease.wait(self.name, lambda: self.context.owns(self.tp))

    async def open(self, begin: int) -> None:
        """Find the store and load the machine; an empty one begins at offset `begin` of the log."""
        started = time.monotonic()
        await self._load(await self.context.stores.open(self.name))
        if self.position == 0 and begin > 0:
            self.saver.begin_at(begin)
            self._begin_from_here()
        log.info("%s: opened at offset %d in %.2f s", self.name, self.position, time.monotonic() - started)

    async def reopen(self) -> bool:
        """Load the newest checkpoint instead; False without one. Only before `start`."""
        store = await self.context.stores.reopen(self.name, self.store)
        if store is None:
            return False
        await self._load(store)
        return True

    async def _load(self, store: RocksStore) -> None:
        self.store = store
        self.saver = self.new_saver(store)
        await in_thread(self.saver.load)
        self._begin_from_here()

    def _begin_from_here(self) -> None:
        self.unacknowledged.begin_at(self.position)

    def is_newest(self) -> bool:
        """Return whether a worker would open its store now; if not, a successor has taken over."""
        return self.context.stores.is_newest(self.name, self.store)

    def begin(self) -> list[Record]:
        """Note, before starting, that the state is the one to continue from.

        Return what is to be sent then.
        """
        return []

    def start(self) -> None:
        """Begin to work; everything is stored now, as it was just read."""
        self.saved_ms = time.time_ns() // 1_000_000
        self._loops = [asyncio.create_task(loop) for loop in self.loops()]

    def loops(self) -> list[Any]:
        """Return coroutines that run while the task is open."""
        return [] if self.context.stores.checkpoints is None else [take_now_and_then(self)]

    # ------------------------------------------------------------------ saving

    @property
    def may_be_stored(self) -> bool:
        """Whether everything that follows from what is applied is in Kafka; it raises the error of what
        failed.

        What is stored must not be ahead of what was sent.
        """
        if not self._whole:
            raise Torn(f"{self.name} stopped in the middle of a chunk; it must continue from what is stored")
        return self.unacknowledged.reached(self.position)

    @property
    def acknowledged(self) -> int:
        """The offset up to which everything that follows from the records is in Kafka."""
        return self.unacknowledged.position()

    async def close(self, *, save: bool) -> None:
        """Save everything if asked to and possible, and close the store. The lock must be held."""
        self._closing = True
        for loop in self._loops:
            loop.cancel()
        while left := [loop for loop in self._loops if not loop.done()]:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
            for loop in left:  # wait_for swallows the first in the moment it has what it waits for
                loop.cancel()
        try:
            if save and self._whole:
                await self.unacknowledged.wait()
                if self.may_be_stored:  # else the worker was interrupted before it sent what it had applied
                    await in_thread(self.saver.save_all)
        finally:
            await in_thread(self.saver.close)

    def failed(self) -> BaseException | None:
        """Return the error that one of its loops ended with; they end by themselves only with an error."""
        if not self._closing:
            for loop in self._loops:
                if loop.done():
                    return Torn(f"{self.name} was interrupted") if loop.cancelled() else loop.exception()
        return None

    def progress(self, worker: str) -> Progress:
        """Return how far it is."""
        counters = self.counters
        return Progress(
            task=self.name, worker=worker, applied=self.acknowledged, stored=self.saver.stored,
            events=counters.events, pair_updates=counters.pair_updates, lists=counters.lists,
            dead_letters=counters.dead_letters, misplaced=counters.misplaced,
        )  # fmt: skip
