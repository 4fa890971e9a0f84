"""Threads beside the first change nothing but the time that computing takes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT
from streams.tasks import computing, passes, popularity_publisher
from streams.tasks.computing import Computing
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.side_by_side import Job, SideBySide, usual_threads
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import purchases
from tests.streams.offline import PARTITIONS, Offline, records_of, run

WAIT_S = 20.0


def test_jobs_of_a_partition_keep_their_order_in_one_thread() -> None:
    side_by_side = SideBySide(3)
    done: dict[int, list[int]] = {partition: [] for partition in range(5)}
    threads: dict[int, set[int]] = {partition: set() for partition in range(5)}

    def job(partition: int, n: int) -> Job:
        def do() -> None:
            done[partition].append(n)
            threads[partition].add(threading.get_ident())

        return Job(partition, 10, do)

    side_by_side.do([job(n % 5, n) for n in range(100)], least=1)
    assert done == {partition: list(range(partition, 100, 5)) for partition in range(5)}
    assert all(len(of) == 1 for of in threads.values())
    assert threading.get_ident() in set.union(*threads.values())
    side_by_side.close()


def test_partitions_are_worked_on_at_the_same_time() -> None:
    side_by_side, together = SideBySide(3), threading.Barrier(3)

    def meet() -> None:
        together.wait(WAIT_S)

    side_by_side.do([Job(partition, 1, meet) for partition in range(3)], least=1)
    side_by_side.close()


def test_the_caller_does_alone_what_is_little() -> None:
    side_by_side, threads = SideBySide(2), set[int]()

    def do() -> None:
        threads.add(threading.get_ident())

    side_by_side.do([Job(0, 99, do), Job(1, 9, do)], least=10)
    assert threads == {threading.get_ident()}
    assert side_by_side.do([], least=1) == 0.0
    SideBySide(1).do([Job(0, 99, do), Job(1, 99, do)], least=1)
    assert threads == {threading.get_ident()}
    side_by_side.close()


def test_the_cpu_time_of_all_threads_is_returned() -> None:
    side_by_side = SideBySide(2)

    def compute() -> None:
        begin = time.thread_time()
        while time.thread_time() - begin < 0.05:
            pass

    assert 0.1 <= side_by_side.do([Job(0, 1, compute), Job(1, 1, compute)], least=1) < 1.0
    side_by_side.close()


def test_an_error_is_raised_once_all_threads_have_ended() -> None:
    side_by_side, done = SideBySide(2), list[str]()

    def fail() -> None:
        raise OSError("a disk")

    def slow() -> None:
        time.sleep(0.05)
        done.append("slow")

    for failing in (0, 1):
        with pytest.raises(OSError, match="a disk"):
            side_by_side.do([Job(failing, 1, fail), Job(1 - failing, 1, slow)], least=1)
    assert done == ["slow"] * 2
    side_by_side.close()


def test_a_worker_uses_some_of_its_cores() -> None:
    assert 1 <= usual_threads() <= 4


async def _published(root: Path, threads: int) -> dict[TP, list[tuple[bytes | None, bytes | None]]]:
    """Count seeded purchases of all partitions; return what a worker with so many threads has published."""
    worker = Offline(root, threads=threads, settings={"watched_bought_days": 0})
    events = [CustomerTask(TP(PURCHASES.name, p), worker.context, BOUGHT) for p in range(PARTITIONS)]
    items = [ItemTask(TP(PAIR_DELTAS.name, p), worker.context, BOUGHT) for p in range(PARTITIONS)]
    for task in (*events, *items):
        await worker.open(task)
    for n in range(6):
        chunks: list[Any] = []
        for task in events:
            some = purchases(10 * n + task.tp.partition, customers=40, items=90, events=250, returns=0.05)
            start = task.position
            chunks.append(Chunk(task.tp, start, start + len(some), records_of(some, start)))
        await worker.once(*chunks, *(worker.deltas(task.tp, task.position) for task in items if n))
    for _ in range(8):
        await worker.once(*(worker.deltas(task.tp, task.position) for task in items))
    published = {
        tp: [(r.key, r.value) for r in log]
        for tp, log in worker.broker.logs.items()
        if tp.topic in (PAIR_DELTAS.name, BOUGHT.lists.name)
    }
    await worker.close()
    return published


def test_what_is_published_is_the_same_number_for_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "LEAST_BYTES", 1)
    monkeypatch.setattr(computing, "LEAST_ROWS", 1)
    for module, pause in ((passes, "SWEEP_STEP_S"), (popularity_publisher, "LEAST_PAUSE_S")):
        monkeypatch.setattr(module, pause, 3_600.0)  # nothing shall depend on how fast this test is

    async def body() -> None:
        alone = await _published(tmp_path / "1", 1)
        assert sum(map(len, alone.values())) > 500
        for threads in (2, 3):
            beside = await _published(tmp_path / str(threads), threads)
            assert beside.keys() == alone.keys()
            for tp, records in alone.items():
                assert beside[tp] == records, tp

    run(body())


def test_each_thread_ranks_one_slice_of_passes_in_a_cycle() -> None:
    """The kinds of a partition take turns: one thread would do both."""
    ranked: list[tuple[int, str]] = []

    def listed(partition: int, kind: str) -> Any:
        refresher = SimpleNamespace(
            behind=False, waiting=lambda most: (list(range(most)), False), passed=lambda: None,
            rank=lambda _rows, exact: ranked.append((partition, kind)),
        )  # fmt: skip
        return SimpleNamespace(task=SimpleNamespace(refresher=refresher, tp=TP(kind, partition)))

    both = Computing({}, 2)
    for most, done in ((100, [(0, "a"), (1, "a")]), (computing.PRESSED_ROWS, [(0, "a")])):
        ranked.clear()
        both._rank_waiting([listed(0, "a"), listed(0, "b"), listed(1, "a"), listed(1, "b")], most, 0.0)
        assert sorted(ranked) == done
    both.close()
