"""The outbox sends whole batches in order, and nothing after a failure, and knows what Kafka has."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from faust.types import TP

from streams.kafka import outbox
from streams.kafka.outbox import Outbox, Record, published_ms
from streams.messages.record_batches import Framed, compressed, framed
from tests.streams.offline import Broker, run

TP0, TP1 = TP("t", 0), TP("t", 1)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def _record(n: int, tp: TP = TP0, size: int = 1) -> Record:
    return Record(tp.topic, tp.partition, b"k%d" % n, b"v" * size, n)


def _keys(broker: Broker, tp: TP = TP0) -> list[bytes | None]:
    return [record.key for record in broker.logs.get(tp, [])]


def _lists(*keys: bytes) -> Framed:
    raw, n = framed([(key, b"list") for key in keys])
    return Framed(compressed(memoryview(raw)), n)


def test_waiting_records_of_a_partition_are_sent_as_one_batch_in_order() -> None:
    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        futures = [box.send(_record(0))]
        await _settle()
        futures += [box.send(_record(n)) for n in range(1, 500)]
        other = box.send(_record(7, TP1))
        await _settle()
        assert [len(batch.records) for batch in broker.waiting] == [1, 1]  # no partition waits for another
        assert (box.idle(TP0), box.end_of(TP0)) == (False, 0)
        broker.acknowledge()
        await _settle()
        assert [len(batch.records) for batch in broker.waiting] == [499]
        assert (box.idle(TP1), box.end_of(TP1), await other) == (True, 1, 0)
        assert [future.done() for future in futures] == [True] + [False] * 499
        broker.acknowledge()
        await _settle()
        assert [await future for future in futures] == list(range(500))
        assert _keys(broker) == [b"k%d" % n for n in range(500)]
        assert [published_ms(record) for record in broker.logs[TP0]] == list(range(500))
        assert (box.idle(TP0), box.end_of(TP0), box.sent_to(TP0)) == (True, 500, 500)
        assert box.unacknowledged_bytes == 0

    run(body())


@pytest.mark.parametrize("seed", range(6))
def test_order_holds_in_any_sequence_of_sends_and_acknowledgements(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(outbox, "MOST_BYTES", 3_000)
    monkeypatch.setattr(outbox, "MOST_RECORDS", 20)
    rng = random.Random(seed)

    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        sent: dict[TP, list[bytes]] = {TP0: [], TP1: []}
        futures: list[tuple[TP, int, asyncio.Future[int]]] = []
        for n in range(300):
            what = rng.random()
            if what < 0.5:
                tps = [rng.choice((TP0, TP1)) for _ in range(rng.choice((1, 3, 50)))]
                starts = {tp: len(sent[tp]) for tp in tps}
                records = [_record(1000 * n + i, tp, rng.choice((1, 400))) for i, tp in enumerate(tps)]
                some = box.send_all(records)
                for record in records:
                    sent[TP(record.topic, record.partition)].append(record.key or b"")
                at = iter(some)
                for tp in dict.fromkeys(tps):
                    futures.append((tp, starts[tp], next(at)))
                    own = [r for r in records if r.partition == tp.partition]
                    for _ in range(len(outbox._runs(own)) - 1):
                        next(at)
            elif what < 0.7:
                tp = rng.choice((TP0, TP1))
                keys = [b"list %d" % (1000 * n + i) for i in range(rng.choice((1, 30)))]
                futures.append((tp, len(sent[tp]), box.send_framed(tp, _lists(*keys))))
                sent[tp] += keys
            elif broker.waiting:
                broker.waiting.pop(rng.randrange(len(broker.waiting))).acknowledge()
            if rng.random() < 0.3:
                await _settle()
        await _settle()
        while broker.waiting:
            # each partition has one at a time
            assert len({batch.tp for batch in broker.waiting}) == len(broker.waiting)
            for batch in broker.waiting:
                assert len(batch.records) <= 30
            broker.acknowledge()
            await _settle()
        for tp in (TP0, TP1):
            assert _keys(broker, tp) == sent[tp]
            assert box.end_of(tp) == len(sent[tp])
        for _, offset, future in futures:
            assert await future == offset
        assert box.unacknowledged_bytes == 0

    run(body())


def test_records_are_cut_into_batches_that_fit() -> None:
    async def body() -> None:
        broker = Broker()
        box = Outbox(broker)
        half = outbox.MOST_BYTES // 2
        sizes = [half, half - 100, 10, half, 3 * half, 5, *([1] * (outbox.MOST_RECORDS + 1))]
        futures = box.send_all([_record(n, size=size) for n, size in enumerate(sizes)])
        await _settle()
        offsets = [await future for future in futures]
        assert offsets == sorted(offsets)
        assert offsets[0] == 0
        assert _keys(broker) == [b"k%d" % n for n in range(len(sizes))]
        ends = [*offsets[1:], len(sizes)]
        for start, end in zip(offsets, ends, strict=True):
            run_bytes = sum(sizes[start:end]) + sum(len(b"k%d" % n) for n in range(start, end))
            assert run_bytes <= outbox.MOST_BYTES or end - start == 1
            assert end - start <= outbox.MOST_RECORDS

    run(body())


def test_lists_are_batches_of_their_own_between_records() -> None:
    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        box.send(_record(0))
        first = box.send_framed(TP0, _lists(b"a", b"b"))
        box.send(_record(1))
        second = box.send_framed(TP0, _lists(b"c"))
        sizes = []
        for _ in range(4):
            await _settle()
            sizes.append(len(broker.waiting[0].records))
            broker.acknowledge()
        await _settle()
        assert sizes == [1, 2, 1, 1]
        assert (await first, await second) == (1, 4)
        assert _keys(broker) == [b"k0", b"a", b"b", b"k1", b"c"]

    run(body())


@pytest.mark.parametrize("how", ["refused", "not acknowledged", "cancelled"])
def test_nothing_is_sent_after_a_failure(how: str) -> None:
    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        before = box.send(_record(0))
        await _settle()
        broker.acknowledge()
        other = [box.send(_record(0, TP1)), box.send(_record(1, TP1))]
        await _settle()
        if how == "refused":
            broker.breaks = OSError("gone")
        failing = [box.send(_record(n)) for n in (1, 2)]
        await _settle()
        later = box.send(_record(3, TP1))
        if how == "not acknowledged":
            broker.waiting.pop().fail(OSError("gone"))
        elif how == "cancelled":
            box._senders[TP0].cancel()
        await _settle()
        broker.breaks = None
        after = [box.send(_record(4)), box.send(_record(5, TP1)), box.send_framed(TP1, _lists(b"a"))]
        (on_its_way,) = [batch for batch in broker.waiting if batch.tp == TP1]
        on_its_way.acknowledge()
        await _settle()
        assert await before == 0
        # batches on their way may be acknowledged, but no waiting one is sent
        assert _keys(broker, TP1) == [b"k0", b"k1"]
        assert b"k4" not in _keys(broker)
        assert [await future for future in other] == [0, 1]
        for future in (*failing, later, *after):
            with pytest.raises((OSError, outbox.OutboxClosed)):
                await future
        async with asyncio.timeout(5):
            with pytest.raises((OSError, outbox.OutboxClosed)):
                await box.room()
            await box.close()
        assert box.idle(TP0)
        assert box.idle(TP1)

    run(body())


def test_waiting_for_room_ends_when_there_is_some_or_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "MOST_UNACKNOWLEDGED_BYTES", 1_000)

    async def waits(box: Outbox) -> asyncio.Task[Any]:
        waiting = asyncio.create_task(box.room())
        await _settle()
        return waiting

    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        box.send(_record(0, size=500))
        assert (await waits(box)).done()
        box.send(_record(1, TP1, size=500))
        waiting = await waits(box)
        assert not waiting.done()
        broker.acknowledge()
        await _settle()
        assert waiting.done()
        box.send(_record(2, size=2_000))
        waiting = await waits(box)
        assert not waiting.done()
        broker.waiting.pop().fail(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await waiting

    run(body())


def test_closing_waits_for_batches_on_their_way() -> None:
    async def body() -> None:
        broker = Broker(at_once=False)
        box = Outbox(broker)
        for n in range(3):
            box.send(_record(n))
            await _settle()
        closing = asyncio.create_task(box.close())
        await _settle()
        assert not closing.done()
        broker.acknowledge()
        await _settle()
        assert not closing.done()  # this has gathered meanwhile
        broker.acknowledge()
        await closing
        assert _keys(broker) == [b"k0", b"k1", b"k2"]

    run(body())
