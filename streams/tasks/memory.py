"""Divide a worker's memory among its tasks, by what each has to keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streams.tasks.task import Task

EQUAL_PART = 0.25
"""Of the memory of a class of tasks, that they share alike; the rest goes by what each holds."""


def divide_memory(tasks: Iterable[Task], groups: Iterable[tuple[type[Task], ...]]) -> None:
    """Divide the memory of each group of task classes; a kind of events with little to keep gets little."""
    tasks = list(tasks)
    for classes in groups:
        _divide([task for task in tasks if isinstance(task, classes)])


def _divide(tasks: Sequence[Task]) -> None:
    held = [task.holds() for task in tasks]
    for task, holds in zip(tasks, held, strict=True):
        by_holding = holds / sum(held) if any(held) else 1 / len(tasks)
        task.limit_memory(EQUAL_PART / len(tasks) + (1 - EQUAL_PART) * by_holding)
