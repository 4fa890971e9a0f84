"""Tests of what the hooks into Faust do with fetches; `test_hooks` checks that the hooks exist."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.kafka import transport
from streams.kafka.transport import Chunk, Consumer, Schema
from streams.tasks.cycle import Cycle
from streams.tasks.intake import MOST_BYTES, MOST_RECORDS
from streams.topics import PURCHASES
from tests.streams.unstarted import TP0, TP1, run


def _records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


def _fetches(consumer: Consumer, fetched: dict[TP, tuple[Any, ...]]) -> None:
    """Make the consumer's thread fetch this."""

    async def getmany(*_args: object, **_kwargs: object) -> dict[TP, tuple[Any, ...]]:
        return fetched

    consumer._thread.getmany = getmany
    consumer._thread.assignment = lambda: set(fetched)
    if not hasattr(consumer.app, "tasks"):
        consumer.app.tasks = SimpleNamespace(cycle=Cycle({}, lambda _tp: True, lambda _tp, _offset: None))


async def _messages(consumer: Consumer) -> list[Any]:
    messages = []
    async for tp, message in consumer.getmany(1.0):
        assert tp == message.tp == message.value[0].tp
        assert (message.topic, message.partition) == tp
        assert message.generation_id == consumer.app.consumer_generation_id
        messages.append(message)
    return messages


def test_a_fetch_is_one_message_of_all_partitions(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (3, 20, _records(5, 6, 11), 4), TP1: (7, 9, [])})
        (message,) = await _messages(consumer)
        first, second = message.value
        assert (first.tp, first.start, first.end, first.left) == (TP0, 3, 20, 4)
        assert [record.offset for record in first.records] == [5, 6, 11]
        assert (second.tp, second.start, second.end, second.records) == (TP1, 7, 9, [])

    run(tmp_path, body)


def test_nothing_fetched_is_no_message(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {})
        assert await _messages(consumer) == []

    run(tmp_path, body)


def test_numbers_of_messages_grow_beyond_any_offset(tmp_path: Path) -> None:
    """Faust drops a message whose offset is lower than what it read of the partition, by a seek or before."""

    async def body(consumer: Consumer) -> None:
        numbers = []
        for fetched in ((0, 6, _records(2, 4)), (6, 8, []), (1, 9, _records(8)), (9, 10, [])):
            _fetches(consumer, {TP0: fetched})
            numbers += [message.offset for message in await _messages(consumer)]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 4
        assert numbers[0] > 2**60  # the offset of a partition is much lower

    run(tmp_path, body)


def test_nothing_is_yielded_once_the_worker_stops(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer._stopped.set()
        assert await _messages(consumer) == []

    run(tmp_path, body)


def test_a_fetch_that_spans_a_rebalance_is_yielded_as_of_after_it(tmp_path: Path) -> None:
    """It may come from after the seek, and no fetch would bring it again; tasks drop older ones by offset."""

    async def body(consumer: Consumer) -> None:
        async def getmany(*_args: object, **_kwargs: object) -> dict[TP, Any]:
            consumer.app.consumer_generation_id += 1
            return {TP0: (0, 1, _records(0))}

        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer._thread.getmany = getmany
        (message,) = [message async for _, message in consumer.getmany(1.0)]
        assert message.generation_id == consumer.app.consumer_generation_id

    run(tmp_path, body)


def test_fetches_during_a_stopped_flow_wait_until_it_is_resumed(tmp_path: Path) -> None:
    """No seek is made either, as Faust's own getmany would do: in a revoke, it would open stores anew."""

    async def body(consumer: Consumer) -> None:
        async def getmany(*_args: object, **_kwargs: object) -> dict[TP, Any]:
            consumer.stop_flow()
            return {TP0: (0, 1, _records(0))}

        sought: list[set[TP]] = []
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer.app.tasks.open = sought.append
        consumer._thread.getmany = getmany
        waiting = asyncio.create_task(_messages(consumer))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        consumer.resume_flow()
        assert len(await waiting) == 1
        assert not sought

    run(tmp_path, body)


def test_nothing_is_fetched_before_the_flow_is_resumed(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer.stop_flow()
        waiting = asyncio.create_task(_messages(consumer))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        consumer.resume_flow()
        assert len(await waiting) == 1

    run(tmp_path, body)


def test_nothing_is_fetched_while_a_fetch_waits_for_a_cycle(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        has_room = consumer.app.tasks.cycle.intake.has_room
        has_room.clear()
        begin = time.monotonic()
        assert await consumer._wait_next_records(1.0) == ({}, set())
        assert time.monotonic() - begin < 0.5
        waiting = asyncio.create_task(consumer._wait_next_records(1.0))
        await asyncio.sleep(0.01)
        has_room.set()
        begin = time.monotonic()
        await waiting
        assert time.monotonic() - begin < 0.05  # it continues at once
        fetched, active = await consumer._wait_next_records(1.0)
        assert set(fetched) == active == {TP0}

    run(tmp_path, body)


def test_fetches_are_bounded_until_a_cycle_takes_them() -> None:
    async def main() -> None:
        cycle = Cycle({}, lambda _tp: True, lambda _tp, _offset: None)
        many = [SimpleNamespace(value=b"x")] * (MOST_RECORDS - 1)
        cycle.put([Chunk(TP0, 0, len(many), many)])
        assert cycle.intake.has_room.is_set()
        cycle.put([Chunk(TP0, len(many), MOST_RECORDS, many[:1])])
        assert not cycle.intake.has_room.is_set()
        cycle.drop()
        assert cycle.intake.has_room.is_set()
        large = SimpleNamespace(value=bytes(MOST_BYTES // 2))
        cycle.put([Chunk(TP0, 0, 1, [large]), Chunk(TP1, 0, 1, [SimpleNamespace(value=None)])])
        assert cycle.intake.has_room.is_set()
        cycle.put([Chunk(TP0, 1, 2, [large])])
        assert not cycle.intake.has_room.is_set()
        cycle.close()

    asyncio.run(main())


class _Kafka:
    """The part of aiokafka's consumer that `_hold_events` uses; a rebalance resumes everything."""

    def __init__(self, *assigned: TP) -> None:
        self.calls = 0
        self.assign(*assigned)

    def assign(self, *assigned: TP) -> None:
        self._assigned, self._paused = set(assigned), set[TP]()

    def assignment(self) -> frozenset[TP]:
        return frozenset(self._assigned)

    def paused(self) -> set[TP]:
        self.calls += 1
        return set(self._paused)

    def pause(self, *tps: TP) -> None:
        assert self._assigned.issuperset(tps)
        self._paused |= set(tps)

    def resume(self, *tps: TP) -> None:
        assert self._assigned.issuperset(tps)
        self._paused -= set(tps)


def test_events_are_left_in_kafka_while_deltas_pile_up_also_over_rebalances(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        consumer.app.tasks = SimpleNamespace(
            cycle=SimpleNamespace(intake=SimpleNamespace(holds_events=False))
        )
        thread, cycle = consumer._thread, consumer.app.tasks.cycle
        other = TP(PURCHASES.name, 3)
        kafka = _Kafka(TP0, TP1)

        def paused() -> set[TP]:
            thread._hold_events(kafka)
            return set(kafka._paused)

        assert paused() == set()
        assert kafka.calls == 0  # this costs nothing
        cycle.intake.holds_events = True
        assert paused() == paused() == {TP0}
        kafka.assign(TP0, TP1)  # this rebalance changes nothing
        assert paused() == {TP0}
        kafka.assign(TP1, other)
        assert paused() == {other}
        kafka.assign(TP0, other)
        cycle.intake.holds_events = False
        assert paused() == set()
        cycle.intake.holds_events = True
        assert paused() == {TP0, other}
        cycle.intake.holds_events = False
        kafka.assign(TP1)  # the held partitions belong to another worker now
        assert paused() == set()
        kafka.assign(TP0, TP1)
        assert paused() == set()

    run(tmp_path, body)


def test_the_schema_passes_a_fetch_on() -> None:
    chunks = [Chunk(TP0, 3, 5, _records(3, 4)), Chunk(TP1, 1, 2, _records(1))]
    message = transport._message(chunks, 1, generation=7)
    assert message.generation_id == 7
    schema = Schema()
    assert schema.loads_value(None, message, loads=None, serializer=None) is chunks
    assert schema.loads_key(None, message, loads=None, serializer=None) is None  # type: ignore[func-returns-value]


def test_the_topics_decode_keeps_the_fetch(tmp_path: Path) -> None:
    """Faust calls the schema when a message is decoded into an event."""

    async def body(consumer: Consumer) -> None:
        topic = consumer.app.topic("purchases", schema=Schema(), acks=False)
        chunks = [Chunk(TP0, 3, 5, _records(3, 4))]
        event = await topic.decode(transport._message(chunks, 1, generation=0))
        assert event.value is chunks
        assert event.key is None

    run(tmp_path, body)
