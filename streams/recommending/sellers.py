"""Bestsellers and trending items of a kind, made once per process from the popularity of all items.

Each list is published as it changes to the partition of its key, by the recommender that has this partition
of the events.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from aiokafka.errors import KafkaError
from faust.types import TP

from recommending.related_lists import IdMapping
from state.popularity.bestsellers import EVERYTHING, BestsellerList, Bestsellers
from streams.kafka.topic_reader import Written
from streams.messages.partitioning import partition_for
from streams.process.threads import in_thread
from streams.recommending.messages import Seller, Sellers, encode
from streams.topics import ITEMS

if TYPE_CHECKING:
    from streams.recommending.board import Board
    from streams.recommending.task import RecommenderTask
    from streams.recommending.tasks import Shared
    from streams.tasks.context import Context

log = logging.getLogger("alsobought")

LOOK_S = 1.0


class SellersPublisher:
    """Publishes those lists of a kind whose keys belong to partitions of this process."""

    def __init__(self, board: Board, shared: Shared, context: Context) -> None:
        self._board, self._shared, self._context = board, shared, context
        self._topic = board.kind.bestsellers.name
        self._lists = Bestsellers()
        self._categories = IdMapping(board.popularity.items, board.catalogue.items, adding=False)
        self._seen = (-1, -1, -1, -1)
        self._here: dict[int, Written] = {}  # partitions that have everything, and what is ours there
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Publish soon, as there may be something to publish at once."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._shared.follower.caught_up.wait()
        while True:
            try:
                await self._look()
            except KafkaError as error:
                log.info("%s: %s; all of it is sent again", self._topic, error)
                self._lists, self._here, self._seen = Bestsellers(), {}, (-1, -1, -1, -1)
            try:
                await asyncio.wait_for(self._wake.wait(), LOOK_S)
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def _look(self) -> None:
        """Publish what changed. When a settle mark was read everywhere, note that everything is published."""
        board, tasks = self._board, self._shared.tasks(self._board.kind)
        mark = board.mark(self._context.partitions)
        if mark > board.settled:
            await self._shared.follower.reach([ITEMS.name])
            for task in tasks:
                task.publisher.wake()
        await self.publish()
        if mark > board.settled and all(task.publisher.withdrawn for task in tasks):
            board.settled = mark

    async def publish(self) -> None:
        """Publish what changed; return when Kafka has it."""
        board = self._board
        tasks = {task.tp.partition: task for task in self._shared.tasks(board.kind)}
        reader = self._context.reader
        for partition, written in list(self._here.items()):
            if partition in tasks and not board.popularity.purchases:
                continue  # nobody bought anything: there is nothing to look after
            written.reached(await reader.end_of(written.tp))
            if partition not in tasks or written.by_others:  # lost, or with lists of somebody else
                del self._here[partition]
        fresh = set(tasks) - set(self._here)
        seen = (
            board.popularity.purchases, board.popularity.watermark_ms, board.catalogue.version, board.hidden,
        )  # fmt: skip
        if seen == self._seen and not fresh:
            return
        records = await in_thread(self._records, set(tasks), fresh)
        for partition in sorted(fresh):
            tp = TP(self._topic, partition)
            end = await reader.end_of(tp)
            self._here[partition] = Written(tp, end)
            there = await reader.keys(tp, 0, end)
            known = {key for key, _ in records[partition]}
            records[partition] += [(key, None) for key in sorted(there - known)]
        for partition, some in records.items():
            await self._send(tasks[partition], some)
        self._seen = seen

    async def _send(self, task: RecommenderTask, records: list[tuple[bytes, bytes | None]]) -> None:
        if records:
            await task.confirmed()
            tp = TP(self._topic, task.tp.partition)
            first = await self._context.outbox.send_keyed(tp, records)
            self._here[task.tp.partition].own(first, len(records))

    def _records(self, here: set[int], fresh: set[int]) -> dict[int, list[tuple[bytes, bytes | None]]]:
        """Return what is to be sent to each partition: everything to `fresh` ones, to others what changed."""
        board = self._board
        found: dict[int, list[tuple[bytes, bytes | None]]] = {partition: [] for partition in here}
        with board.related.lock:
            changed = self._lists.update(
                board.popularity.popularity, board.popularity.items, self._category_numbers()
            )
            for which in dict.fromkeys((*changed, *(self._lists.lists if fresh else ()))):
                key = self._key(which)
                partition = partition_for(key, self._context.partitions)
                if partition in fresh or (partition in here and which in changed):
                    found[partition].append((key, self._message(which)))
        return found

    def _category_numbers(self) -> npt.NDArray[np.int32]:
        numbers = self._categories.up_to_date()
        groups = self._board.catalogue.groups[:, 0]
        return np.where(numbers >= 0, groups[np.maximum(numbers, 0)], 0).astype(np.int32)

    def _key(self, which: BestsellerList) -> bytes:
        prefix, name = "trending" if which.trending else "category", self._category(which)
        if name is None:
            return b"trending" if which.trending else b"all"
        return f"{prefix}:{name}".encode()

    def _category(self, which: BestsellerList) -> str | None:
        return None if which.category == EVERYTHING else self._board.catalogue.categories.id(which.category)

    def _message(self, which: BestsellerList) -> bytes | None:
        sellers = self._lists.lists.get(which)
        if not sellers:
            return None
        return encode(
            Sellers(
                kind=self._board.kind.name, category=self._category(which), trending=which.trending,
                as_of=self._board.popularity.watermark_ms,
                items=[Seller(s.item_id, s.purchases, s.rise) for s in sellers],
            )
        )  # fmt: skip
