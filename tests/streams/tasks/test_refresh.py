"""The cycle ranks fresh rows at once, and the remaining rows in passes."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from streams.tasks import computing, lateness, passes
from streams.tasks.freshness import NONE
from tests.events import purchases
from tests.streams.listing import LISTS, Shop, oracle_of
from tests.streams.offline import run
from tests.streams.test_pipeline import check

LATE_MS = 60_000  # the age at which it counts as a backlog


def test_lists_of_fresh_rows_go_out_in_the_cycle_that_counts_them(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        assert shop.published() == 0
        await shop.worker.once(*shop.deltas())
        assert shop.waiting == 0
        after = oracle_of(messages).after()
        lists = shop.lists()
        assert len(lists) > 50
        for item, message in lists.items():
            for entry in message["related"]:
                y = entry["item_id"]
                assert (entry["after"], entry["together"]) == (
                    after[item, y],
                    after[item, y] + after[y, item],
                )
        assert {r.key for r in shop.broker.of(LISTS)} == {item.encode() for item in lists}
        await shop.worker.close()

    run(body())


def test_rows_beyond_the_limit_of_a_cycle_are_left_to_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "FRESH_ROWS", 10)
    monkeypatch.setattr(computing, "WAITING_ROWS", 4)
    monkeypatch.setattr(computing, "SLICE_ROWS", 4)
    monkeypatch.setattr(passes, "SWEEP_STEP_S", 1e9)  # a slow cycle would give its turn to the sweep

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.count(messages)
        rows = sum(task.machine.row_count for task in shop.items)
        assert rows - shop.waiting == 10 + 4
        assert sum(task.refresher.staleness.take() for task in shop.items) == 0  # none is ranked as a whole
        before = shop.waiting
        while shop.waiting:
            await shop.worker.once()
            assert before - 4 <= shop.waiting < before
            before = shop.waiting
        assert min(task.refresher.staleness.take() for task in shop.items) > 0
        assert len(shop.lists()) > 50
        assert not shop.has_waiting
        await shop.worker.close()

    run(body())


def test_in_a_backlog_there_are_only_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateness, "COUNTING_S", 3600.0)  # this holds however slow the test is

    async def body() -> None:
        shop = Shop(tmp_path, catch_up_ms=60_000)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=700)
        late_ms = time.time() * 1000 - LATE_MS
        for start in range(0, 400, 100):
            await shop.count(messages[start : start + 100], late_ms)
            await shop.worker.once()
        assert all(task.refresher.behind for task in shop.items)
        assert shop.published() == 0
        assert not shop.has_waiting
        # what is counted is so old that a pass is due; then there is none for the same time
        for task in shop.items:
            task.refresher._counts.since -= passes.PASS_AGE * 60 + 1
        while shop.waiting:
            await shop.worker.once()
        once = shop.published()
        assert once == len({record.key for record in shop.broker.of(LISTS)})
        await shop.count(messages[400:500], late_ms)
        await shop.worker.once()
        assert shop.published() == once
        assert shop.waiting > 0
        # the longer a backlog has been counted, the rarer passes are
        _set_ages(shop, backlog_s=300, waiting_s=190)
        await shop.worker.once()
        assert shop.published() == once
        _set_ages(shop, backlog_s=300, waiting_s=210)
        while shop.waiting:
            await shop.worker.once()
        twice = shop.published()
        assert once < twice
        await shop.count(messages[500:600], late_ms)
        # at its end, when traffic is live again, all remaining lists are published
        await shop.count(messages[600:], time.time() * 1000)
        for _ in range(3):
            await shop.worker.once()
        assert shop.waiting == 0
        assert shop.published() > twice
        await shop.settle()
        for _ in range(4):
            await shop.worker.once()
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


def test_the_end_of_a_backlog_is_reported_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        reached = []
        for number, left in enumerate((0, 0, 150, 50, 0, 0)):
            chunk = shop.bought(messages[50 * number : 50 * (number + 1)])
            await shop.worker.once(dataclasses.replace(chunk, left=left))
            reached.append(shop.events.reached)
        # live traffic is always at the end of the log, and its reports come now and then
        assert reached[0] == reached[1] == reached[2] == reached[3]
        assert reached[4] == reached[5] == (250,)
        await shop.worker.close()

    run(body())


def _set_ages(shop: Shop, *, backlog_s: float, waiting_s: float) -> None:
    """Make the backlog, and the oldest count that waits for its list, this old."""
    now = time.monotonic()
    for task in shop.items:
        task.refresher.lateness._behind_since = now - backlog_s
        task.refresher._counts.since = now - waiting_s


def test_latency_and_staleness_end_when_kafka_has_the_list(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path, at_once=False)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=200)
        begin = time.time()
        await shop.worker.once(shop.bought(messages, begin * 1000 - 700))
        shop.broker.acknowledge()
        await shop.worker.settle()
        counted = time.monotonic()
        await shop.worker.once(*shop.deltas())
        ranked = time.monotonic()
        await asyncio.sleep(0.2)
        acknowledged = time.monotonic()
        shop.broker.acknowledge()
        await shop.worker.settle()
        most_ms = (time.time() - begin) * 1000 + 700
        for task in shop.items:
            progress = task.progress("")
            assert 900 <= progress.latency_p50_ms == progress.latency_p99_ms <= most_ms + 1
            least, most = (acknowledged - ranked) * 1000, (time.monotonic() - counted) * 1000
            assert least <= progress.staleness_ms <= most
            assert (task.progress("").latency_p50_ms, task.progress("").staleness_ms) == (NONE, 0)
        await shop.worker.close()

    run(body())
