"""Tests of when lists are brought exactly up to date, and count as such."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from state.items.machine import ItemMachine
from streams.kinds import BOUGHT
from streams.tasks import computing, refresh
from streams.tasks.freshness import NONE
from tests.events import purchases
from tests.streams.listing import LISTS, Shop, oracle_of
from tests.streams.offline import PARTITIONS, run
from tests.streams.test_pipeline import check


async def _share_once(shared: asyncio.Event, share: Callable[[int], Awaitable[bool]], number: int) -> bool:
    """A stand-in for `ItemTask._share` that the test lets end."""
    await shared.wait()
    return await share(number)


def test_settling_lists_everything_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "SLICE_ROWS", 7)  # so that the pass takes many cycles

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(3, customers=30, items=60, events=900, returns=0.1, duplicates=0.05)
        for start in range(0, 900, 90):
            await shop.count(messages[start : start + 90])
        marks = await shop.settle()
        cycles_taken = 0
        while shop.has_waiting:
            await shop.worker.once()
            cycles_taken += 1
        assert cycles_taken > 3
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        assert [task.progress("").listed for task in shop.items] == marks
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


def test_a_settling_takes_over_the_pass_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "FRESH_ROWS", 0)  # everything is left to a pass
    monkeypatch.setattr(computing, "SLICE_ROWS", 5)
    monkeypatch.setattr(computing, "WAITING_ROWS", 5)

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(3, customers=30, items=60, events=600)
        await shop.count(messages)
        await shop.worker.once()
        listed, rows = shop.published(), sum(task.machine.row_count for task in shop.items)
        assert 0 < listed < rows / 2
        # from the moment of the request, the pass waits for the settling, here for popularity
        shared = asyncio.Event()
        for task in shop.items:
            monkeypatch.setattr(task, "_share", partial(_share_once, shared, task._share))
        marks = await shop.ask_to_settle()
        assert not shop.has_waiting
        await shop.worker.once()
        assert shop.published() == listed
        shared.set()
        await shop.worker.until(lambda: all(task.refresher.settling for task in shop.items))
        ranked, rank = 0, ItemMachine.rank

        def counting(machine: ItemMachine, some: Any, *, exact: bool = False) -> Any:
            nonlocal ranked
            ranked += len(some)
            return rank(machine, some, exact=exact)

        monkeypatch.setattr(ItemMachine, "rank", counting)
        while shop.has_waiting:
            await shop.worker.once()
        assert ranked == rows  # each list once
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        assert min(task.refresher.staleness.take() for task in shop.items) > 0
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


def test_a_pass_waits_no_longer_for_a_settling_than_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "FRESH_ROWS", 0)
    monkeypatch.setattr(refresh, "HOLD_S", 0.1)

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        for task in shop.items:
            task.refresher.expect_settling()
        await shop.count(purchases(3, customers=30, items=60, events=600))

        def goes_on() -> bool:
            return shop.has_waiting

        await shop.worker.until(goes_on)
        while shop.waiting:
            await shop.worker.once()
        assert len(shop.lists()) > 50
        await shop.worker.close()

    run(body())


def test_lists_count_as_published_only_after_kafka_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "SLICE_ROWS", 15)

    async def body() -> None:
        shop = Shop(tmp_path, at_once=False)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=30, items=60, events=400)))
        shop.broker.acknowledge()
        await shop.worker.settle()
        await shop.worker.once(*shop.deltas())
        assert any(batch.tp.topic == LISTS for batch in shop.broker.waiting)
        marks = await shop.settle()
        for _ in range(40):
            await shop.worker.once()
            shop.broker.acknowledge(BOUGHT.popularity.name)
        assert not shop.has_waiting
        # every row was ranked, and the last lists did not change: there is nothing to wait
        # for but what was sent before
        assert [task.refresher.listed for task in shop.items] == [0] * PARTITIONS
        assert [task.progress("").latency_p50_ms for task in shop.items] == [NONE] * PARTITIONS
        assert [task.progress("").staleness_ms for task in shop.items] == [0] * PARTITIONS
        one = shop.items[1]
        while [batch for batch in shop.broker.waiting if batch.tp == one.refresher.tp]:
            assert one.refresher.listed == 0
            for batch in [batch for batch in shop.broker.waiting if batch.tp == one.refresher.tp]:
                shop.broker.waiting.remove(batch)
                batch.acknowledge()
            await shop.worker.settle()

        def listed() -> bool:
            shop.broker.acknowledge(BOUGHT.popularity.name)
            return one.refresher.listed > 0

        await shop.worker.until(listed)
        assert [task.refresher.listed for task in shop.items] == [0, marks[1], 0]
        progress = one.progress("")
        assert progress.latency_p50_ms > 0
        assert progress.staleness_ms > 0
        # lists that could not be sent are never reported as published
        for batch in shop.broker.waiting:
            batch.fail(OSError("gone"))
        await shop.worker.settle()
        assert [task.refresher.listed for task in shop.items] == [0, marks[1], 0]
        assert shop.items[0].progress("").latency_p50_ms == NONE
        await shop.worker.close()

    run(body())
