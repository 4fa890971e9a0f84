"""Reading what is published, by this worker and by others: a consumer of no group, for all boards.

items                the catalogue, all of it
lists of each kind   of the partitions that other workers own
ranker, quality      all of it
models               all of it: which should be in use
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.messages import decode_item
from streams.readers import new_reader
from streams.recommending.board import Board, Boards
from streams.recommending.messages import decode_model, decode_quality, decode_ranker
from streams.stopping import stop
from streams.threads import in_thread
from streams.topics import ITEMS, MODELS, QUALITY, RANKER

if TYPE_CHECKING:
    from streams.kinds import EventKind

log = logging.getLogger("alsobought")

POLL_MS = 200
AGAIN_S = 1.0


class Following:
    """Fills the boards from Kafka.

    Parameters
    ----------
    partitions
        Of every topic.
    here
        Partitions of a kind's lists that this worker publishes, and puts on the board itself.

    Attributes
    ----------
    caught_up : asyncio.Event
        Set once everything that was there at the beginning is read.
    """

    def __init__(
        self, bootstrap: str, boards: Boards, partitions: int, here: Callable[[EventKind], set[int]]
    ) -> None:
        self._bootstrap, self._boards, self._partitions, self._here = bootstrap, boards, partitions, here
        self._lists: dict[str, Board] = {b.kind.lists.name: b for b in boards.by_kind.values()}
        self._ends: dict[Any, int] = {}
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled, over outages of Kafka."""
        while True:
            consumer = new_reader(self._bootstrap, max_partition_fetch_bytes=4 << 20)
            try:
                await consumer.start()
                await self._read(consumer)
            except KafkaError as error:
                log.info("reading what is published: %s; again in %.0f s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
            finally:
                await stop(consumer)

    async def _read(self, consumer: Any) -> None:
        assigned: set[Any] = set()
        while True:
            wanted = self._wanted()
            if wanted != assigned:
                positions = {tp: await consumer.position(tp) for tp in assigned & wanted}
                consumer.assign(list(wanted))
                for tp in wanted:
                    consumer.seek(tp, positions.get(tp, 0))
                self._ends = await consumer.end_offsets(list(wanted))
                begins = await consumer.beginning_offsets(list(wanted))
                for tp in wanted - assigned:
                    consumer.seek(tp, begins[tp])
                assigned = wanted
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            if fetched:
                await in_thread(self._take, [r for records in fetched.values() for r in records])
            if not self.caught_up.is_set():
                left = [tp for tp in assigned if await consumer.position(tp) < self._ends.get(tp, 0)]
                if not left:
                    self.caught_up.set()

    def _wanted(self) -> set[Any]:
        wanted = {
            TopicPartition(spec.name, p)
            for spec in (ITEMS, RANKER, QUALITY, MODELS)
            for p in range(self._partitions)
        }
        for board in self._boards.by_kind.values():
            others = set(range(self._partitions)) - self._here(board.kind)
            wanted |= {TopicPartition(board.kind.lists.name, p) for p in others}
        return wanted

    def _take(self, records: Iterable[Any]) -> None:
        for record in records:
            try:
                self._take_one(record.topic, record.key, record.value)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # the catalogue task has sent it to the dead letters; others write what is right

    def _take_one(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        if topic in self._lists:
            if key is not None:
                self._lists[topic].take_list(key, value)
        elif topic == ITEMS.name:
            if value is None:
                if key is not None:
                    self._boards.catalogue.put(key.decode(), None, None, None)
                return
            item = decode_item(value)
            self._boards.catalogue.put(item.item_id, item.category, item.brand, item.price)
        elif topic == MODELS.name:
            self._take_model(key, value)
        elif value is not None and topic == RANKER.name:
            state = decode_ranker(value)
            if board := self._boards.by_kind.get(state.kind):
                board.learnt[state.partition] = state
        elif value is not None and topic == QUALITY.name:
            told = decode_quality(value)
            if board := self._boards.by_kind.get(told.kind):
                board.quality[told.partition, told.day, told.algorithm, told.variant or ""] = told

    def _take_model(self, key: bytes | None, value: bytes | None) -> None:
        if value is None:
            if key is not None and (board := self._boards.by_kind.get(key.decode())):
                board.announced = None
            return
        told = decode_model(value)
        if board := self._boards.by_kind.get(told.kind):
            board.announced = told
