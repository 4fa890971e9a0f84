"""The lease, and finding what another worker wrote."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.foreign import TopicReader, Written
from streams.lease import Lease
from streams.outbox import Batch, Outbox, Unacknowledged
from streams.threads import in_thread
from streams.topics import TopicSpec


class _Coordinator:
    """Answers heartbeats as told; as slowly as told."""

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
        ours = [False]  # the group knows us, but the partition is another's
        waiting = asyncio.create_task(lease.wait("test", lambda: ours[0]))
        coordinator.answers.put_nowait(True)
        assert await beat
        assert lease.held
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
        lease.confirm()
        ours[0] = True
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
        while asyncio.get_running_loop().time() < begin + 0.3:  # as if the process stood still meanwhile
            await asyncio.sleep(0.02)
        coordinator.answers.put_nowait(True)
        assert await beat
        assert not lease.held

    asyncio.run(main())


def _batch(offset: int, records: int) -> Batch:
    class Answer:
        def result(self) -> Any:
            return type("Metadata", (), {"offset": offset})

    return Batch(records, Answer())  # type: ignore[arg-type]


def test_offsets_that_are_not_ours_are_foreign() -> None:
    written = Written(TP("lists", 0), 10)
    written.own([_batch(10, 5), _batch(15, 1)])
    written.reached(16)
    assert written.foreign == []
    written.own([_batch(18, 2), _batch(20, 1)])
    assert written.foreign == [(16, 18)]
    written.reached(25)
    assert written.foreign == [(16, 18), (21, 25)]
    written.reached(25)
    assert len(written.foreign) == 2


def test_foreign_records_are_found_in_kafka(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("fenced-lists", "item_id", "for this test", "compact")
    create_topics(broker.bootstrap, [spec], 1, 1)
    tp = TP(spec.name, 0)

    async def main() -> None:
        reader = TopicReader(broker.bootstrap)
        async with (
            AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as ours,
            AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as theirs,
        ):
            written = Written(tp, await reader.end_of(tp))

            async def send(producer: AIOKafkaProducer, keys: list[bytes]) -> list[Batch]:
                batches = await Outbox(producer).send_many(spec.name, 0, [(k, b"x" * 9_000) for k in keys])
                for batch in batches:
                    await batch.acknowledged
                return batches

            mine = await send(ours, [b"a", b"b", b"c"])
            assert len(mine) > 1
            written.own(mine)
            await send(theirs, [b"old-1", b"old-2"])
            written.own(await send(ours, [b"d"]))
            await send(theirs, [b"old-3"])
            written.reached(await reader.end_of(tp))
            assert written.foreign == [(3, 5), (6, 7)]
            found = [await reader.keys(tp, *span) for span in written.foreign]
            assert found == [{b"old-1", b"old-2"}, {b"old-3"}]
        await reader.close()

    asyncio.run(main())


def test_one_partition_after_the_other_is_read(broker: EmbeddedKafka) -> None:
    """aiokafka's fetcher ends, and every read hangs, if the subscription goes just after an assignment."""
    spec = TopicSpec("many", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 4, 1)

    async def main() -> None:
        reader = TopicReader(broker.bootstrap)
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for n in range(4):
                await producer.send_and_wait(spec.name, b"v", key=b"%d" % n, partition=n)
        async with asyncio.timeout(60):
            for turn in range(40):
                tp, end = TP(spec.name, turn % 4), turn % 2  # every other time there is nothing to read
                assert await reader.keys(tp, 0, end) == {b"%d" % tp.partition for _ in range(end)}
                for _ in range(10):
                    await asyncio.sleep(0)
        # what a consumer is assigned it fetches, and its other requests wait behind a fetch of half a second
        assert await reader.end_of(TP(spec.name, 0)) == 1
        assert not reader._asking._consumer.assignment()
        assert reader._reading._consumer.assignment() == reader._reading._consumer.paused()
        await reader.close()

    asyncio.run(main())


def test_after_a_failure_nothing_counts_as_acknowledged() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pending = Unacknowledged(most=2)
        first, second = loop.create_future(), loop.create_future()
        await pending.add(first, second)
        assert not pending.empty
        second.set_result(None)
        first.set_exception(OSError("the broker is gone"))
        with pytest.raises(OSError, match="the broker is gone"):
            await pending.wait()
        with pytest.raises(OSError, match="the broker is gone"):
            await pending.wait()
        assert not pending.empty

    asyncio.run(main())


def test_waiting_for_acknowledgements_can_be_given_up_without_harm_to_them() -> None:
    async def main() -> None:
        pending, future = Unacknowledged(), asyncio.get_running_loop().create_future()
        await pending.add(future)
        waiting = asyncio.create_task(pending.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not future.cancelled()
        future.set_result(None)
        await pending.wait()
        assert pending.empty

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
