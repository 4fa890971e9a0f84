"""Partitions that are counted side by side: as exactly, and an error of one waits for the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from streams import computing
from tests.events import purchases
from tests.streams.listing import Shop, oracle_of
from tests.streams.offline import PARTITIONS, run
from tests.streams.test_pipeline import check


def test_much_is_counted_side_by_side_and_as_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "THREADS", PARTITIONS)
    monkeypatch.setattr(computing, "SIDE_BY_SIDE_BYTES", 1)
    together = threading.Barrier(PARTITIONS + 1)
    met: list[int] = []

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        cycle = shop.worker.cycle
        count, apply_all = cycle.computing.count_and_rank, cycle.computing.apply_all

        def meeting(function: Any) -> Any:
            def called(*args: Any) -> Any:
                met.append(together.wait(20))
                return function(*args)

            return called

        messages = purchases(5, customers=30, items=60, events=1_200, returns=0.1, duplicates=0.05)
        await shop.worker.once(shop.bought(messages[:400]))
        for start in (400, 800):
            # what all three partitions count, and the events behind it, at the same time
            cycle.computing.count_and_rank = meeting(count)  # type: ignore[method-assign]
            cycle.computing.apply_all = meeting(apply_all)  # type: ignore[method-assign]
            await shop.worker.once(*shop.deltas(), shop.bought(messages[start : start + 400]))
            cycle.computing.count_and_rank, cycle.computing.apply_all = count, apply_all  # type: ignore[method-assign]
        assert len(met) == 2 * (PARTITIONS + 1)
        await shop.worker.once(*shop.deltas())
        assert len(cycle.computing.parts([])) == 1
        await shop.settle()
        assert len(cycle.computing.parts([])) == PARTITIONS  # every list is to be ranked
        while cycle._pause_s() == 0:
            await shop.worker.once()
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


def test_an_error_beside_others_is_raised_once_all_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine would be saved while it counts."""
    monkeypatch.setattr(computing, "THREADS", PARTITIONS)
    monkeypatch.setattr(computing, "SIDE_BY_SIDE_BYTES", 1)
    ended = 0

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(5, customers=30, items=60, events=400)))
        threads = shop.worker.cycle.computing
        count, in_thread, failed = threads.count_and_rank, threads.in_thread, threading.Event()

        def called(part: Any, *args: Any) -> Any:
            nonlocal ended
            if shop.items[0] in part.tasks:
                raise MemoryError("no room")
            assert failed.wait(20)
            counted = count(part, *args)
            ended += 1
            return counted

        async def noting(*args: Any) -> Any:
            try:
                return await in_thread(*args)
            except MemoryError:
                failed.set()
                raise

        monkeypatch.setattr(threads, "count_and_rank", called)
        monkeypatch.setattr(threads, "in_thread", noting)
        with pytest.raises(MemoryError, match="no room"):
            await shop.worker.once(*shop.deltas())
        assert ended == PARTITIONS - 1

    run(body())
