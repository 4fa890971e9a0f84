"""Read what is published, with a consumer of no group, for all boards.

items                       the catalogue, and what is available
lists of each kind          all of them (`list_reading`)
popularity of each kind     all of it
ranker, quality, models     all of it
progress                    how far the workers are

It never waits for recommendations: records are taken in as they come, in slices. Lists and popularity,
however, are not taken in before the events that they have counted (`alignment`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from state.popularity.view import ItemPopularity
from streams.connections.bootstrap import Bootstrap
from streams.kafka.readers import new_reader
from streams.kafka.refusals import require_on_topics
from streams.kafka.stopping import start, stop
from streams.messages.popularity_json import popularity_of
from streams.messages.schema import (
    COUNTED,
    SETTLE,
    Progress,
    decode_item,
    decode_settle_mark,
    progress_of,
)
from streams.process.threads import in_thread
from streams.recommending.alignment import as_of_ms
from streams.recommending.board import Board, Boards
from streams.recommending.messages import decode_model, decode_quality, decode_ranker
from streams.topics import ITEMS, MODELS, PROGRESS, QUALITY, RANKER

log = logging.getLogger("alsobought")

POLL_MS = 150
FETCH_BYTES = 512 << 10  # a request names every partition: it costs the same whatever it brings
AGAIN_S = 1.0
LOOK_S = 0.02
AT_ONCE = 2_000  # records taken in with the boards' locks held
LISTS_AT_ONCE = 100  # with a board's lock held: some 2 ms
SILENT_S = 5.0  # a worker that reports nothing for so long counts as away
LATE_MS = 2_000  # reading is late if the last record was published so long ago and there are more


class BoardFollower:
    """Fills the boards from Kafka.

    Attributes
    ----------
    caught_up : asyncio.Event
        It is set once everything that was there at the beginning is read.
    """

    def __init__(self, bootstrap: Bootstrap, boards: Boards) -> None:
        self._bootstrap, self._boards = bootstrap, boards
        self._lists: dict[str, Board] = {b.kind.lists.name: b for b in boards.by_kind.values()}
        self._popular: dict[str, Board] = {b.kind.popularity.name: b for b in boards.by_kind.values()}
        self._positions: dict[Any, int] = {}
        self._workers: dict[str, Progress] = {}
        self._pace: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._consumer: Any = None
        self._kept: dict[Any, list[Any]] = {}  # fetched records that are later than the events
        self._late: dict[Any, int] = {}  # per partition with more records: when the last read was published
        self._rounds = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._takes: dict[str, Callable[[bytes | None, bytes | None], None]] = {
            ITEMS.name: self._take_item, MODELS.name: self._take_model, RANKER.name: self._take_ranker,
            QUALITY.name: self._take_quality, PROGRESS.name: self._take_progress,
        }  # fmt: skip
        self.caught_up = asyncio.Event()
        self.changed = asyncio.Event()  # set with what may have to be published

    async def run(self, partitions: int) -> None:
        """Read until cancelled, and continue after outages of Kafka; raise RightsMissing.

        Every topic has `partitions` partitions.
        """
        self._loop = asyncio.get_running_loop()
        while True:
            consumer = new_reader(
                self._bootstrap, max_partition_fetch_bytes=1 << 20, fetch_min_bytes=FETCH_BYTES,
                fetch_max_wait_ms=POLL_MS,
            )  # fmt: skip
            try:
                await start(consumer)
                await self._read(consumer, self._topics(partitions))
            except KafkaError as error:
                await require_on_topics(
                    self._bootstrap, "Read", {tp.topic for tp in self._topics(partitions)}
                )
                log.info("reading what is published: %s; again in %.0f s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
            finally:
                self._consumer = None
                await stop(consumer)

    def _topics(self, partitions: int) -> list[Any]:
        names = [spec.name for spec in (ITEMS, RANKER, QUALITY, MODELS, PROGRESS)]
        return [
            TopicPartition(name, p)
            for name in (*names, *self._lists, *self._popular)
            for p in range(partitions)
        ]

    async def _read(self, consumer: Any, topics: list[Any]) -> None:
        consumer.assign(topics)
        begins, ends = await consumer.beginning_offsets(topics), await consumer.end_offsets(topics)
        for tp in topics:
            begin = ends[tp] if tp.topic == PROGRESS.name else begins[tp]  # what workers say from now on
            consumer.seek(tp, self._positions.get(tp, begin))
        self._consumer, self._kept, self._late = consumer, {}, {}
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
            for tp in self._kept | fetched:
                records = [*self._kept.get(tp, ()), *fetched.get(tp, ())]
                await self._take_or_keep(consumer, tp, records)
            self._rounds += 1
            if not self.caught_up.is_set():
                left = [tp for tp in topics if await consumer.position(tp) < ends[tp]]
                if not left and not self._kept:
                    self.caught_up.set()
                    self.changed.set()

    async def _take_or_keep(self, consumer: Any, tp: Any, records: list[Any]) -> None:
        """Take records in; while events are behind, keep the records and pause their partition."""
        board = self._lists.get(tp.topic) or self._popular.get(tp.topic)
        kept = tp in self._kept
        if board is not None and board.alignment.holds_up(records):
            if not kept:
                consumer.pause(tp)
            self._kept[tp] = records
            return
        await in_thread(self._take, tp.topic, records)
        self._positions[tp] = records[-1].offset + 1
        if self._positions[tp] < (consumer.highwater(tp) or 0):
            self._late[tp] = records[-1].timestamp
        else:
            self._late.pop(tp, None)
        if kept:
            del self._kept[tp]
            consumer.resume(tp)

    def is_late(self, board: Board) -> bool:
        """Return whether lists or popularity of a board are read too late to train on them."""
        now_ms, topics = time.time() * 1000, (board.kind.lists.name, board.kind.popularity.name)
        late = list(self._late.items())  # a copy, because the event loop changes it meanwhile
        return any(
            now_ms - published_ms > LATE_MS and tp.topic in topics and tp not in self._kept
            for tp, published_ms in late
        )

    async def reach(self, specs: list[str]) -> None:
        """Return when everything that these topics hold now has been taken in."""
        asked: Any = None
        ends: dict[Any, int] = {}
        while True:
            consumer = self._consumer
            if consumer is not None:
                if consumer is not asked:  # the first one, or another after an outage
                    wanted = [tp for tp in consumer.assignment() if tp.topic in specs]
                    ends, asked = await consumer.end_offsets(wanted), consumer
                # by position: the last offsets may hold no record
                reached = all([await consumer.position(tp) >= end for tp, end in ends.items()])
                if reached and not self._kept.keys() & ends.keys():
                    break
            await asyncio.sleep(LOOK_S)
        rounds = self._rounds
        while self._rounds == rounds:  # what was fetched last may not be taken in yet
            await asyncio.sleep(LOOK_S)

    # ------------------------------------------------------------------ workers

    def ahead(self, task: str, position: int, least: int) -> bool:
        """Return whether a position is more than the work of two seconds ahead of a worker's count.

        `task` is the worker's; if the worker is away, nobody is ahead of it. `least` is how many events one
        may always be ahead.
        """
        progress = self._workers.get(task)
        if progress is None or time.monotonic() - self._heard[task] > SILENT_S:
            return False
        return position > progress.applied + max(least, 2 * self._pace[task])

    def _take_progress(self, _key: bytes | None, value: bytes | None) -> None:
        progress = progress_of(value)
        if progress is not None and progress.worker:
            before = self._workers.get(progress.task)
            self._pace[progress.task] = max(0, progress.applied - before.applied) if before else 0
            self._workers[progress.task] = progress
            self._heard[progress.task] = time.monotonic()

    # ------------------------------------------------------------------ records

    def _take(self, topic: str, records: list[Any]) -> None:
        if topic in self._popular:
            self._take_popularity(self._popular[topic], records)
            return
        if topic in self._lists:
            self._take_lists(self._lists[topic], records)
            return
        for record in records:
            try:
                self._takes[topic](record.key, record.value)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # the owner of the topic has refused it
        if topic == ITEMS.name:
            self._wake()

    def _take_lists(self, board: Board, records: list[Any]) -> None:
        # of several lists of an item only the last one is read
        newest = list({record.key or b"": record.value for record in records}.items())
        for first in range(0, len(newest), LISTS_AT_ONCE):
            with board.related.lock:
                board.lists.take(newest[first : first + LISTS_AT_ONCE])

    def _take_popularity(self, board: Board, records: list[Any]) -> None:
        found: list[ItemPopularity] = []
        with board.related.lock:
            for record in records:
                try:
                    if record.key == SETTLE:
                        board.marks[record.partition] = decode_settle_mark(record.value).settle
                    elif record.key == COUNTED:
                        continue  # what workers share with one another
                    elif record.value is None:
                        _put(board, found)
                        found = []
                        board.popularity.remove((record.key or b"").decode())
                    else:
                        found.append(popularity_of(record.value))
                except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
                    continue
            _put(board, found)
        if (counted_ms := as_of_ms(records)) >= 0:
            board.alignment.counted(records[-1].partition, counted_ms)
        self._wake()

    def _take_item(self, key: bytes | None, value: bytes | None) -> None:
        if key is None:
            return
        item_id, item = key.decode(), None if value is None else decode_item(value)
        if item is not None and item.item_id != item_id:
            return  # refused by the catalogue task
        catalogue = self._boards.catalogue
        hidden = item is None or not item.available
        for board in self._boards.by_kind.values():
            with board.related.lock:
                if item is None:
                    catalogue.put(item_id, None, None, None)
                else:
                    catalogue.put(item_id, item.category, item.brand, item.price)
                board.offer(item_id, available=not hidden)

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.changed.set)

    def _take_ranker(self, _key: bytes | None, value: bytes | None) -> None:
        if value is not None:
            state = decode_ranker(value)
            if board := self._boards.by_kind.get(state.kind):
                board.learnt[state.partition] = state

    def _take_quality(self, _key: bytes | None, value: bytes | None) -> None:
        if value is not None:
            q = decode_quality(value)
            if board := self._boards.by_kind.get(q.kind):
                board.quality[q.partition, q.day, q.algorithm, q.variant or ""] = q

    def _take_model(self, key: bytes | None, value: bytes | None) -> None:
        if value is None:
            if key is not None and (board := self._boards.by_kind.get(key.decode())):
                board.announced = None
            return
        model = decode_model(value)
        if board := self._boards.by_kind.get(model.kind):
            board.announced = model


def _put(board: Board, records: list[ItemPopularity]) -> None:
    try:
        board.popularity.put(records)
    except OverflowError as error:
        log.warning("%d records of %s are ignored: %s", len(records), board.kind.popularity.name, error)
