"""Tasks: one machine with its store and its place in the log, per partition of an input topic."""

from __future__ import annotations

import abc
import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faust.types import TP

from state.errors import StoreLocked
from state.saving import Saver
from streams.decoding import Record, Refused
from streams.messages import DeadLetter, Progress, encode
from streams.outbox import Outbox, Unacknowledged
from streams.settings import Settings
from streams.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from streams.transport import Chunk

log = logging.getLogger("alsobought")

SAVE_EVERY_S = 0.5
LOCK_WAIT_S = 30.0
LOCK_LOOK_S = 0.1
INBOX_CHUNKS = 2


class LogTooShort(Exception):
    """The log does not hold what the state needs next. The message says what to do."""


@dataclass
class Counters:
    """What a task did since the worker started."""

    events: int = 0
    pair_updates: int = 0
    lists: int = 0
    dead_letters: int = 0


@dataclass(frozen=True)
class Context:
    """What all tasks of a worker share."""

    settings: Settings
    outbox: Outbox
    partitions: int
    seek: Callable[[TP, int], Awaitable[None]]
    item_tasks: list[Any] = field(default_factory=list)
    ranking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


class Task(abc.ABC):
    """One partition's machine. `lock` is held while the machine is used."""

    def __init__(self, tp: TP, context: Context) -> None:
        self.tp = tp
        self.context = context
        self.lock = asyncio.Lock()
        self.pending = Unacknowledged()
        self.counters = Counters()
        self.saver: Saver
        self._saved_at_position = 0
        self._inbox: asyncio.Queue[Chunk] = asyncio.Queue(maxsize=INBOX_CHUNKS)
        self._loops: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        """Topic and partition, such as purchases-3."""
        return f"{self.tp.topic}-{self.tp.partition}"

    @property
    def folder(self) -> Path:
        """Where the task's store is."""
        return self.context.settings.data_dir / "state" / self.name

    @property
    def position(self) -> int:
        """Offset after the last record applied."""
        return self.saver.position()

    @abc.abstractmethod
    def new_saver(self) -> Saver:
        """A new machine with its store opened, not loaded."""

    @abc.abstractmethod
    async def apply(self, chunk: Chunk, records: list[Record]) -> None:
        """Apply the records of a chunk that are new; the machine's position becomes the chunk's end."""

    async def open(self) -> None:
        """Open the store and load the machine."""
        begin = time.monotonic()
        while True:
            try:
                self.saver = await asyncio.to_thread(self.new_saver)
                break
            except StoreLocked:
                # its owner before the rebalance, a worker on the same data directory, is closing it
                if time.monotonic() > begin + LOCK_WAIT_S:
                    raise
                await asyncio.sleep(LOCK_LOOK_S)
        await asyncio.to_thread(self.saver.load)
        self._saved_at_position = self.position
        log.info("%s: opened at offset %d in %.2f s", self.name, self.position, time.monotonic() - begin)
        self._loops = [asyncio.create_task(loop) for loop in self.loops()]

    def loops(self) -> list[Any]:
        """Coroutines that run while the task is open."""
        return [self._apply_loop(), self._save_loop()]

    async def handle(self, chunk: Chunk) -> None:
        """Take a chunk in; waits while the task has some to do, but not for other tasks."""
        await self._inbox.put(chunk)

    async def _apply_loop(self) -> None:
        while True:
            chunk = await self._inbox.get()
            await self.turn()
            async with self.lock:
                position = self.position
                if chunk.start <= position < chunk.end:
                    await self.apply(chunk, [r for r in chunk.records if r.offset >= position])
            if chunk.start > position:
                log.warning(
                    "%s is at %d, got a chunk from %d: reading again", self.name, position, chunk.start
                )
                await self.context.seek(self.tp, position)

    async def turn(self) -> None:
        """Wait until it is this task's turn to apply a chunk; most need not."""
        return

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
            position = self.position
            if position == self._saved_at_position and self.saver.stored >= position:
                continue
            # a sweep takes half the budget: a crash replays at most the sweep before and the one under way
            share = 2 * (position - self._saved_at_position) / self.events_budget()
            self._saved_at_position = position
            async with self.lock:
                await self.pending.wait()  # what is stored must not be ahead of what was sent
                await asyncio.to_thread(self.saver.step, min(1.0, max(share, 0.02)))

    def events_budget(self) -> float:
        """Records of the topic a restart may replay."""
        return self.context.settings.replay_events / self.context.partitions

    async def close(self, *, save: bool) -> None:
        """Stop, save everything if asked to, and give the store back."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        async with self.lock:
            if save:
                await self.pending.wait()
                await asyncio.to_thread(self.saver.save_all)
            await asyncio.to_thread(self.saver.close)

    def failed(self) -> BaseException | None:
        """The error one of its loops ended with."""
        for loop in self._loops:
            if loop.done() and not loop.cancelled() and loop.exception():
                return loop.exception()
        return None

    def progress(self, worker: str) -> Progress:
        """How far it is."""
        counters = self.counters
        return Progress(
            task=self.name, worker=worker, applied=self.position, stored=self.saver.stored,
            events=counters.events, pair_updates=counters.pair_updates, lists=counters.lists,
            dead_letters=counters.dead_letters,
        )  # fmt: skip
