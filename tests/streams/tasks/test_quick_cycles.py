"""A purchase after a pause takes quick cycles: the same is counted, and what waits is put off for a bound."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from state.messages.deltas import Availability, Source, encode_availability
from streams.kafka.transport import Chunk
from streams.tasks import cycle
from tests.events import purchases
from tests.streams.listing import Shop, oracle_of
from tests.streams.offline import Sent, run
from tests.streams.test_pipeline import check

LONG_S = 1_000.0


class Watched(Shop):
    """A shop that notes what its cycles give to the thread."""

    def __init__(self, root: Path, **more: Any) -> None:
        super().__init__(root, **more)
        self.in_thread: list[str] = []
        computing = self.worker.cycle.computing
        begin = computing.begin

        def noted(function: Any, *args: Any) -> Any:
            self.in_thread.append(function.__name__)
            return begin(function, *args)

        computing.begin = noted  # type: ignore[method-assign]

    async def pause(self) -> None:
        """Let so much time pass that the next purchase comes after a pause."""
        await asyncio.sleep(cycle.PAUSE_S + 0.001)


class Clock:
    """The cycle's clock, which only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000.0
        monkeypatch.setattr(cycle, "time", SimpleNamespace(monotonic=lambda: self.now_s))


@pytest.fixture
def always_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cycle be quick that may be."""
    monkeypatch.setattr(cycle, "PAUSE_S", 0.0)
    monkeypatch.setattr(cycle, "POSTPONE_S", LONG_S)
    monkeypatch.setattr(cycle, "FEW_BYTES", 1 << 20)


@pytest.mark.usefixtures("always_quick")
def test_quick_cycles_count_and_list_as_others_do(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Watched(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        for start in range(0, len(messages), 5):
            await shop.count(messages[start : start + 5])
        assert shop.in_thread == []
        assert shop.published() > 60
        shop.worker.run()
        marks = await shop.settle()
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close(save=True)
        assert shop.worker.stored(shop.events.tp) == len(messages)

    run(body())


def test_what_waits_is_ranked_once_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "POSTPONE_S", LONG_S)

    async def body() -> None:
        shop = Watched(tmp_path)
        await shop.open()
        await shop.count(purchases(1, customers=30, items=60, events=400))
        for task in shop.items:
            task.machine.mark_unknown(list(shop.lists())[:20])
            task.refresher._counts.since = 1.0
        await shop.pause()
        shop.in_thread.clear()
        await shop.count(purchases(2, customers=3, items=60, events=2))
        assert shop.in_thread == []
        assert shop.waiting > 0
        assert 0 <= shop.worker.cycle._pause_s() <= cycle.QUIET_S
        shop.worker.run()
        await shop.worker.until(lambda: shop.waiting == 0)
        await shop.worker.close()

    run(body())


@pytest.mark.usefixtures("always_quick")
def test_what_waits_is_put_off_by_quick_cycles_for_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(cycle, "POSTPONE_S", 10.0)

    async def body() -> None:
        shop = Watched(tmp_path)
        await shop.open()
        whole = []
        for seed in range(8):
            shop.in_thread.clear()
            await shop.worker.once(shop.bought(purchases(seed, customers=3, items=60, events=2)))
            assert "apply_all" not in shop.in_thread  # the purchases themselves are quick
            whole.append("count_and_rank" in shop.in_thread)
            clock.now_s += 4.0
        assert whole == [False, False, False, True, False, False, False, True]  # after 12 s
        await shop.worker.close()

    run(body())


def test_purchases_that_follow_one_another_take_no_quick_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle may take longer than a pause, with more waiting behind it."""
    clock = Clock(monkeypatch)

    async def body() -> None:
        shop = Watched(tmp_path)
        await shop.open()
        apply_all = shop.worker.cycle.computing.apply_all

        def slowly(*args: Any) -> Any:
            clock.now_s += 2 * cycle.PAUSE_S
            return apply_all(*args)

        shop.worker.cycle.computing.apply_all = slowly  # type: ignore[method-assign, assignment]
        for pause_s, quick in (
            (0.0, True),
            (0.0, False),
            (cycle.PAUSE_S / 2, False),
            (1.5 * cycle.PAUSE_S, True),
        ):
            clock.now_s += pause_s
            shop.in_thread.clear()
            await shop.worker.once(shop.bought(purchases(1, customers=3, items=60, events=2)))
            assert (shop.in_thread == []) == quick
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize("why", ["many", "large", "both", "settling", "memory", "catalogue"])
def test_other_cycles_compute_in_the_thread(tmp_path: Path, why: str) -> None:
    async def body() -> None:
        shop = Watched(tmp_path, **({"memory_mib": 64} if why == "memory" else {}))
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=3, items=60, events=10)))
        await shop.pause()
        shop.in_thread.clear()
        few = shop.bought(purchases(2, customers=3, items=60, events=2))
        if why == "many":
            few = shop.bought(purchases(2, customers=3, items=60, events=cycle.FEW_RECORDS + 1))
        elif why == "large":
            few.records[0].value += b" " * cycle.FEW_BYTES
        chunks = [few, *shop.deltas()] if why == "both" else [few]
        if why == "settling":
            shop.items[0].refresher.settle(1)
        if why == "catalogue":
            hidden = Availability(Source(1, 0), 0, 1, ["item"], np.zeros(1, np.uint8))
            at = shop.items[0].position
            tp = shop.items[0].tp
            chunks = [Chunk(tp, at, at + 1, [Sent(at, None, encode_availability(hidden))])]
        await shop.worker.once(*chunks)
        assert "count_and_rank" in shop.in_thread
        await shop.worker.close()

    run(body())


def test_what_was_kept_is_applied_though_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "QUIET_S", LONG_S)

    async def body() -> None:
        shop = Watched(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=cycle.FEW_RECORDS + 1)  # not quick
        shop.events.postpones = lambda _now_s: True  # type: ignore[method-assign, assignment]
        await shop.worker.once(shop.bought(messages))
        assert shop.events.position == 0
        shop.events.postpones = lambda _now_s: False  # type: ignore[method-assign, assignment]
        async with shop.worker.context.lock:
            await shop.worker.cycle._cycle(shop.worker.context)
        assert shop.events.position == len(messages)
        await shop.worker.close()

    run(body())
