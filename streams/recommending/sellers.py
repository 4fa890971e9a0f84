"""Bestsellers and what rises: each list by the partition of its key, published when it changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from aiokafka.errors import KafkaError
from faust.types import TP

from state.bestsellers import EVERYTHING, Bestsellers
from state.bestsellers import Board as Which
from state.recommending.list_view import Translation
from streams.outbox import acknowledged
from streams.partitioning import partition_for
from streams.recommending.messages import Seller, Sellers, encode
from streams.threads import in_thread

if TYPE_CHECKING:
    from streams.context import Context
    from streams.item_task import ItemTask
    from streams.recommending.board import Board

log = logging.getLogger("alsobought")

LOOK_S = 1.0


class SellersPublisher:
    """Publishes those lists of a kind whose keys are of an item task's partition."""

    def __init__(self, task: ItemTask, board: Board, context: Context) -> None:
        self._task, self._board, self._context = task, board, context
        self._lists = Bestsellers()
        self._categories = Translation(task.machine.items, board.catalogue.items, adding=False)
        self._seen = (-1, -1)
        self._stale: set[bytes] | None = None  # keys of before, that may have nothing now

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._context.following.caught_up.wait()
        while True:
            try:
                await self.publish()
            except KafkaError as error:
                log.info("%s: bestsellers: %s; all of them are sent again", self._task.name, error)
                self._lists = Bestsellers()
            await asyncio.sleep(LOOK_S)

    async def publish(self) -> None:
        """Publish what changed; returns when Kafka has it."""
        task, topic = self._task, self._board.kind.bestsellers.name
        seen = task.machine.position, self._board.catalogue.version
        if seen == self._seen or not self._context.following.caught_up.is_set():
            return
        await task.confirmed()
        if self._stale is None:
            tp = TP(topic, task.tp.partition)
            self._stale = await self._context.reader.keys(tp, 0, await self._context.reader.end_of(tp))
        async with task.lock:
            seen = task.machine.position, self._board.catalogue.version
            records = await in_thread(self._records)
            replayed = task.machine.position >= task.machine.replayed_to
        self._stale -= {key for key, _ in records}
        if replayed:
            records += [(key, None) for key in self._stale]
            self._stale = set()
        sent = await self._context.outbox.send_many(topic, task.tp.partition, records)
        await acknowledged([batch.acknowledged for batch in sent])
        self._seen = seen

    def _records(self) -> list[tuple[bytes, bytes | None]]:
        machine = self._task.machine
        changed = self._lists.update(machine.tables.popularity, machine.items, self._category_numbers())
        records: list[tuple[bytes, bytes | None]] = []
        for which in changed:
            key = self._key(which)
            if partition_for(key, self._context.partitions) == self._task.tp.partition:
                records.append((key, self._message(which)))
        return records

    def _category_numbers(self) -> npt.NDArray[np.int32]:
        numbers = self._categories.up_to_date()
        groups = self._board.catalogue.groups[:, 0]
        return np.where(numbers >= 0, groups[np.maximum(numbers, 0)], 0).astype(np.int32)

    def _key(self, which: Which) -> bytes:
        prefix, name = "trending" if which.trending else "category", self._category(which)
        if name is None:
            return b"trending" if which.trending else b"all"
        return f"{prefix}:{name}".encode()

    def _category(self, which: Which) -> str | None:
        return None if which.category == EVERYTHING else self._board.catalogue.categories.id(which.category)

    def _message(self, which: Which) -> bytes | None:
        sellers = self._lists.lists.get(which)
        if not sellers:
            return None
        return encode(
            Sellers(
                kind=self._board.kind.name, category=self._category(which), trending=which.trending,
                as_of=self._task.machine.watermark_ms,
                items=[Seller(s.item_id, s.purchases, s.rise) for s in sellers],
            )
        )  # fmt: skip
