"""Tests of publishing popularity without Kafka: what is noted as published is what was sent."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from state.items.popularity_changes import PopularityChanges
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT
from streams.messages.schema import COUNTED, EventMessage, decode_counted, decode_popularity
from streams.tasks.customers import CustomerTask, item_partitions
from streams.tasks.items import ItemTask
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import purchases
from tests.streams.offline import PARTITIONS, Offline, records_of, run

EVENTS = TP(PURCHASES.name, 0)


def test_an_item_that_changes_while_it_is_published_and_changes_back_is_published_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = purchases(1, customers=10, items=9, events=60)
    once_more = [msgspec.structs.replace(bought[0], customer_id="eve", event_id=None)]
    returned = [msgspec.structs.replace(once_more[0], type="return")]

    async def body() -> None:
        worker = Offline(tmp_path, settings={"watched_bought_days": 0})
        events = CustomerTask(EVENTS, worker.context, BOUGHT)
        tasks = [ItemTask(TP(PAIR_DELTAS.name, p), worker.context, BOUGHT) for p in range(PARTITIONS)]
        for task in (events, *tasks):
            await worker.open(task)
        owner = tasks[item_partitions(PARTITIONS, [bought[0].item_id])[0]].machine
        loop, cycles = asyncio.get_running_loop(), list[asyncio.Task[None]]()

        async def send(messages: list[EventMessage]) -> None:
            start = events.position
            await worker.once(Chunk(EVENTS, start, start + len(messages), records_of(messages, start)))

        async def count() -> None:
            await worker.once(*(worker.deltas(task.tp, task.position) for task in tasks))

        async def publish() -> None:
            for task in tasks:
                assert task.popularity is not None
                await task.popularity.publish()

        take = PopularityChanges.take

        def take_and_let_a_cycle_wait(changes: PopularityChanges, *args: Any) -> Any:
            """Return what changed; then let a cycle that counts wait for the lock, as one may at any time."""
            found, waits = take(changes, *args), threading.Event()

            def begin() -> None:
                cycles.append(loop.create_task(count()))
                loop.call_soon(waits.set)

            if changes._machine is owner and not cycles:
                loop.call_soon_threadsafe(begin)
                assert waits.wait(60)
            return found

        await send(bought)
        await count()
        await send(once_more)  # the waiting cycle counts its deltas
        monkeypatch.setattr(PopularityChanges, "take", take_and_let_a_cycle_wait)
        await publish()
        assert cycles
        await asyncio.gather(*cycles)
        await send(returned)
        await count()
        await publish()
        published = {r.key: r.value for r in worker.broker.of(BOUGHT.popularity.name) if r.key}
        for machine in (task.machine for task in tasks):
            for item in machine.tables.item_of[: machine.row_count].tolist():
                value = published[machine.items.id(item).encode()]
                buyers = 0 if value is None else decode_popularity(value).buyers
                assert buyers == machine.popularity.buyers[item]
        await worker.close()

    run(body())


def test_a_settling_that_could_not_be_sent_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        worker = Offline(tmp_path, settings={"watched_bought_days": 0})
        task = ItemTask(TP(PAIR_DELTAS.name, 0), worker.context, BOUGHT)
        await worker.open(task)
        publisher, send_keyed = task.popularity, worker.context.outbox.send_keyed
        assert publisher is not None
        await publisher.publish()

        async def fails(*_args: Any) -> int:
            raise KafkaError

        monkeypatch.setattr(worker.context.outbox, "send_keyed", fails)
        with pytest.raises(KafkaError):
            await publisher.publish(settling=5)
        monkeypatch.setattr(worker.context.outbox, "send_keyed", send_keyed)
        await publisher.publish(settling=5)
        marks = [r.value for r in worker.broker.of(BOUGHT.popularity.name) if r.key == COUNTED]
        assert [decode_counted(value).settle for value in marks if value is not None][-1] == 5
        await worker.close()

    run(body())
