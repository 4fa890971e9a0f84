"""What the hooks into Faust do with what is fetched; `test_hooks` says that they are there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams import transport
from streams.transport import CHUNK_RECORDS, Chunk, Consumer, Schema
from tests.streams.unstarted import TP0, TP1, run


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

    run(tmp_path, body)


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

    run(tmp_path, body)


def test_offsets_of_messages_grow(tmp_path: Path) -> None:
    """Faust drops a message whose offset is lower than the one before it."""

    async def body(consumer: Consumer) -> None:
        offsets = []
        for fetched in ((0, 6, _records(2, 4)), (6, 8, []), (8, 9, _records(8)), (9, 10, [])):
            _fetches(consumer, {TP0: fetched})
            offsets += [message.offset async for _, message in consumer.getmany(1.0)]
        assert offsets == [2, 7, 8, 9]

    run(tmp_path, body)


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

    run(tmp_path, body)


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

    run(tmp_path, body)


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

    run(tmp_path, body)


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

    run(tmp_path, body)


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

    run(tmp_path, body)


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

    run(tmp_path, body)
