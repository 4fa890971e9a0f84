"""Publish how popular the items of a partition are: the worker's side of topic `popularity`.

Counting does nothing for it. Now and then the items are compared with what was published of them, and those
that differ are sent together. So an item has at most one record a second, and fewer while a backlog is
counted (comparing, writing and sending take a hundredth of the time). A settling publishes what is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from aiokafka.errors import KafkaError
from faust.types import TP

from state.items.popularity_changes import PopularityChanges
from streams.kafka.topic_reader import Written
from streams.messages.lists_json import JsonIds
from streams.messages.popularity_json import popularity_records
from streams.messages.schema import COUNTED, SETTLE, UNSETTLED, CountedMessage, encode, key_text
from streams.process.threads import in_thread

if TYPE_CHECKING:
    from streams.tasks.items import ItemTask
    from streams.topics import TopicSpec

log = logging.getLogger("alsobought")

LEAST_PAUSE_S = 1.0
SHARE = 0.01  # it may take this share of the time, up to the longest pause
AT_ONCE = 4_096  # records, 1.5 MiB


class PopularityPublisher:
    """Publishes the popularity of the items that an item task owns."""

    def __init__(self, task: ItemTask, topic: TopicSpec) -> None:
        self._task, self._tp = task, TP(topic.name, task.tp.partition)
        self._changes = PopularityChanges(task.machine)
        self._ids = JsonIds(task.machine.items)
        self._kind = np.frombuffer(msgspec.json.encode(task.kind.name), np.uint8).copy()
        self._position = -1
        self._settled = UNSETTLED  # number of the last settling
        self._written: Written | None = None
        self._one = asyncio.Lock()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            begin = time.monotonic()
            try:
                machine = self._task.machine
                # during a replay newer popularity may be published, and without items there is none
                if machine.row_count and machine.position >= machine.replayed_to:
                    await self.publish()
            except KafkaError as error:
                log.info("%s: popularity: %s; all of it is sent again", self._task.name, error)
                async with self._one:
                    self._changes.forget()
                    self._position = -1
            longest = self._task.context.settings.catch_up_ms / 1000
            took = time.monotonic() - begin
            await asyncio.sleep(min(max(LEAST_PAUSE_S, took / SHARE), max(LEAST_PAUSE_S, longest)))

    async def publish(self, settling: int = -1) -> None:
        """Publish what changed, and how far the counting is, with a settling's number; return when Kafka has
        it.
        """
        task = self._task
        async with self._one:
            await self._look_for_others()
            if task.position == self._position and settling <= self._settled:
                return
            await task.confirmed()
            # one hold of the lock for both: what is noted as published is what the records say
            async with task.lock:
                position = task.position
                records = await in_thread(self._records)
                settled = max(self._settled, settling)
                records.append((COUNTED, self._counted(settled)))
            for start in range(0, len(records), AT_ONCE):
                some = records[start : start + AT_ONCE]
                first = await task.context.outbox.send_keyed(self._tp, some)
                if self._written is not None:
                    self._written.own(first, len(some))
            # not before: what could not be sent is to be sent again
            self._position, self._settled = position, settled

    def _counted(self, settled: int) -> bytes:
        machine = self._task.machine
        sources = [(*source, end, customers) for source, end, customers in machine.counted()]
        return encode(CountedMessage(machine.watermark_ms, settled, sources))

    def _records(self) -> list[tuple[bytes, bytes | None]]:
        return popularity_records(self._task.machine, self._changes.take(), self._ids, self._kind)

    async def _look_for_others(self) -> None:
        """Publish records again that another worker wrote to the partition."""
        reader = self._task.context.reader
        end = await reader.end_of(self._tp)
        if self._written is None:
            self._written = Written(self._tp, end, marked=True)
        self._written.reached(end)
        while self._written.by_others:
            keys = await reader.keys(self._tp, *self._written.by_others[0])
            names = [key_text(key) for key in keys if key not in (SETTLE, COUNTED)]
            if names or COUNTED in keys:  # SETTLE is what `drain` writes
                async with self._task.lock:
                    self._changes.forget(self._task.machine.rows_of(names))
                self._position = -1
            self._written.by_others.pop(0)
