"""A cycle stores a share of the tasks' state that depends on what was counted, and on the cycle's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.tasks import storing
from streams.tasks.measured import Measured
from streams.tasks.storing import Storing
from streams.tasks.task import Counters

REPLAY_S = 4.0
NOW = 1_000.0


class _Saver:
    """A saver that notes the shares it should write; each share ends a sweep.

    With `size`, a sweep has so many records, and what a step was not allowed to write is left.
    """

    def __init__(self, size: int = 1) -> None:
        self.stored, self.sweeping = 0, False
        self.shares: list[float] = []
        self.written: list[int] = []
        self._size = size

    def step(self, share: float, most: int) -> float:
        self.shares.append(share)
        self.written.append(min(most, round(share * self._size)))
        return share - self.written[-1] / self._size if self.written[-1] == most else 0.0

    def check(self) -> None:
        pass


class _Computing:
    """A stand-in for `Computing` that calls at once, and says how long counting took."""

    counted_s, threads = 0.0, 1

    async def side_by_side(self, functions: Sequence[Callable[[], None]]) -> None:
        for function in functions:
            function()

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


class _Setup:
    def __init__(self, tasks: int = 1) -> None:
        self.computing = _Computing()
        context = SimpleNamespace(measured=Measured())
        self.tasks = [
            SimpleNamespace(
                position=0, may_be_stored=True, saver=_Saver(), context=context, counters=Counters(),
                saved_ms=None,
            )
            for _ in range(tasks)
        ]  # fmt: skip
        of = {TP("purchases", i): task for i, task in enumerate(self.tasks)}
        self.storing = Storing(of, self.computing)  # type: ignore[arg-type]

    def cycle(self, now: float, counted_s: float = 0.0) -> list[int]:
        """Run a cycle in which something was counted; return how often each task has been stored so far."""
        self.computing.counted_s += counted_s
        for task in self.tasks:
            task.position += 1
        asyncio.run(self.storing.save(REPLAY_S, now))
        return [len(task.saver.shares) for task in self.tasks]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time of the monotonic clock, which a test can set."""
    moment = [NOW]
    monkeypatch.setattr("streams.tasks.storing.time.monotonic", lambda: moment[0])
    return moment


def test_shares_follow_from_the_counted_events(clock: list[float]) -> None:
    setup = _Setup()
    (task,) = setup.tasks
    task.saver.sweeping = True
    for i, counted_s in enumerate((0.0, 0.2, 0.4, 8.0)):
        clock[0] = NOW + i
        assert setup.cycle(clock[0], counted_s) == [i + 1]
    assert task.saver.shares == pytest.approx([0.02, 0.1, 0.2, 1.0])


def test_the_next_sweep_waits_for_a_while(clock: list[float]) -> None:
    setup = _Setup()
    pause_s = storing.SWEEP_PAUSE * storing.SAVE_EVERY_S
    assert setup.cycle(NOW) == [1]
    assert setup.cycle(NOW + pause_s / 2, 1.0) == [1]
    assert setup.cycle(NOW + pause_s) == [2]
    assert setup.tasks[0].saver.shares[-1] == pytest.approx(0.5)  # this is for what was counted meanwhile


def test_storing_takes_a_share_of_the_time_that_the_cycle_took(clock: list[float]) -> None:
    for took_s, stored in ((0.0, 1), (1.0, 3)):
        setup = _Setup(tasks=8)

        def step(share: float, saver: Any) -> float:
            clock[0] += 0.12
            saver.shares.append(share)
            return 0.0

        for task in setup.tasks:
            task.saver.sweeping = True
            task.saver.step = lambda share, _most, saver=task.saver: step(share, saver)
        begin = clock[0]
        clock[0] += took_s
        assert sum(setup.cycle(begin)) == stored


def test_records_on_their_way_to_kafka_are_not_stored(clock: list[float]) -> None:
    setup = _Setup(tasks=2)
    setup.tasks[0].may_be_stored = False
    assert setup.cycle(clock[0]) == [0, 1]


def test_a_large_share_is_written_in_slices_over_several_cycles(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, size, at_once = _Setup(tasks=2), 1_000, 100
    monkeypatch.setattr(storing, "SLICE_RECORDS", at_once)
    first, second = setup.tasks
    for task in setup.tasks:
        task.saver = _Saver(size)
        task.saver.sweeping = True
    write = first.saver.step

    def step(share: float, most: int) -> float:
        clock[0] += storing.SAVES_AT_ONCE_S
        left: float = write(share, most)
        return left

    first.saver.step = step
    setup.cycle(clock[0], 0.0)  # both begin
    second.may_be_stored = False
    now = clock[0] + storing.SAVE_EVERY_S
    setup.cycle(now, REPLAY_S / 4)  # half of a sweep is due, and there is time for two slices
    seen = len(first.saver.written)
    while first.saver.written[-1] == at_once:
        setup.cycle(clock[0])  # the turn goes on, though no other is due yet
        assert len(first.saver.written) <= seen + 2
        seen = len(first.saver.written)
    assert sum(first.saver.written[1:]) == size // 2
    assert clock[0] < now + storing.SAVE_EVERY_S


def test_what_a_task_still_has_to_write_is_forgotten_with_it(clock: list[float]) -> None:
    setup = _Setup()
    (task,) = setup.tasks
    task.saver = _Saver(1_000_000)
    task.saver.sweeping = True
    setup.cycle(clock[0])
    clock[0] += 10.0  # this is how long the cycle takes until then, but there is no end of slices
    write = task.saver.step

    def step(share: float, most: int) -> float:
        clock[0] += 10.0
        left: float = write(share, most)
        return left

    task.saver.step = step
    setup.cycle(NOW + 1.0, REPLAY_S)
    assert setup.storing._owed
    setup.storing._tasks = {}
    setup.storing.forget_closed()
    assert not setup.storing._owed


def test_what_is_begun_is_written_before_a_turn_of_others_begins(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, size, at_once = _Setup(tasks=2), 1_000, 100
    monkeypatch.setattr(storing, "SLICE_RECORDS", at_once)
    order: list[int] = []
    for number, task in enumerate(setup.tasks):
        task.saver = _Saver(size)
        task.saver.sweeping = True
        write = task.saver.step

        def step(share: float, most: int, number: int = number, write: Any = write) -> float:
            clock[0] += 2 * storing.SAVES_AT_ONCE_S  # a cycle has time for one slice
            order.append(number)
            left: float = write(share, most)
            return left

        task.saver.step = step
    setup.cycle(clock[0])
    setup.cycle(clock[0])  # both have begun, with a share of a slice
    clock[0] += storing.SAVE_EVERY_S
    order.clear()
    setup.cycle(clock[0], REPLAY_S / 8)  # a quarter of a sweep is due of each
    for _ in range(5):
        setup.cycle(clock[0])
    assert order == [0, 0, 0, 1, 1, 1]


def test_slices_of_several_tasks_are_stored_side_by_side(clock: list[float]) -> None:
    setup = _Setup(tasks=5)
    setup.computing.threads = 2
    rounds: list[int] = []
    alone = setup.computing.side_by_side

    async def noted(functions: Sequence[Callable[[], None]]) -> None:
        rounds.append(len(functions))
        await alone(functions)

    setup.computing.side_by_side = noted  # type: ignore[method-assign]
    setup.tasks[0].saver = _Saver(size=3 * storing.SLICE_RECORDS)  # it takes several slices
    setup.computing.counted_s = REPLAY_S
    assert setup.cycle(NOW) == setup.cycle(NOW)
    assert rounds[0] == 2
    assert sum(rounds) == sum(len(task.saver.shares) for task in setup.tasks)
    assert all(task.counters.saves == 1 for task in setup.tasks[1:])
    assert not setup.storing._owed
