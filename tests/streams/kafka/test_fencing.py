"""Tests of the lease, and of finding the records that another worker wrote."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.kafka.lease import Lease
from streams.kafka.outbox import Outbox, Record
from streams.kafka.topic_reader import TopicReader, Written
from streams.kafka.unacknowledged import Unacknowledged
from streams.process.threads import in_thread
from streams.topics import TopicSpec


class _Coordinator:
    """A coordinator that answers heartbeats with what the test sets, and as slowly."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bool] = asyncio.Queue()

    async def _do_heartbeat(self) -> bool:
        return await self.answers.get()


def test_a_lease_is_held_from_the_moment_its_heartbeat_was_asked() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        lease, coordinator = Lease(timeout_s=1.0), _Coordinator()
        assert not lease.held
        lease.watch(coordinator)
        beat = asyncio.create_task(coordinator._do_heartbeat())
        await asyncio.sleep(0)
        asked = clock()
        waiting = asyncio.create_task(lease.wait("test"))
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
        coordinator.answers.put_nowait(True)
        assert await beat
        assert lease.held
        await waiting
        asked = clock()
        lease.confirm()
        while lease.held:
            await asyncio.sleep(0.01)
        assert clock() - asked >= 0.99
        coordinator.answers.put_nowait(False)  # the group does not know us any more
        assert not await coordinator._do_heartbeat()
        assert not lease.held

    asyncio.run(main())


def test_an_answer_that_was_asked_for_long_ago_confirms_nothing() -> None:
    async def main() -> None:
        lease, coordinator = Lease(timeout_s=0.2), _Coordinator()
        lease.watch(coordinator)
        beat = asyncio.create_task(coordinator._do_heartbeat())
        begin = asyncio.get_running_loop().time()
        # the process seems to have stood still meanwhile
        while asyncio.get_running_loop().time() < begin + 0.3:
            await asyncio.sleep(0.02)
        coordinator.answers.put_nowait(True)
        assert await beat
        assert not lease.held

    asyncio.run(main())


def test_waiting_for_the_lease_may_be_given_up() -> None:
    async def main() -> None:
        lease, stops = Lease(timeout_s=60), [False]
        waiting = asyncio.create_task(lease.wait("test", lambda: stops[0]))
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
        stops[0] = True
        async with asyncio.timeout(5):
            await waiting
        assert not lease.held

    asyncio.run(main())


def test_offsets_that_are_not_ours_are_foreign() -> None:
    written = Written(TP("lists", 0), 10)
    written.own(10, 5)
    written.own(15, 1)
    written.reached(16)
    assert (written.by_others, written.end) == ([], 16)
    written.own(18, 2)
    written.own(20, 1)
    assert (written.by_others, written.end) == ([(16, 18)], 21)
    written.reached(25)
    assert written.by_others == [(16, 18), (21, 25)]
    written.reached(25)
    assert len(written.by_others) == 2


def test_foreign_records_are_found_in_kafka(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("fenced-lists", "item_id", "for this test", "compact")
    create_topics(broker.bootstrap, [spec], 1, 1)
    tp = TP(spec.name, 0)

    async def main() -> None:
        reader = TopicReader(broker.bootstrap)
        async with (
            AIOKafkaProducer(bootstrap_servers=broker.bootstrap.servers) as ours,
            AIOKafkaProducer(bootstrap_servers=broker.bootstrap.servers) as theirs,
        ):
            written = Written(tp, await reader.end_of(tp))

            async def send(producer: AIOKafkaProducer, keys: list[bytes]) -> int:
                outbox = Outbox(producer)
                sent = [outbox.send(Record(tp.topic, tp.partition, key, b"x" * 9_000)) for key in keys]
                offsets = [await future for future in sent]
                assert offsets == list(range(offsets[0], offsets[0] + len(keys)))
                return offsets[0]

            written.own(await send(ours, [b"a", b"b", b"c"]), 3)
            await send(theirs, [b"old-1", b"old-2"])
            written.own(await send(ours, [b"d"]), 1)
            await send(theirs, [b"old-3"])
            written.reached(await reader.end_of(tp))
            assert written.by_others == [(3, 5), (6, 7)]
            found = [await reader.keys(tp, *span) for span in written.by_others]
            assert found == [{b"old-1", b"old-2"}, {b"old-3"}]
        await reader.close()

    asyncio.run(main())


def test_one_partition_after_the_other_is_read(broker: EmbeddedKafka) -> None:
    """If the subscription ends just after an assignment, aiokafka's fetcher ends, and every read hangs."""
    spec = TopicSpec("many", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 4, 1)

    async def main() -> None:
        reader = TopicReader(broker.bootstrap)
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap.servers) as producer:
            for n in range(4):
                await producer.send_and_wait(spec.name, b"v", key=b"%d" % n, partition=n)
        async with asyncio.timeout(60):
            for turn in range(40):
                tp, end = TP(spec.name, turn % 4), turn % 2  # every other time there is nothing to read
                assert await reader.keys(tp, 0, end) == {b"%d" % tp.partition for _ in range(end)}
                for _ in range(10):
                    await asyncio.sleep(0)
        # a consumer fetches its partitions, and its other requests wait behind a fetch of half a second
        assert await reader.end_of(TP(spec.name, 0)) == 1
        assert not reader._asking._consumer.assignment()
        assert reader._reading._consumer.assignment() == reader._reading._consumer.paused()
        await reader.close()

    asyncio.run(main())


def test_after_a_failure_nothing_counts_as_acknowledged() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pending = Unacknowledged()
        pending.begin_at(5)
        first, second, third = loop.create_future(), loop.create_future(), loop.create_future()
        pending.add(7, [first, second])
        pending.add(9, [third])
        third.set_result(0)
        second.set_result(0)
        assert (pending.position(), pending.reached(5), pending.reached(9)) == (5, False, False)
        first.set_exception(OSError("the broker is gone"))
        for _ in range(2):
            with pytest.raises(OSError, match="the broker is gone"):
                await pending.wait()
            with pytest.raises(OSError, match="the broker is gone"):
                pending.position()
            with pytest.raises(OSError, match="the broker is gone"):
                pending.reached(5)

    asyncio.run(main())


def test_waiting_for_acknowledgements_can_be_given_up_without_harm_to_them() -> None:
    async def main() -> None:
        pending, future = Unacknowledged(), asyncio.get_running_loop().create_future()
        pending.add(3, [future])
        waiting = asyncio.create_task(pending.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not future.cancelled()
        future.set_result(0)
        await pending.wait()
        assert pending.reached(3)

    asyncio.run(main())


def test_positions_without_anything_to_send_wait_for_those_before_them() -> None:
    async def main() -> None:
        pending, future = Unacknowledged(), asyncio.get_running_loop().create_future()
        pending.add(3, [])
        assert pending.position() == 3
        pending.add(3, [future])  # these were sent at a position that is reached
        assert (pending.position(), pending.reached(3)) == (3, False)
        pending.add(8, [])
        assert pending.position() == 3
        future.set_result(0)
        assert (pending.reached(8), pending.position()) == (True, 8)

    asyncio.run(main())


def test_a_thread_is_never_left_behind_by_a_cancellation() -> None:
    async def main() -> None:
        started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            go_on.wait()
            ended.set()

        task = asyncio.create_task(in_thread(work))
        await asyncio.to_thread(started.wait)
        for _ in range(3):
            task.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(main())
