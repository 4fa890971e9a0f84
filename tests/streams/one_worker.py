"""The tasks of one worker without Kafka, as they are assigned and lose partitions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

from aiokafka.errors import IllegalStateError
from faust.types import TP

from streams.topics import PAIR_DELTAS, PURCHASES
from streams.worker import Tasks
from tests.streams.offline import Offline

EVENTS, OTHER, DELTAS = TP(PURCHASES.name, 0), TP(PURCHASES.name, 1), TP(PAIR_DELTAS.name, 0)
TOPICS_OF_OTHERS = TP("somebody's", 0)


class _Consumer:
    """The part of Faust's consumer that the tasks use."""

    def __init__(self, worker: Offline) -> None:
        self.assigned: set[TP] = set()
        self.sought: list[dict[TP, int]] = []
        self.ends: dict[TP, int] = {}
        self._worker = worker

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.ends.get(tp, len(self._worker.broker.logs.get(tp, []))) for tp in tps}

    async def seek_wait(self, positions: dict[TP, int]) -> None:
        for tp in positions:
            if tp not in self.assigned:
                raise IllegalStateError(f"Partition {tp} is not assigned")
        self.sought.append(positions)


class OneWorker:
    """The tasks of a worker, over the outbox, stores and lease of an `Offline`."""

    def __init__(self, root: Path) -> None:
        self.offline = Offline(root, settings={"watched_bought_days": 0, "progress_ms": 50})
        self.consumer = _Consumer(self.offline)
        self.tasks = Tasks(SimpleNamespace(consumer=self.consumer), self.offline.context.settings)
        object.__setattr__(self.offline.context, "lease", self.tasks.lease)
        self.tasks._context = self.offline.context
        cycling = self.tasks.cycle.run(self.offline.context)
        self.tasks._background = [asyncio.create_task(cycling)]

    async def assign(self, *tps: TP) -> dict[TP, int]:
        self.consumer.assigned = set(tps)
        self.consumer.ends[EVENTS] = self.consumer.ends[OTHER] = 10_000
        return dict(await self.tasks.open(self.consumer.assignment()))

    async def until_counted(self, tp: TP, position: int) -> None:
        async with asyncio.timeout(20):
            while self.tasks._open[tp].progress("").applied < position:
                self.tasks._raise_failures()
                await asyncio.sleep(0.001)
