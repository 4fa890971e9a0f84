"""What the hooks into Faust and aiokafka do; `test_hooks` says that they are there."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import faust
import pytest
from faust.types import TP

from streams import transport
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.topics import PAIR_DELTAS, PURCHASES, TopicSpec
from streams.transport import CHUNK_RECORDS, Chunk, Consumer, ConsumerThread, Schema, Transport
from tests.streams.pipeline import Wires, Worker, until

WAIT_S = 20.0
TP0, TP1 = TP(PURCHASES.name, 0), TP(PAIR_DELTAS.name, 1)

# ---------------------------------------------------------------------- a consumer that is not started


class _App(faust.App):  # type: ignore[misc]
    """As the worker's, with tasks of the test's."""

    tasks: Any

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def _later(*_args: object) -> None:
    """No callback is called."""


@contextmanager
def _consumer(tmp_path: Path) -> Iterator[Consumer]:
    app = _App("test", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), autodiscover=False)
    consumer = app.transport.create_consumer(
        callback=_later, on_partitions_revoked=_later, on_partitions_assigned=_later
    )
    assert isinstance(consumer, Consumer)
    assert isinstance(consumer._thread, ConsumerThread)
    try:
        yield consumer
    finally:
        consumer._thread.thread_loop.close()


def _run(tmp_path: Path, body: Callable[[Consumer], Awaitable[None]]) -> None:
    async def main() -> None:
        with _consumer(tmp_path) as consumer:
            async with asyncio.timeout(WAIT_S):
                await body(consumer)

    asyncio.run(main())


def _records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


def _fetches(consumer: Consumer, fetched: dict[TP, tuple[int, int, list[Any]]]) -> None:
    """Have the consumer's thread fetch this."""

    async def getmany(*_args: object, **_kwargs: object) -> dict[TP, tuple[int, int, list[Any]]]:
        return fetched

    consumer._thread.getmany = getmany
    consumer._active_partitions = set(fetched)


async def _chunks(consumer: Consumer) -> list[Chunk]:
    chunks = []
    async for tp, message in consumer.getmany(1.0):
        assert tp == message.tp == message.value.tp
        assert message.generation_id == consumer.app.consumer_generation_id
        chunks.append(message.value)
    return chunks


def test_chunks_cover_offsets_without_records(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (3, 20, _records(5, 6, 11)), TP1: (7, 9, [])})
        first, second = await _chunks(consumer)
        assert (first.tp, first.start, first.end) == (TP0, 3, 20)
        assert [record.offset for record in first.records] == [5, 6, 11]
        assert (second.tp, second.start, second.end, second.records) == (TP1, 7, 9, [])

    _run(tmp_path, body)


@pytest.mark.parametrize("n", [1, CHUNK_RECORDS - 1, CHUNK_RECORDS, CHUNK_RECORDS + 1, 3 * CHUNK_RECORDS])
def test_chunks_meet_at_their_ends(tmp_path: Path, n: int) -> None:
    async def body(consumer: Consumer) -> None:
        records = _records(*range(100, 100 + 3 * n, 3))  # two of three offsets are compacted away
        _fetches(consumer, {TP0: (90, 100 + 3 * n, records)})
        chunks = await _chunks(consumer)
        assert [len(c.records) for c in chunks[:-1]] == [CHUNK_RECORDS] * (len(chunks) - 1)
        assert 0 < len(chunks[-1].records) <= CHUNK_RECORDS
        assert [record for c in chunks for record in c.records] == records
        assert [c.start for c in chunks] == [90, *(c.end for c in chunks[:-1])]
        assert chunks[-1].end == 100 + 3 * n
        for chunk in chunks:
            assert all(chunk.start <= record.offset < chunk.end for record in chunk.records)

    _run(tmp_path, body)


def test_offsets_of_messages_grow(tmp_path: Path) -> None:
    """Faust drops a message whose offset is lower than the one before it."""

    async def body(consumer: Consumer) -> None:
        offsets = []
        for fetched in ((0, 6, _records(2, 4)), (6, 8, []), (8, 9, _records(8)), (9, 10, [])):
            _fetches(consumer, {TP0: fetched})
            offsets += [message.offset async for _, message in consumer.getmany(1.0)]
        assert offsets == [2, 7, 8, 9]

    _run(tmp_path, body)


@pytest.mark.parametrize("what", ["flow", "generation", "stop"])
def test_nothing_more_is_yielded_once_it_is_stale(tmp_path: Path, what: str) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 5_000, _records(*range(5_000))), TP1: (0, 1, _records(0))})
        chunks = []
        async for _, message in consumer.getmany(1.0):
            chunks.append(message.value)
            if what == "flow":
                consumer.stop_flow()
            elif what == "generation":
                consumer.app.consumer_generation_id += 1
            else:
                consumer._stopped.set()
        assert [(c.start, c.end) for c in chunks] == [(0, CHUNK_RECORDS)]

    _run(tmp_path, body)


def test_a_fetch_that_spans_a_rebalance_is_yielded_as_of_after_it(tmp_path: Path) -> None:
    """It may be from after the seek, and no fetch would bring it again; tasks know older ones by offset."""

    async def body(consumer: Consumer) -> None:
        async def getmany(*_args: object, **_kwargs: object) -> dict[TP, Any]:
            consumer.app.consumer_generation_id += 1
            return {TP0: (0, 1, _records(0))}

        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer._thread.getmany = getmany
        (message,) = [message async for _, message in consumer.getmany(1.0)]
        assert message.generation_id == consumer.app.consumer_generation_id

    _run(tmp_path, body)


def test_what_comes_while_the_flow_is_stopped_waits_until_it_is_resumed(tmp_path: Path) -> None:
    """And no seek is made, as Faust's own getmany would: in a revoke, it would open stores anew."""

    async def body(consumer: Consumer) -> None:
        async def getmany(*_args: object, **_kwargs: object) -> dict[TP, Any]:
            consumer.stop_flow()
            return {TP0: (0, 1, _records(0))}

        sought: list[set[TP]] = []
        consumer.app.tasks = SimpleNamespace(open=sought.append)
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer._thread.getmany = getmany
        waiting = asyncio.create_task(_chunks(consumer))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        consumer.resume_flow()
        assert len(await waiting) == 1
        assert not sought

    _run(tmp_path, body)


def test_nothing_is_fetched_before_the_flow_is_resumed(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer.stop_flow()
        waiting = asyncio.create_task(_chunks(consumer))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        consumer.resume_flow()
        assert len(await waiting) == 1

    _run(tmp_path, body)


def test_with_every_partition_under_pressure_it_does_not_sleep_a_second(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        _fetches(consumer, {TP0: (0, 1, _records(0))})
        consumer.on_buffer_full(TP0)
        begin = time.monotonic()
        assert await consumer._wait_next_records(1.0) == ({}, set())
        assert time.monotonic() - begin < 0.5
        consumer.on_buffer_drop(TP0)
        fetched, active = await consumer._wait_next_records(1.0)
        assert set(fetched) == active == {TP0}

    _run(tmp_path, body)


def test_the_schema_passes_a_chunk_on() -> None:
    chunk = Chunk(TP0, 3, 5, _records(3, 4))
    message = transport._message(chunk, generation=7)
    assert message.generation_id == 7
    schema = Schema()
    assert schema.loads_value(None, message, loads=None, serializer=None) is chunk
    assert schema.loads_key(None, message, loads=None, serializer=None) is None  # type: ignore[func-returns-value]


def test_the_topics_decode_keeps_the_chunk(tmp_path: Path) -> None:
    """Faust calls the schema when a message is decoded into an event."""

    async def body(consumer: Consumer) -> None:
        topic = consumer.app.topic("purchases", schema=Schema(), acks=False)
        chunk = Chunk(TP0, 3, 5, _records(3, 4))
        event = await topic.decode(transport._message(chunk, generation=0))
        assert event.value is chunk
        assert event.key is None

    _run(tmp_path, body)


# ---------------------------------------------------------------------- seeking


class _Opening:
    """Tasks whose opening takes until `gate` is set."""

    def __init__(self, positions: dict[TP, int]) -> None:
        self.gate = asyncio.Event()
        self.asked: list[set[TP]] = []
        self.opened = False
        self._positions = positions

    async def open(self, assigned: set[TP]) -> dict[TP, int]:
        self.asked.append(assigned)
        await self.gate.wait()
        self.opened = True
        return self._positions


def _seeks(consumer: Consumer, assignment: set[TP]) -> list[dict[TP, int]]:
    sought: list[dict[TP, int]] = []

    async def seek_wait(positions: dict[TP, int]) -> None:
        sought.append(dict(positions))

    consumer._thread.assignment = lambda: assignment
    consumer._thread.seek_wait = seek_wait
    return sought


def test_it_goes_on_where_the_state_is(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 0, TP1: 17})
        tasks.gate.set()
        sought = _seeks(consumer, {TP0, TP1})
        await consumer.perform_seek()
        assert tasks.asked == [{TP0, TP1}]
        assert sought == [{TP0: 0, TP1: 17}]

    _run(tmp_path, body)


def test_a_partition_held_back_before_a_rebalance_is_fetched_after_it(tmp_path: Path) -> None:
    """Faust empties its queues in a rebalance and does not tell that they are no longer full."""

    async def body(consumer: Consumer) -> None:
        consumer.app.tasks = tasks = _Opening({TP0: 0, TP1: 17})
        tasks.gate.set()
        _seeks(consumer, {TP0, TP1})
        await consumer.perform_seek()
        consumer.on_buffer_full(TP1)
        assert consumer._get_active_partitions() == {TP0}
        await consumer.perform_seek()
        assert consumer._get_active_partitions() == {TP0, TP1}

    _run(tmp_path, body)


def test_a_partition_lost_while_it_was_opened_is_not_sought(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 5, TP1: 17})
        assignment = {TP0, TP1}
        sought = _seeks(consumer, assignment)
        seeking = asyncio.create_task(consumer.seek_to_committed())
        while not tasks.asked:
            await asyncio.sleep(0)
        assignment.discard(TP1)
        tasks.gate.set()
        assert await seeking == {TP0: 5}
        assert sought == [{TP0: 5}]

    _run(tmp_path, body)


def test_a_rebalance_does_not_tear_the_opening(tmp_path: Path) -> None:
    """Faust cancels the seek then: a store that is half open would keep its lock."""

    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 5})
        sought = _seeks(consumer, {TP0})
        seeking = asyncio.create_task(consumer.perform_seek())
        while not tasks.asked:
            await asyncio.sleep(0)
        seeking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await seeking
        assert not tasks.opened
        tasks.gate.set()
        while not tasks.opened:
            await asyncio.sleep(0)
        assert not sought

    _run(tmp_path, body)


# ---------------------------------------------------------------------- a real fetch


async def _send(producer: aiokafka.AIOKafkaProducer, topic: str, n: int) -> None:
    async with producer.transaction():
        for i in range(n):
            await producer.send_and_wait(topic, b"%d" % i, partition=0)


def _fetched(kafka: EmbeddedKafka, tmp_path: Path, transactions: list[int], end: int) -> list[Any]:
    """What is fetched of transactions with so many records each, one after the other, up to offset `end`."""
    topic = f"marks-{uuid.uuid4().hex[:8]}"
    create_topics(kafka.bootstrap, (TopicSpec(topic, "", "", "delete"),), 1, 1)
    tp = aiokafka.TopicPartition(topic, 0)
    fetched: list[Any] = []

    async def body(consumer: Consumer) -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic)
        reader = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="none")
        async with producer, reader:
            for n in transactions:
                await _send(producer, topic, n)
            reader.assign([tp])
            assert await consumer._thread._fetch_records(reader, {tp}, 0.1, 100) == {}  # position unknown
            reader.seek(tp, 0)
            while not fetched or fetched[-1][1] < end:
                fetched.extend((await consumer._thread._fetch_records(reader, {tp}, 0.5, 2)).values())

    _run(tmp_path, body)
    return fetched


def test_a_fetch_says_which_offsets_it_covers(broker: EmbeddedKafka, tmp_path: Path) -> None:
    fetched = _fetched(broker, tmp_path, [3, 0, 1], end=6)  # a mark each at 3 and 5; nothing for no records
    assert [start for start, _, _ in fetched] == [0, *(end for _, end, _ in fetched[:-1])]
    assert [record.offset for _, _, some in fetched for record in some] == [0, 1, 2, 4]
    for start, end, some in fetched:
        assert all(start <= record.offset < end for record in some)


def test_a_log_that_ends_with_a_mark_is_counted_to_its_end(
    kafka: EmbeddedKafka, wires: Wires, tmp_path: Path
) -> None:
    """A producer with transactions; without a chunk for the mark alone, `drain` would wait for ever."""

    def purchase(n: int) -> bytes:
        return b'{"customer_id":"c%d","item_id":"i%d","timestamp":1700000000000}' % (n % 5, n % 7)

    def counted() -> list[int]:
        wires.poll_progress()
        return [t.events for name, t in wires.tasks.items() if name.startswith(PURCHASES.name)]

    async def publish() -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id="shop")
        async with producer, producer.transaction():
            for n in range(40):
                await producer.send_and_wait(PURCHASES.name, purchase(n), key=b"c%d" % (n % 5))
            await asyncio.to_thread(until, lambda: sum(counted()) == 40, "what is not committed")

    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        asyncio.run(publish())
        until(lambda: sum(wires.ends(PURCHASES.name).values()) > 40, "the marks")
        wires.drain()
        assert sum(counted()) == 40
        assert "reading again" not in worker.log.read_text()
    finally:
        assert worker.stop() == 0
