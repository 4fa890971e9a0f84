"""The popularity of other partitions' items, read from its topics for item tasks.

Each worker reads the topics of all kinds of events, whole and once, whatever partitions it has. A partition's
machine counts its own items; the popularity of all others, by which it ranks, is from here, and a second or
two old. A settling makes it exact: every partition publishes what it has counted and then the settling's
number (`CountedMessage`), and ranks once that number was read of all.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from state.memory.item_ids import ItemIds
from state.messages.deltas import Source
from state.popularity.view import ItemPopularity, PopularityView
from streams.connections.bootstrap import Bootstrap
from streams.kafka.readers import new_reader
from streams.kafka.refusals import require_on_topics
from streams.kafka.stopping import start, stop
from streams.kinds import EventKind
from streams.messages.popularity_json import popularity_of
from streams.messages.schema import COUNTED, LATEST_MS, SETTLE, UNSETTLED, decode_counted
from streams.process.seed import TABLE_SEED
from streams.process.threads import in_thread

log = logging.getLogger("alsobought")

POLL_MS = 500
AT_ONCE = 1_000  # records taken in with the machines' lock held: some milliseconds
AGAIN_S = 1.0
LOOK_S = 0.02


class Others:
    """The popularity that is published of the items of each kind.

    Attributes
    ----------
    ready : bool
        Whether everything is read that was there at the beginning; True if nothing is to be read.
    """

    def __init__(self, kinds: tuple[EventKind, ...] = ()) -> None:
        self.ready = not kinds
        self._views: dict[str, PopularityView[ItemIds]] = {}
        self._settled: dict[str, dict[int, int]] = {}  # by topic and partition the newest settling's number
        self._topics = [kind.popularity.name for kind in kinds]
        self._positions: dict[Any, int] = {}

    def view(self, kind: EventKind) -> PopularityView[ItemIds]:
        """Return the popularity of a kind's items. The machines' lock must be held."""
        return self._views.setdefault(kind.popularity.name, PopularityView(ItemIds(TABLE_SEED)))

    def settled(self, kind: EventKind, partitions: int) -> int:
        """Return the newest settling for which all partitions have published their popularity.

        -1 for none.
        """
        numbers = self._settled.get(kind.popularity.name, {})
        return min((numbers.get(p, -1) for p in range(partitions)), default=-1)

    async def reached(self, kind: EventKind, partitions: int, number: int, newer: asyncio.Event) -> bool:
        """Wait until all have published for a settling.

        Return False if a newer one is asked for meanwhile.
        """
        while self.settled(kind, partitions) < number:
            if newer.is_set():
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def run(self, bootstrap: Bootstrap, partitions: int, lock: asyncio.Lock) -> None:
        """Read until cancelled, and continue after outages of Kafka; raise RightsMissing.

        `lock` is held while a view is changed.
        """
        topics = [TopicPartition(name, p) for name in self._topics for p in range(partitions)]
        while topics:
            consumer = new_reader(bootstrap, max_partition_fetch_bytes=1 << 20, fetch_max_wait_ms=POLL_MS)
            try:
                await start(consumer)
                await self._read(consumer, topics, lock)
            except KafkaError as error:
                await require_on_topics(bootstrap, "Read", self._topics)
                log.info("reading popularity: %s; again in %.0f s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
            finally:
                await stop(consumer)

    async def _read(self, consumer: Any, topics: list[Any], lock: asyncio.Lock) -> None:
        consumer.assign(topics)
        begins, ends = await consumer.beginning_offsets(topics), await consumer.end_offsets(topics)
        for tp in topics:
            consumer.seek(tp, max(begins[tp], self._positions.get(tp, 0)))
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
            for tp, records in fetched.items():
                read = await in_thread(_read_records, tp.topic, records)
                async with lock:
                    await in_thread(self._take_in, tp.topic, read)
                self._positions[tp] = records[-1].offset + 1
            if not self.ready:  # by position: the last offsets may hold no record
                left = [tp for tp in topics if await consumer.position(tp) < ends[tp]]
                self.ready = not left

    def take(self, topic: str, records: list[Any]) -> None:
        """Take in records of a popularity topic. The machines' lock must be held."""
        self._take_in(topic, _read_records(topic, records))

    def _take_in(self, topic: str, read: list[_Read]) -> None:
        view = self._views.setdefault(topic, PopularityView(ItemIds(TABLE_SEED)))
        with view.lock:  # a task that is being opened takes from it, too
            found: list[ItemPopularity] = []
            for one in read:
                if isinstance(one, ItemPopularity):
                    found.append(one)
                elif isinstance(one, _Counted):
                    self._take_counted(view, topic, one)
                else:
                    view.put(found)
                    found = []
                    view.remove(one)
            view.put(found)

    def _take_counted(self, view: PopularityView[ItemIds], topic: str, counted: _Counted) -> None:
        view.note(counted.partition, counted.as_of, counted.sources)
        settled = self._settled.setdefault(topic, {})
        if counted.settled is None:
            settled.pop(counted.partition, None)
        else:
            settled[counted.partition] = counted.settled


class _Counted(NamedTuple):
    """How far a partition has counted, and its newest settling's number; None if it is started anew."""

    partition: int
    as_of: int
    sources: list[tuple[Source, int, int]]
    settled: int | None


_Read = ItemPopularity | _Counted | str
"""What a record has: the popularity of an item, the id of one that nobody has any more, or how far it is."""


def _read_records(topic: str, records: list[Any]) -> list[_Read]:
    """Return what records of a popularity topic have, in their order; those of no use are left out."""
    read: list[_Read] = []
    for record in records:
        try:
            if record.key == COUNTED:
                read.append(_read_counted(record))
            elif record.value is None:
                read.append((record.key or b"").decode())
            elif record.key != SETTLE:
                read.append(popularity_of(record.value))
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
            log.warning("a record of %s is ignored: %s", topic, error)
    return read


def _read_counted(record: Any) -> _Counted:
    if record.value is None:
        return _Counted(record.partition, 0, [], None)
    counted = decode_counted(record.value)
    numbers = [n for source in counted.sources for n in source]
    if not (0 <= counted.as_of <= LATEST_MS and min(numbers, default=0) >= 0 and counted.settle >= UNSETTLED):
        raise msgspec.ValidationError("a number is out of range")
    sources = [(Source(t, p), end, customers) for t, p, end, customers in counted.sources]
    return _Counted(record.partition, counted.as_of, sources, counted.settle)
