"""The background sweep ranks every row once within its bound, and none while nothing is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streams.tasks.passes import PASS_AGE, SOON_S, SWEEP_STEP_S, Sweep, WaitingCounts, is_due

TAKES_S = 20.0


class _Clock:
    def __init__(self, machine: Any) -> None:
        self.sweep, self.machine, self.now = Sweep(TAKES_S), machine, 1_000.0

    def pass_by(self, seconds: float) -> list[int]:
        """Return the rows that are due meanwhile, in their order."""
        due: list[int] = []
        for _ in range(round(seconds / 0.5)):
            self.now += 0.5
            due += self.sweep.rows(self.machine, self.now).tolist()
        return due


@pytest.mark.parametrize("rows", [1, 7, 1_000])
def test_every_row_is_ranked_once_within_the_bound(rows: int) -> None:
    clock = _Clock(SimpleNamespace(position=5, row_count=rows))
    assert clock.pass_by(TAKES_S + 2 * SWEEP_STEP_S + max(0, 7 - rows)) == list(range(rows))
    assert clock.pass_by(3 * TAKES_S) == []  # nothing was counted since then
    clock.machine.position += 1
    assert clock.pass_by(TAKES_S + 2 * SWEEP_STEP_S) == list(range(rows))


def test_rows_are_spread_over_the_time() -> None:
    clock = _Clock(SimpleNamespace(position=5, row_count=1_000))
    clock.pass_by(SWEEP_STEP_S)  # the sweep begins
    assert [len(clock.pass_by(2 * SWEEP_STEP_S)) for _ in range(4)] == pytest.approx([100] * 4, abs=2)


def test_counts_during_a_sweep_are_for_the_next_one() -> None:
    clock = _Clock(SimpleNamespace(position=5, row_count=100))
    first = clock.pass_by(TAKES_S / 2)
    clock.machine.position, clock.machine.row_count = 9, 120
    rest = clock.pass_by(TAKES_S)
    assert (first + rest)[:120] == list(range(120))
    assert set(rest[120 - len(first) :]) <= set(np.arange(120).tolist())
    assert rest[120 - len(first) :][:1] == [0]  # the next one begins at once


def test_an_empty_machine_has_nothing_to_sweep() -> None:
    assert _Clock(SimpleNamespace(position=5, row_count=0)).pass_by(TAKES_S) == []


def test_counts_together_are_as_old_as_the_older_ones() -> None:
    some, later, none = WaitingCounts(3.0, [(1.0, 2)]), WaitingCounts(5.0, [(2.0, 4)]), WaitingCounts()
    assert some.with_later(later) == WaitingCounts(3.0, [(1.0, 2), (2.0, 4)])
    assert (none.with_later(later), some.with_later(none), none.with_later(none)) == (later, some, none)


@pytest.mark.parametrize(
    ("waited_s", "counted_s", "left_s", "due"),
    [
        (PASS_AGE * 15 - 0.1, 11, np.inf, False),
        (PASS_AGE * 15, 11, np.inf, True),
        (39.9, 60, np.inf, False),  # it had been counted for 20.1 s
        (40, 60, np.inf, True),
        (40, 60, 31, True),
        (40, 60, 29, False),
        (11, 11, 23, True),  # the next pass but one would begin before its end
        (11, 11, 21, False),
        (PASS_AGE * 15 + SOON_S, 41, 1, True),  # the end does not come
        (PASS_AGE * 15 + SOON_S - 0.1, 41, 1, False),
    ],
)
def test_passes_in_a_backlog(waited_s: float, counted_s: float, left_s: float, due: bool) -> None:
    assert is_due(waited_s, counted_s, left_s, catch_up_s=15) == due
