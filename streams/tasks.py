"""Tasks: one machine with its store and its place in the log, per partition of an input topic."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.saving import Pace, Saver
from state.store import RocksStore
from streams.checkpoints.taking import take_now_and_then
from streams.context import Context
from streams.decoding import Record, Refused
from streams.kinds import Kind
from streams.messages import DeadLetter, Progress, encode
from streams.outbox import Unacknowledged
from streams.threads import in_thread
from streams.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from streams.transport import Chunk

log = logging.getLogger("alsobought")

SAVE_EVERY_S = 0.5
HALT_S = 20.0
TURN_S = 0.005
TURNS = 100
CANCEL_AGAIN_S = 0.5
INBOX_CHUNKS = 2
MIB = 1 << 20


class Torn(Exception):
    """A chunk was applied in part: the machine is not to be used or stored any more."""


@dataclass
class Counters:
    """What a task did since the worker started."""

    events: int = 0
    pair_updates: int = 0
    lists: int = 0
    dead_letters: int = 0
    misplaced: int = 0


class Task(abc.ABC):
    """One partition's machine. `lock` is held while the machine is used.

    Attributes
    ----------
    memory_share : float
        Part of the worker's memory that tasks of this class get together, whatever they count.
    acknowledged : int
        Offset up to which everything that follows from the records is in Kafka.
    checkpointing : asyncio.Lock
        Held while a checkpoint is taken.
    """

    memory_share = 0.0

    def __init__(self, tp: TP, context: Context) -> None:
        self.tp = tp
        self.context = context
        self.lock = asyncio.Lock()
        self.pending = Unacknowledged()
        self.counters = Counters()
        self.acknowledged = 0
        self.saver: Saver
        self.store: RocksStore
        self._whole = True  # no chunk is applied in part
        self._saved_at_position = 0
        self._pace: Pace
        self.checkpointing = asyncio.Lock()
        self._inbox: asyncio.Queue[Chunk] = asyncio.Queue(maxsize=INBOX_CHUNKS)
        self._loops: list[asyncio.Task[None]] = []
        self._halted = False

    @property
    def name(self) -> str:
        """Topic and partition, such as purchases-3."""
        return f"{self.tp.topic}-{self.tp.partition}"

    @property
    def reports(self) -> bool:
        """Whether it may say how far it is: not before it knows what its last owner said."""
        return True

    @property
    def position(self) -> int:
        """Offset after the last record applied."""
        return self.saver.position()

    @property
    def log_identity(self) -> str:
        """Which topics its state is counted from."""
        return self.context.stores.log_identity(self.name)

    def memory_bytes(self, part: float) -> int | None:
        """What its machine may take if it gets this part of its class's memory; None for any."""
        memory_mib = self.context.settings.memory_mib
        return None if memory_mib is None else int(memory_mib * MIB * self.memory_share * part)

    def limit_memory(self, part: float) -> None:  # noqa: B027
        """Keep to this part (0 to 1) of its class's memory, if there is much to keep."""

    def holds(self) -> int:
        """How much there is to keep, compared with other tasks of the class."""
        return 0

    def replays_to(self, end: int) -> None:  # noqa: B027
        """Be told where the log ends, before starting: what is before it another worker may have applied."""

    @abc.abstractmethod
    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""

    @abc.abstractmethod
    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Apply the records of a chunk that are new; the machine's position becomes the chunk's end."""

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
        self._saved_at_position = self.acknowledged = self.position
        self._pace = Pace(self.replay_budget(), self.work)

    def is_newest(self) -> bool:
        """Whether its store is the one that a worker would open now: a successor may have taken over."""
        return self.context.stores.is_newest(self.name, self.store)

    async def begin(self) -> None:  # noqa: B027
        """Be told that the state is the one to go on from, before starting."""

    def start(self) -> None:
        """Begin to work."""
        self._loops = [asyncio.create_task(loop) for loop in self.loops()]

    def loops(self) -> list[Any]:
        """Coroutines that run while the task is open."""
        loops = [self._apply_loop(), self._save_loop()]
        if self.context.stores.checkpoints is not None:
            loops.append(take_now_and_then(self))
        return loops

    async def handle(self, chunk: Chunk) -> None:
        """Take a chunk in; waits while the task has some to do and is open, but not for other tasks."""
        await self._inbox.put(chunk)

    async def _apply_loop(self) -> None:
        while True:
            chunk = await self._inbox.get()
            await self.turn()
            await self.confirmed()
            async with self.lock:
                position = self.position
                if chunk.start <= position < chunk.end:
                    self._whole = False
                    await self.apply(chunk, [r for r in chunk.records if r.offset >= position])
                    self._whole = True
                    await self.shrink()
            if chunk.start > position:
                log.warning(
                    "%s is at %d, got a chunk from %d: reading again", self.name, position, chunk.start
                )
                await self.context.seek(self.tp, position)

    async def shrink(self) -> None:
        """Bring the machine back into its budget. To be called with the lock held."""
        if self.saver.over_budget():
            await self._all_acknowledged()
            await in_thread(self.saver.shrink)

    async def confirmed(self) -> None:
        """Wait until the group has confirmed that the partition is this worker's."""
        await self.context.lease.wait(self.name, lambda: self.context.owns(self.tp))

    async def turn(self) -> None:
        """Wait until it is this task's turn to apply a chunk; most need not."""
        return

    async def let_items_go_first(self, kind: Kind) -> None:
        """Let the item tasks of a kind here go first: deltas that pile up only make lists late.

        Bounded, so that events go on when a worker's item partitions have much to do from others.
        """
        for _ in range(TURNS):
            item_tasks = self.context.item_tasks(kind)
            if sum(task.busy for task in item_tasks) * 2 <= len(item_tasks):
                return
            await asyncio.sleep(TURN_S)

    @property
    def busy(self) -> bool:
        """Whether chunks wait to be applied."""
        return not self._inbox.empty() or self.lock.locked()

    async def refuse(self, refused: list[Refused]) -> None:
        """Send records to the dead letters."""
        for one in refused:
            record = one.record
            letter = DeadLetter(
                self.tp.topic, self.tp.partition, record.offset, one.reason, record.timestamp,
                record.key, record.value,
            )  # fmt: skip
            await self.pending.add(
                await self.context.outbox.send(DEAD_LETTERS.name, None, record.key, encode(letter))
            )
        self.counters.dead_letters += len(refused)

    async def _save_loop(self) -> None:
        """Write changed state slowly, at the pace the replay budget sets; all of it when nothing comes."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            if self.context.settings.memory_mib is not None:
                async with self.lock:
                    await self.shrink()  # others may have got a part of what it had
            position = self.position
            if position == self._saved_at_position and self.saver.stored >= position:
                continue
            self._saved_at_position = position
            share = self._pace.share(self.work)
            async with self.lock:
                await self._all_acknowledged()
                await in_thread(self.saver.step, share)

    async def _all_acknowledged(self) -> None:
        """What is stored must not be ahead of what was sent. To be called with the lock held."""
        if not self._whole:
            raise Torn(f"{self.name} stopped in the middle of a chunk; it goes on from what is stored")
        await self.pending.wait()
        self.acknowledged = self.position

    @property
    def work(self) -> int:
        """What replaying all that was applied since the worker started would cost, counted in events."""
        return self.counters.events

    def replay_budget(self) -> float:
        """The same, that a restart may cost."""
        return self.context.settings.replay_events / self.context.partitions

    async def close(self, *, save: bool) -> None:
        """Stop between two chunks, save everything if asked to and possible, and give the store back."""
        await self._halt()
        async with self.lock:
            try:
                if save and self._whole:
                    await self._all_acknowledged()
                    await in_thread(self.saver.save_all)
            finally:
                await in_thread(self.saver.close)

    async def _halt(self) -> None:
        """End the loops while nothing is applied, unless Kafka is away in the middle of a chunk."""
        self._halted = True
        held = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HALT_S):
                held = await self.lock.acquire()
        for loop in self._loops:
            loop.cancel()
        if held:
            self.lock.release()
        while left := [loop for loop in self._loops if not loop.done()]:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
            for loop in left:  # wait_for swallows the first in the moment it has what it waits for
                loop.cancel()
        # who waits to hand over a chunk would wait for ever, and its topic with it
        while not self._inbox.empty():
            self._inbox.get_nowait()

    def failed(self) -> BaseException | None:
        """The error one of its loops ended with; they end by themselves only with one."""
        if not self._halted:
            for loop in self._loops:
                if loop.done():
                    return Torn(f"{self.name} was interrupted") if loop.cancelled() else loop.exception()
        return None

    def progress(self, worker: str) -> Progress:
        """How far it is."""
        if self._whole and not self.lock.locked() and self.pending.empty:
            self.acknowledged = self.position
        counters = self.counters
        return Progress(
            task=self.name, worker=worker, applied=self.acknowledged, stored=self.saver.stored,
            events=counters.events, pair_updates=counters.pair_updates, lists=counters.lists,
            dead_letters=counters.dead_letters, misplaced=counters.misplaced,
        )  # fmt: skip
