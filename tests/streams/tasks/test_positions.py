"""Tests of the positions of a worker's tasks: chunks in any order, acknowledgements, and the lease."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faust.types import TP

from state.messages.deltas import decode
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, BUILT_IN
from streams.tasks.catalogue import CatalogueTask
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.topics import HISTORY_CHANGES, ITEMS, PAIR_DELTAS, PURCHASES
from tests.streams.offline import NOW_MS, PARTITIONS, Broker, Offline, Sent, chunk, run
from tests.streams.tasks.counting_worker import DELTAS, EVENTS, MESSAGES, new_worker, save_in_every_cycle


@pytest.fixture(autouse=True)
def _save_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    save_in_every_cycle(monkeypatch)


def test_several_chunks_of_a_task_in_one_cycle_are_acknowledged_in_their_order(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path)
        await worker.once(*(chunk(EVENTS, 50, start) for start in range(0, 200, 50)))
        assert task.position == 200
        first, second = (batch.tp for batch in worker.broker.waiting[:2])
        # messages of all four chunks to one partition are acknowledged, the rest is not
        for _ in range(10):
            for batch in [b for b in worker.broker.waiting if b.tp == first]:
                worker.broker.waiting.remove(batch)
                batch.acknowledge()
            await worker.settle()
        assert (task.acknowledged, task.may_be_stored) == (0, False)
        seen = [0]
        while worker.broker.waiting:
            batch = worker.broker.waiting.pop(0)
            assert batch.tp != first
            batch.acknowledge()
            await worker.settle()
            seen.append(task.acknowledged)
            assert task.may_be_stored == (task.acknowledged == 200)
        assert seen == sorted(seen)
        assert seen[-1] == 200
        assert second != first
        await worker.close()

    run(body())


def test_item_tasks_say_how_far_they_are_and_are_stored(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await new_worker(tmp_path, at_once=True)
        items = ItemTask(DELTAS, worker.context, BOUGHT)
        await worker.open(items)
        for start in (0, 100):
            await worker.once(chunk(EVENTS, 100, start))
        deltas = worker.deltas(DELTAS)
        assert deltas.end == 2
        await worker.once(Chunk(DELTAS, 0, 1, deltas.records[:1]), Chunk(DELTAS, 1, 2, deltas.records[1:]))
        assert items.position == items.progress("").applied == 2
        await worker.once()
        assert items.saver.stored == items.progress("").stored == 2
        await worker.close()
        assert worker.stored(DELTAS) == 2

    run(body())


def test_a_catalogues_first_messages_are_in_kafka_before_its_store_says_so(tmp_path: Path) -> None:
    """It is sent at the position that the store already has."""
    tp = TP(ITEMS.name, 0)

    async def body() -> None:
        worker = Offline(tmp_path, Broker())
        await worker.open(CatalogueTask(tp, worker.context, [BOUGHT]))
        gone = Sent(0, b"tea", b'{"item_id":"tea","available":false}')
        await worker.once(Chunk(tp, 0, 1, [gone]))
        await worker.close(save=True)
        assert worker.stored(tp) == 1
        later = Offline(tmp_path, Broker(at_once=False))
        task = CatalogueTask(tp, later.context, BUILT_IN)
        await later.open(task)
        await later.once()
        assert [batch.tp.topic for batch in later.broker.waiting] == ["pair-deltas-watched"] * PARTITIONS
        assert (task.position, task.may_be_stored) == (1, False)
        await later.close()

        again = Offline(tmp_path, Broker(at_once=False))
        await again.open(CatalogueTask(tp, again.context, BUILT_IN))
        await again.settle()
        assert [batch.tp.topic for batch in again.broker.waiting] == ["pair-deltas-watched"] * PARTITIONS
        await again.close()

    run(body())


def test_a_chunk_after_a_gap_is_read_again_an_old_one_is_dropped_one_that_overlaps_is_trimmed(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 50))
        await worker.once(chunk(EVENTS, 50, 100))
        assert worker.sought == [(EVENTS, 50)]
        assert (task.position, task.counters.events) == (50, 50)
        for old in (chunk(EVENTS, 50), chunk(EVENTS, 20, 10), Chunk(EVENTS, 40, 50, [])):
            await worker.once(old)
            assert (task.position, task.counters.events) == (50, 50)
        await worker.once(chunk(EVENTS, 80, 20))
        assert (task.position, task.counters.events) == (100, 100)
        # of several chunks in a cycle, one that follows another of them is applied
        await worker.once(chunk(EVENTS, 50, 150), chunk(EVENTS, 60, 90), chunk(EVENTS, 50, 150))
        assert (task.position, task.counters.events) == (200, 200)
        await worker.once(Chunk(EVENTS, 200, 203, []))  # marks of transactions
        assert task.position == task.acknowledged == 203
        assert worker.sought == [(EVENTS, 50), (EVENTS, 200)]
        await worker.close(save=True)
        assert worker.stored(EVENTS) == 203

        oracle = Offline(tmp_path / "other", Broker())
        await oracle.open(CustomerTask(EVENTS, oracle.context, BOUGHT))
        await oracle.once(chunk(EVENTS, 200))
        assert isinstance(oracle.tasks[EVENTS], CustomerTask)
        machine = oracle.tasks[EVENTS].machine  # type: ignore[attr-defined]
        for customer in range(10):
            assert task.machine.history(f"c{customer}") == machine.history(f"c{customer}")
        await oracle.close()

    run(body())


def test_deltas_after_a_gap_are_read_again(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await new_worker(tmp_path, at_once=True)
        items = ItemTask(DELTAS, worker.context, BOUGHT)
        await worker.open(items)
        for start in (0, 100, 200):
            await worker.once(chunk(EVENTS, 100, start))
        one, two, three = worker.deltas(DELTAS).records
        await worker.once(Chunk(DELTAS, 1, 2, [two]))
        assert worker.sought == [(DELTAS, 0)]
        assert items.position == 0
        await worker.once(Chunk(DELTAS, 2, 3, [three]), Chunk(DELTAS, 0, 2, [one, two]))
        assert items.position == items.acknowledged == 2
        assert worker.sought == [(DELTAS, 0), (DELTAS, 2)]
        await worker.once(Chunk(DELTAS, 1, 3, [two, three]))
        concerned = sum(decode(record.value or b"").events for record in (one, two, three))
        assert (items.position, items.counters.events) == (3, concerned)
        assert items.machine.gaps_seen == 0
        await worker.close()

    run(body())


def test_chunks_of_a_lost_partition_are_not_applied(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path, at_once=True)
        worker.owned = lambda tp: tp != EVENTS
        await worker.once(chunk(EVENTS, 50), chunk(TP(PURCHASES.name, 2), 50))
        assert task.position == 0
        assert not worker.broker.logs
        assert not worker.sought
        worker.owned = lambda _tp: True
        worker.cycle.put([chunk(EVENTS, 50)])
        worker.cycle.drop()  # from before a rebalance
        await worker.once()
        assert task.position == 0
        await worker.once(chunk(EVENTS, 50))
        assert task.position == 50
        await worker.close()

    run(body())


def test_a_worker_without_lease_counts_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        worker, task = await new_worker(tmp_path, at_once=True)
        worker.lease._confirmed_at = float("-inf")
        worker.run()
        worker.cycle.put([chunk(EVENTS, 50)])
        await asyncio.sleep(0.2)
        assert task.position == 0
        assert not worker.broker.logs
        worker.lease.confirm()
        await worker.until(lambda: task.progress("").applied == 50)
        assert sum(map(len, worker.broker.logs.values())) == MESSAGES
        await worker.close()

    run(body())


def test_published_times_travel_with_the_deltas(tmp_path: Path) -> None:
    async def body() -> None:
        worker, _ = await new_worker(tmp_path, at_once=True)
        await worker.once(chunk(EVENTS, 50))
        for topic in (PAIR_DELTAS.name, HISTORY_CHANGES.name):
            assert worker.broker.of(topic)
            for record in worker.broker.of(topic):
                assert record.headers == [("at", NOW_MS.to_bytes(8, "big"))]
        await worker.close()

    run(body())
