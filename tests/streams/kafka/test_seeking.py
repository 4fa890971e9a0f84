"""After a rebalance, a worker opens its tasks and seeks their partitions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.transport import Consumer
from streams.tasks.cycle import Cycle
from tests.streams.unstarted import TP0, TP1, run


class _Opening:
    """Tasks whose opening lasts until `gate` is set."""

    def __init__(self, positions: dict[TP, int]) -> None:
        self.gate = asyncio.Event()
        self.asked: list[set[TP]] = []
        self.opened = False
        self.cycle: Cycle
        self._positions = positions

    async def open(self, assigned: set[TP]) -> dict[TP, int]:
        self.asked.append(assigned)
        await self.gate.wait()
        self.opened = True
        return self._positions


def _seeks(consumer: Consumer, assignment: set[TP]) -> list[dict[TP, int]]:
    sought: list[dict[TP, int]] = []

    async def seek_wait(positions: dict[TP, int]) -> None:
        sought.append(dict(positions))

    consumer._thread.assignment = lambda: assignment
    consumer._thread.seek_wait = seek_wait
    return sought


def test_it_goes_on_where_the_state_is(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 0, TP1: 17})
        tasks.gate.set()
        sought = _seeks(consumer, {TP0, TP1})
        await consumer.perform_seek()
        assert tasks.asked == [{TP0, TP1}]
        assert sought == [{TP0: 0, TP1: 17}]

    run(tmp_path, body)


def test_a_partition_whose_queue_was_full_is_fetched(tmp_path: Path) -> None:
    """Faust empties its queues in a rebalance and does not report that they are no longer full."""

    async def body(consumer: Consumer) -> None:
        consumer.app.tasks = tasks = _Opening({TP0: 0, TP1: 17})
        tasks.gate.set()
        tasks.cycle = Cycle({}, lambda _tp: True, lambda _tp, _offset: None)
        _seeks(consumer, {TP0, TP1})
        asked: list[set[TP]] = []

        async def getmany(active: set[TP], *_more: object, **_kwargs: object) -> dict[TP, Any]:
            asked.append(active)
            return {}

        consumer._thread.getmany = getmany
        await consumer.perform_seek()
        consumer.on_buffer_full(TP1)
        await consumer._wait_next_records(1.0)
        await consumer.perform_seek()
        await consumer._wait_next_records(1.0)
        assert asked == [{TP0, TP1}] * 2

    run(tmp_path, body)


def test_a_partition_lost_while_it_was_opened_is_not_sought(tmp_path: Path) -> None:
    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 5, TP1: 17})
        assignment = {TP0, TP1}
        sought = _seeks(consumer, assignment)
        seeking = asyncio.create_task(consumer.seek_to_committed())
        while not tasks.asked:
            await asyncio.sleep(0)
        assignment.discard(TP1)
        tasks.gate.set()
        assert await seeking == {TP0: 5}
        assert sought == [{TP0: 5}]

    run(tmp_path, body)


def test_a_rebalance_does_not_tear_the_opening(tmp_path: Path) -> None:
    """Faust cancels the seek in a rebalance; a half-open store would keep its lock."""

    async def body(consumer: Consumer) -> None:
        tasks = consumer.app.tasks = _Opening({TP0: 5})
        sought = _seeks(consumer, {TP0})
        seeking = asyncio.create_task(consumer.perform_seek())
        while not tasks.asked:
            await asyncio.sleep(0)
        seeking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await seeking
        assert not tasks.opened
        tasks.gate.set()
        while not tasks.opened:
            await asyncio.sleep(0)
        assert not sought

    run(tmp_path, body)
