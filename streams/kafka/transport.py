"""Faust's transport with whole fetches: one Faust message has the records of all partitions of a fetch.

Faust makes tasks, events and acknowledgements for every message; for a message per record this is most of the
work (docs/decisions/0003). Here a message is a list of `Chunk`s, one for each partition of which something
came. Topics are declared with acks=False, and the offset to continue from is that of the state, not the one
committed to Kafka. The private methods that are overridden are those of faust-streaming 0.15.3 and aiokafka
0.14.0, which are pinned; tests/streams/kafka/test_hooks.py checks each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

import faust
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.connections import clients
from streams.kafka.assignment import StickyUnits
from streams.kafka.refusals import REFUSALS
from streams.kinds import is_internal

PREFETCH_BACKOFF_S = 60.0
"""aiokafka asks a broker for nothing more while something it has fetched from it is not taken, for so long.

After that a request goes out without those partitions, and what comes of them waits for its end.
"""
ROOM_S = 0.1
FIRST_NUMBER = 1 << 60  # beyond any offset, which Faust would compare it with
REQUEST_TIMEOUT_MS = 20_000
METADATA_AGE_MS = 5_000  # a leader that asks a broker just started may hear of no topics, and assign nothing
UNKNOWN_POSITION_S = 0.02
REFUSED_S = 1.0
_VALUE = attrgetter("value")


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a partition.

    Attributes
    ----------
    tp
        The topic and partition.
    start, end
        The offsets it covers, [start, end), including those without a record (compacted, transaction marks).
    records
        The records as aiokafka delivers them; none if all that was fetched are such marks.
    left
        How many offsets the log had behind it when it was fetched, as far as it is known.
    """

    tp: TP
    start: int
    end: int
    records: list[Any]
    left: int = 0

    @cached_property
    def size_bytes(self) -> int:
        """The size of the records' values."""
        return sum(map(len, filter(None, map(_VALUE, self.records))))


class _Fetched(NamedTuple):
    """A `Chunk` without its partition."""

    start: int
    end: int
    records: list[Any]
    left: int


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Fetches records, and notes which offsets each fetch covers."""

    _held = False  # whether events are left in Kafka

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ARG002
        conf = self.app.conf
        return clients.consumer(
            self.app.tasks.bootstrap,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            group_instance_id=self.app.tasks.settings.instance,
            partition_assignment_strategy=[StickyUnits],
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=self.app.tasks.fetch_wait_ms,
            fetch_min_bytes=self.app.tasks.fetch_least_bytes,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        )

    async def on_start(self) -> None:
        """Confirm the lease with every heartbeat."""
        await super().on_start()
        self._consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
        self.app.tasks.lease.watch(self._consumer._coordinator)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: Any = None,
        max_records: Any = None,  # noqa: ARG002
    ) -> dict[Any, _Fetched]:
        if not self.consumer.flow_active:
            return {}
        try:
            return await self._fetch_chunks(consumer, active_partitions, timeout)
        except NoOffsetForPartitionError:
            # just assigned: its store is being opened, and Kafka must not choose where to begin
            await asyncio.sleep(UNKNOWN_POSITION_S)
            return {}
        except REFUSALS as error:
            self.app.tasks.refused = error  # the process ends, and says why
            await asyncio.sleep(REFUSED_S)
            return {}

    async def _fetch_chunks(self, consumer: Any, active_partitions: Any, timeout: Any) -> dict[Any, _Fetched]:
        consumer._coordinator.check_errors()  # of the group, which no fetch would show
        clients.check_readable(consumer)
        before = _positions(consumer)
        self._hold_events(consumer)
        records = await super()._fetch_records(consumer, active_partitions, timeout, None)
        after = _positions(consumer)
        fetched = {}
        for tp, some in records.items():
            if some:
                start = min(before.get(tp, some[0].offset), some[0].offset)
                end = max(after.get(tp, 0), some[-1].offset + 1)
                fetched[tp] = _Fetched(start, end, some, _left(consumer, tp, end))
        for tp, end in after.items():
            # otherwise the end of a log that ends with a mark would never be reached
            if tp not in fetched and before.get(tp, end) < end:
                fetched[tp] = _Fetched(before[tp], end, [], _left(consumer, tp, end))
        return fetched

    def _hold_events(self, consumer: Any) -> None:
        """Fetch no more events while the deltas of earlier ones pile up, and all again afterwards."""
        holds = self.app.tasks.cycle.intake.holds_events
        if not holds and not self._held:
            return
        # a rebalance resumes paused partitions, so aiokafka's own record is used
        paused = consumer.paused()
        held = {tp for tp in consumer.assignment() if holds and not is_internal(tp.topic)}
        consumer.resume(*(paused - held))
        consumer.pause(*(held - paused))
        self._held = holds


def _left(consumer: Any, tp: Any, end: int) -> int:
    try:
        return max(0, (consumer.last_stable_offset(tp) or end) - end)
    except IllegalStateError:  # no longer assigned
        return 0


def _positions(consumer: Any) -> dict[Any, int]:
    """Return the offset of the next record of every assigned partition whose position is known."""
    subscription = consumer._fetcher._subscriptions.subscription
    if subscription is None or subscription.assignment is None:
        return {}
    states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
    return {tp: state.position for tp, state in states.items() if state and state.has_valid_position}


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Yields chunks, and continues from where the state is."""

    _fetches = 0

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Open the state of every assigned partition and seek to its position."""
        # shielded: a rebalance cancels this, and a store half open would stay locked
        positions = await asyncio.shield(self.app.tasks.open(set(self.assignment())))
        positions = {tp: offset for tp, offset in positions.items() if tp in self.assignment()}
        if positions:
            await self.seek_wait(positions)
        return positions

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        """Fetch once the cycle has taken most of what was fetched before."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        room = self.app.tasks.cycle.intake.has_room
        if not room.is_set():
            await self.wait(room, timeout=ROOM_S)
            return {}, set()
        active = set(self.assignment())
        return await self._getmany(active_partitions=active, timeout=timeout), active

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch, and yield what came of all partitions as one message."""
        fetched, _ = await self._wait_next_records(timeout)
        # A fetch may span a rebalance and have records from after the seek. They are kept: without them
        # something would be missing. The task recognises records from before the seek by their offsets.
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        chunks = [Chunk(TP(tp.topic, tp.partition), *fetch) for tp, fetch in (fetched or {}).items()]
        if chunks and not self.should_stop:
            self._fetches += 1
            yield chunks[0].tp, _message(chunks, self._fetches, self.app.consumer_generation_id)


def _message(chunks: list[Chunk], number: int, generation: int) -> ConsumerMessage:
    # Faust drops messages of lower offsets than it saw of a partition: fetches are numbered
    tp = chunks[0].tp
    return ConsumerMessage(
        tp.topic, tp.partition, FIRST_NUMBER + number, 0.0, 0, [], None, chunks, None, 0, 0, tp,
        generation_id=generation,
    )  # fmt: skip


class Schema(faust.Schema):  # type: ignore[misc]
    """Passes chunks on as they are; the machines' tasks decode them."""

    def loads_key(self, *_args: Any, **_kwargs: Any) -> None:
        """Return None, as a fetch has no key."""

    def loads_value(self, _app: Any, message: Any, **_kwargs: Any) -> list[Chunk]:
        """Return what was fetched."""
        chunks: list[Chunk] = message.value
        return chunks


class Producer(driver.Producer):  # type: ignore[misc]
    """An idempotent producer that waits for every replica in sync."""

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        own = ("bootstrap_servers", "security_protocol", "acks")
        settings = {name: value for name, value in self._settings_default().items() if name not in own}
        return clients.producer(
            self.app.tasks.bootstrap, **settings, acks="all", enable_idempotence=True,
            transactional_id=transactional_id,
        )  # fmt: skip


class Transport(driver.Transport):  # type: ignore[misc]
    """aiokafka with the consumer and producer above."""

    Consumer = Consumer
    Producer = Producer
