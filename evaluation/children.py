"""The processes of an evaluation: one for each algorithm, so many at the same time, and one bar for all."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluation.errors import EvaluationError

PARTS = 100  # of a bar


class Tell(Protocol):
    """Shows how many are done, and what is being worked on."""

    def __call__(self, count: int, doing: str = "") -> None:
        """Show it."""


class Bar(Protocol):
    """Opens a bar: a text and a total; gives what tells how many are done. As `alsobought.bars.told`."""

    def __call__(self, what: str, total: int, /) -> AbstractContextManager[Tell]:
        """Open it."""


@dataclass(frozen=True)
class Task:
    """What a process does (`evaluation.child`), and for which algorithm."""

    task: str
    algorithm: str

    @property
    def name(self) -> str:
        """As it is told."""
        return self.algorithm if self.task == "answer" else self.task


class _Children:
    """Processes that run, and how far they are."""

    def __init__(self, tasks: Sequence[Task], folder: Path, tell: Tell) -> None:
        self._folder, self._tell = folder, tell
        self._shares = dict.fromkeys(tasks, 0.0)
        self._running: dict[Task, subprocess.Popen[str]] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, task: Task) -> None:
        """Run one to its end."""
        errors = self._folder / f"{task.name}.errors"
        command = [sys.executable, "-m", "evaluation.child", task.task, str(self._folder), task.algorithm]
        with errors.open("w") as log:
            with self._lock:
                if self._stopped:
                    return
                child = self._running[task] = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True
                )
            with child:
                assert child.stdout is not None
                for line in child.stdout:
                    self._show(task, float(line))
        with self._lock:
            del self._running[task]
            if child.returncode == 0 or self._stopped:
                return
        last = errors.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
        reason = "it was killed; perhaps memory ran out" if child.returncode < 0 else last[0]
        raise EvaluationError(f"{task.name} failed: {reason}. Leave it out with --algorithms, or correct it.")

    def _show(self, task: Task, share: float) -> None:
        with self._lock:
            self._shares[task] = share
            done = sum(self._shares.values()) / len(self._shares)
            doing = ", ".join(f"{name.name} {PARTS * self._shares[name]:.0f}" for name in self._running)
            self._tell(round(PARTS * done), f"({doing})")

    def stop(self) -> None:
        """Kill those that run, and begin no other."""
        with self._lock:
            self._stopped = True
            for child in self._running.values():
                child.kill()


def run(tasks: Sequence[Task], folder: Path, jobs: int, bar: Bar) -> None:
    """Run processes to their end, so many at the same time, and show how far they are.

    Those that come last in the list, which take longest, begin.

    Raises
    ------
    EvaluationError
        One failed; the others are killed.
    """
    with bar("percent:", PARTS) as tell, ThreadPoolExecutor(jobs) as threads:
        children = _Children(tasks, folder, tell)
        try:
            for ended in as_completed([threads.submit(children.run, task) for task in reversed(tasks)]):
                ended.result()
        finally:
            children.stop()
