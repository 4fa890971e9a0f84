"""Lists that another worker wrote, or may write, are published again, or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from streams.tasks.freshness import NONE
from tests.events import purchases
from tests.streams.listing import LISTS, Shop, oracle_of
from tests.streams.offline import Sent, run
from tests.streams.test_pipeline import check


def test_lists_that_others_wrote_are_published_again(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.count(messages)
        task = shop.items[0]
        log = shop.broker.logs[task.refresher.tp]
        mine = shop.lists()
        await task.refresher.foreign.look_once()
        await shop.worker.once()
        assert shop.lists() == mine
        victims = [record.key for record in log[:3]]
        log += [Sent(len(log) + i, key, b'{"of":"another"}') for i, key in enumerate(victims)]
        log.append(Sent(len(log), b"nobody's", b"{}"))
        log.append(Sent(len(log), b"\xff\xfe no text", b"{}"))
        sent = shop.published()
        await task.refresher.foreign.look_once()
        assert shop.has_waiting
        await shop.worker.once()
        assert {key: value for key, value in shop.lists().items() if key in mine} == mine
        assert shop.published() == sent + 3
        await task.refresher.foreign.look_once()
        await shop.worker.once()
        assert shop.published() == sent + 3  # its own lists are not taken for those of another
        await shop.worker.close()

    run(body())


def test_nothing_is_published_before_it_is_known_where_the_partition_ended(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        shop.items[0].refresher.foreign._written = None
        shop.worker.reader.away = True  # the task looks on its own, too
        await shop.count(purchases(1, customers=30, items=60, events=400))
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {1, 2}
        shop.worker.reader.away = False
        await shop.items[0].refresher.foreign.look_once()
        await shop.worker.once()
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {0, 1, 2}
        assert shop.waiting == 0
        await shop.worker.close()

    run(body())


# ---------------------------------------------------------------------- who may not publish


def test_a_worker_that_stood_still_publishes_nothing_before_it_is_confirmed(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        shop.worker.cycle.put(shop.deltas())
        count, lease = shop.worker.cycle.computing.count_and_rank, shop.worker.lease

        def slowly(*args: Any) -> Any:
            lease._confirmed_at = float("-inf")  # as if it stood still in the middle of the cycle
            return count(*args)

        shop.worker.cycle.computing.count_and_rank = slowly  # type: ignore[method-assign, assignment]
        shop.worker.run()
        await shop.worker.until(lambda: shop.items[0].position == 1)
        await asyncio.sleep(0.2)
        assert shop.published() == 0
        shop.worker.cycle.computing.count_and_rank = count  # type: ignore[method-assign]
        lease.confirm()
        await shop.worker.until(lambda: shop.waiting == 0 and len(shop.lists()) > 50)
        await shop.worker.close()

    run(body())


def test_lists_of_a_partition_that_is_lost_meanwhile_are_not_sent(tmp_path: Path) -> None:
    """If the partition was not lost after all, they are ranked and sent again."""

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        lost = shop.items[1].tp
        count = shop.worker.cycle.computing.count_and_rank

        def rebalanced(*args: Any) -> Any:
            counted = count(*args)
            shop.worker.owned = lambda tp: tp != lost
            return counted

        shop.worker.cycle.computing.count_and_rank = rebalanced  # type: ignore[method-assign, assignment]
        await shop.worker.once(*shop.deltas())
        shop.worker.cycle.computing.count_and_rank = count  # type: ignore[method-assign]
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {0, 2}
        assert shop.items[1].progress("").latency_p50_ms == NONE
        shop.worker.owned = lambda _tp: True
        assert shop.has_waiting
        marks = await shop.settle()
        for _ in range(6):
            await shop.worker.once()
        assert [task.refresher.listed for task in shop.items] == marks
        assert shop.items[1].progress("").latency_p50_ms != NONE
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


def test_a_worker_stops_though_the_group_is_gone(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=30, items=60, events=400)))
        count, lease = shop.worker.cycle.computing.count_and_rank, shop.worker.lease

        def slowly(*args: Any) -> Any:
            counted = count(*args)
            lease._confirmed_at = float("-inf")
            return counted

        shop.worker.cycle.computing.count_and_rank = slowly  # type: ignore[method-assign, assignment]
        shop.worker.cycle.put(shop.deltas())
        shop.worker.run()
        await shop.worker.until(lambda: shop.items[0].position == 1)
        await asyncio.sleep(0.2)
        closing = asyncio.create_task(shop.worker.close(save=True))
        await asyncio.sleep(0.1)
        assert not closing.done()
        shop.worker.cycle.stop()
        async with asyncio.timeout(5):
            await closing
        assert shop.published() == 0
        assert shop.worker.stored(shop.items[0].tp) == 1

    run(body())
