"""The popularity of other partitions is taken in from the topics, and a settling waits for it."""

from __future__ import annotations

import asyncio
import threading
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from state.messages.delta_types import encode_settle
from state.messages.deltas import Source
from state.popularity.counts import DAY_MS
from streams.kafka.outbox import Record
from streams.kinds import BOUGHT, WATCHED
from streams.messages.schema import (
    COUNTED,
    SETTLE,
    UNSETTLED,
    CountedMessage,
    PopularityMessage,
    SettleMark,
    encode,
)
from streams.tasks.others import Others
from streams.topics import PAIR_DELTAS
from tests.events import purchases
from tests.streams.listing import Shop
from tests.streams.offline import PARTITIONS, run

DAY = date(2026, 3, 1)
AS_OF = (DAY.toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS + 5


def record(key: bytes, value: Any, partition: int = 0) -> Any:
    raw = value if value is None or isinstance(value, bytes) else encode(value)
    return SimpleNamespace(key=key, value=raw, partition=partition)


def tea(buyers: int, version: int) -> Any:
    message = PopularityMessage(
        item_id="tea", kind="bought", as_of=AS_OF, version=version, buyers=buyers, newest_day=DAY,
        purchases=[buyers], first_days=1, recent_buyers=0.5, repeaters=0,
        repeat_days=0, repeat_minutes=0, customers=buyers,
        available=True,
    )  # fmt: skip
    return record(b"tea", message)


def test_records_are_taken_in_and_others_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    others, topic = Others(), BOUGHT.popularity.name
    others.take(
        topic, [tea(2, 7), record(SETTLE, SettleMark(9)), record(b"milk", b"{}"), tea(3, 8), tea(2, 7)]
    )
    view = others.view(BOUGHT)
    assert len(view.items) == 1
    assert int(view.popularity.buyers[0]) == 3
    assert view.watermark_ms == AS_OF
    assert "a record of popularity is ignored" in caplog.text
    assert len(others.view(WATCHED).items) == 0
    others.take(topic, [record(b"tea", None)])
    assert int(view.popularity.buyers[0]) == 0


def test_a_view_is_changed_with_its_lock_held() -> None:
    """A task that is being opened takes from it in a thread of its own."""
    others, topic = Others(), BOUGHT.popularity.name
    view = others.view(BOUGHT)
    taking = threading.Thread(target=others.take, args=(topic, [tea(2, 7)]))
    with view.lock:
        taking.start()
        taking.join(0.1)
        assert taking.is_alive()
        assert len(view.items) == 0
    taking.join()
    assert len(view.items) == 1


def test_a_settling_is_reached_once_every_partition_says_so() -> None:
    others, topic = Others(), BOUGHT.popularity.name
    assert others.settled(BOUGHT, 2) == -1
    others.take(topic, [record(COUNTED, CountedMessage(AS_OF, 5, [(0, 1, 70, 4)]), 0)])
    assert others.settled(BOUGHT, 2) == -1
    others.take(topic, [record(COUNTED, CountedMessage(AS_OF + 1, 6, [(0, 1, 90, 3), (0, 0, 8, 1)]), 1)])
    assert others.settled(BOUGHT, 2) == 5
    assert others.settled(WATCHED, 2) == -1
    view = others.view(BOUGHT)
    assert view.watermark_ms == AS_OF + 1
    assert view.sources == {Source(0, 1): (90, 3), Source(0, 0): (8, 1)}  # for each as far as it is counted
    others.take(topic, [record(COUNTED, None, 1)])  # this is after `alsobought rebuild`
    assert view.sources == {Source(0, 1): (70, 4)}
    assert others.settled(BOUGHT, 2) == -1


def test_what_is_counted_is_heard_of_before_anybody_asks_to_settle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        await shop.count(purchases(1, customers=30, items=60, events=200))
        for task in shop.items:
            assert task.popularity is not None
            await task.popularity.publish()
        await shop.worker.settle()
        others = shop.worker.context.others
        counted = [one for task in shop.items for one in task.machine.counted()]
        (source,) = {source for source, _, _ in counted}
        assert others.view(BOUGHT).sources == {source: max((end, customers) for _, end, customers in counted)}
        assert others.view(BOUGHT).watermark_ms == max(task.machine.watermark_ms for task in shop.items)
        assert others.settled(BOUGHT, PARTITIONS) == UNSETTLED
        await shop.worker.close()

    run(body())
    assert "is ignored" not in caplog.text


def test_lists_are_settled_by_the_popularity_of_all_partitions(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path, at_once=False)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=30, items=60, events=400)))
        shop.broker.acknowledge()
        await shop.worker.settle()
        await shop.worker.once(*shop.deltas())
        shop.broker.acknowledge()
        first, *rest = shop.items
        for task in rest:
            shop.worker.outbox.send(Record(task.tp.topic, task.tp.partition, None, encode_settle(3)))
        await shop.worker.settle()
        shop.broker.acknowledge(PAIR_DELTAS.name)
        await shop.worker.once(*shop.deltas())
        for _ in range(100):  # the first partition was not asked yet
            shop.broker.acknowledge()
            await shop.worker.settle()
            await asyncio.sleep(0.001)
        assert not any(task.refresher.settling for task in shop.items)
        assert shop.worker.context.others.settled(BOUGHT, PARTITIONS) == -1
        shop.worker.outbox.send(Record(first.tp.topic, first.tp.partition, None, encode_settle(3)))
        await shop.worker.settle()
        shop.broker.acknowledge(PAIR_DELTAS.name)
        await shop.worker.once(*shop.deltas())

        def settling() -> bool:
            shop.broker.acknowledge(BOUGHT.popularity.name)
            return all(task.refresher.settling for task in shop.items)

        await shop.worker.until(settling)
        assert shop.worker.context.others.settled(BOUGHT, PARTITIONS) == 3
        await shop.worker.close()

    run(body())


def test_a_newer_settling_takes_the_place_of_one_that_is_not_reached(tmp_path: Path) -> None:
    """This happens when `drain` was interrupted: some partitions were never asked."""

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        await shop.count(purchases(1, customers=30, items=60, events=200))
        one = shop.items[0]
        shop.worker.outbox.send(Record(one.tp.topic, one.tp.partition, None, encode_settle(3)))
        await shop.worker.settle()
        await shop.worker.once(*shop.deltas())
        await shop.worker.settle()
        assert not one.refresher.settling
        marks = await shop.settle()
        shop.worker.run()  # the first settling may end by the others' newer number, and the newer one follows
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        assert TP(BOUGHT.popularity.name, 0) in shop.broker.logs
        await shop.worker.close()

    run(body())
