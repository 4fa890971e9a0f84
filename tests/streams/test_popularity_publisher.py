"""Popularity of a partition's items without Kafka: what is noted as published is what was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from faust.types import TP

from streams import popularity_publisher
from streams.customer_task import CustomerTask
from streams.item_task import ItemTask
from streams.kinds import BOUGHT
from streams.messages import EventMessage, decode_popularity
from streams.popularity_json import popularity_records
from streams.topics import PAIR_DELTAS, PURCHASES
from streams.transport import Chunk
from tests.events import purchases
from tests.streams.offline import PARTITIONS, Offline, records_of, run

EVENTS = TP(PURCHASES.name, 0)


def test_an_item_that_comes_back_to_what_was_noted_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bought by one more while records are made, and returned afterwards."""
    bought = purchases(1, customers=10, items=9, events=60)
    taken_back = [msgspec.structs.replace(bought[0], type="return")]

    async def body() -> None:
        worker = Offline(tmp_path, settings={"watched_bought_days": 0})
        events = CustomerTask(EVENTS, worker.context, BOUGHT)
        tasks = [ItemTask(TP(PAIR_DELTAS.name, p), worker.context, BOUGHT) for p in range(PARTITIONS)]
        for task in (events, *tasks):
            await worker.open(task)

        async def count(messages: list[EventMessage]) -> None:
            start = events.position
            chunk = Chunk(EVENTS, start, start + len(messages), records_of(messages, start))
            await worker.once(chunk)
            for task in tasks:
                await worker.once(worker.deltas(task.tp, task.position))

        positions: list[bool] = []

        def made(machine: Any, *args: Any) -> Any:
            positions.append(worker.context.lock.locked())
            return popularity_records(machine, *args)

        monkeypatch.setattr(popularity_publisher, "popularity_records", made)
        for messages in (bought, taken_back, bought[:1], taken_back):
            await count(messages)
            for task in tasks:
                assert task.popularity is not None
                await task.popularity.publish()
            published = {r.key: r.value for r in worker.broker.of(BOUGHT.popularity.name) if r.key}
            for task in tasks:
                machine = task.machine
                for row in range(machine.row_count):
                    item = int(machine.tables.item_of[row])
                    buyers = int(machine.popularity.buyers[item])
                    value = published[machine.items.id(item).encode()]
                    assert (0 if value is None else decode_popularity(value).buyers) == buyers
        assert positions
        assert all(positions)  # with the machines at rest since it was noted what changed
        await worker.close()

    run(body())
