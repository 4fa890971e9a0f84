"""A worker's memory goes to the tasks that have something to keep."""

from __future__ import annotations

import pytest

from streams.tasks.memory import EQUAL_PART, divide_memory


class _Machine:
    """A stand-in for a task that says what it holds and gets its budget."""

    def __init__(self, holds: int) -> None:
        self.held, self.part = holds, 0.0

    def holds(self) -> int:
        return self.held

    def limit_memory(self, part: float) -> None:
        self.part = part


def test_memory_goes_to_kinds_that_hold_something() -> None:
    machines = [_Machine(holds) for holds in (600, 200, 0, 0)]
    divide_memory(machines, [(_Machine,)])  # type: ignore[arg-type, list-item]
    assert [m.part for m in machines] == pytest.approx([
        EQUAL_PART / 4 + (1 - EQUAL_PART) * share for share in (0.75, 0.25, 0, 0)
    ])  # fmt: skip
    for machine in machines:
        machine.held = 0
    divide_memory(machines, [(_Machine,)])  # type: ignore[arg-type, list-item]
    assert [m.part for m in machines] == [0.25] * 4
