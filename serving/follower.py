"""Fill a read model from Kafka, from the beginning of its topics and then as they grow."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from serving.read_model import ReadModel
from streams.connections.bootstrap import Bootstrap
from streams.kafka.readers import new_reader
from streams.kafka.refusals import require_on_topics
from streams.kafka.stopping import start, stop
from streams.kinds import counted_of_kinds

log = logging.getLogger("alsobought")

POLL_MS = 200
FETCH_WAIT_MS = 100  # Kafka gathers what comes for so long: each fetch costs more than the lists in it
FETCH_BYTES = 512 << 10
AT_ONCE = 500  # records between which questions are answered
AGAIN_S = 1.0
ENDS_S = 1.0  # between two looks at where the partitions end


class ModelFollower:
    """Reads every partition of a model's topics, in no consumer group."""

    def __init__(self, bootstrap: Bootstrap, model: ReadModel, partitions: int) -> None:
        self._bootstrap, self._model = bootstrap, model
        self._read = [TopicPartition(s.name, p) for s in model.specs() for p in range(partitions)]
        specs = counted_of_kinds(of.kind for of in model.kinds.values())
        self._counted = {TopicPartition(s.name, p): f"{s.name}-{p}" for s in specs for p in range(partitions)}
        self._positions: dict[Any, int] = {}
        self._looked = 0.0

    async def run(self) -> None:
        """Read until cancelled, and continue after outages of Kafka.

        Raises
        ------
        RightsMissing
            This process may not read something any more.
        """
        while True:
            consumer = new_reader(
                self._bootstrap, max_partition_fetch_bytes=4 << 20, fetch_min_bytes=FETCH_BYTES,
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )  # fmt: skip
            try:
                await start(consumer)
                await self._follow(consumer)
            except KafkaError as error:
                await require_on_topics(self._bootstrap, "Read", {tp.topic for tp in self._read})
                await require_on_topics(self._bootstrap, "Describe", {tp.topic for tp in self._counted})
                log.warning("reading what is published: %s; again in %.0f s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
            finally:
                await stop(consumer)

    async def _follow(self, consumer: Any) -> None:
        consumer.assign(self._read)
        begins = await consumer.beginning_offsets(self._read)
        ends = await consumer.end_offsets(self._read)
        for tp in self._read:
            consumer.seek(tp, self._positions.get(tp, begins[tp]))
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
            for tp, records in fetched.items():
                for record in records:
                    self._model.take(record.topic, record.key, record.value, record.timestamp)
                self._positions[tp] = records[-1].offset + 1
            await self._look_at_ends(consumer)
            if not self._model.ready:
                await self._look_whether_ready(consumer, begins, ends)

    async def _look_whether_ready(self, consumer: Any, begins: Any, ends: Any) -> None:
        reached = {tp: min(await consumer.position(tp), ends[tp]) for tp in self._read}
        read = sum(reached[tp] - begins[tp] for tp in self._read)
        self._model.loaded = read, sum(ends[tp] - begins[tp] for tp in self._read)
        self._model.ready = read >= self._model.loaded[1]

    async def _look_at_ends(self, consumer: Any) -> None:
        if time.monotonic() - self._looked > ENDS_S:
            self._looked = time.monotonic()
            ends = await consumer.end_offsets(list(self._counted))
            self._model.ends = {self._counted[tp]: end for tp, end in ends.items()}
