"""The processes of an evaluation: one for each algorithm, several at the same time, and one bar for all."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PARTS = 100  # of a bar


class ShowProgress(Protocol):
    """A function that shows how many are done, and what is being worked on."""

    def __call__(self, count: int, doing: str = "") -> None:
        """Show the progress."""


class Bar(Protocol):
    """Opens a bar; yields a function that shows the progress, as `alsobought.bars.progress_bar` does."""

    def __call__(self, what: str, total: int, /) -> AbstractContextManager[ShowProgress]:
        """Open the bar."""


@dataclass(frozen=True)
class ChildTask:
    """The task of a process (`evaluation.child`), and its algorithm."""

    task: str
    algorithm: str

    @property
    def name(self) -> str:
        """Its name on the bar and in messages."""
        return self.algorithm if self.task == "answer" else self.task

    @property
    def remedy(self) -> str:
        """What the user can do when it fails."""
        where = "it out with --algorithms" if self.task == "answer" else "--prequential out"
        return f"Leave {where}, or correct it."


class _Children:
    """The running processes, and how far they are."""

    def __init__(self, tasks: Sequence[ChildTask], folder: Path, show_progress: ShowProgress) -> None:
        self._folder, self._show_progress = folder, show_progress
        self._shares = dict.fromkeys(tasks, 0.0)
        self._running: dict[ChildTask, subprocess.Popen[str]] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, task: ChildTask) -> str | None:
        """Run one process to its end; return why it failed, None if it did not."""
        errors = self._folder / f"{task.name}.errors"
        child_of = [sys.executable, "-P", "-m", "evaluation.child"]
        command = [*child_of, task.task, str(self._folder), task.algorithm]
        with errors.open("w") as log:
            with self._lock:
                if self._stopped:
                    return None
                child = self._running[task] = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True
                )
            with child:
                assert child.stdout is not None
                try:
                    for line in child.stdout:
                        with contextlib.suppress(ValueError):  # what a library says
                            self._show(task, float(line))
                except BaseException:
                    child.kill()
                    raise
        with self._lock:
            del self._running[task]
            if child.returncode == 0 or self._stopped:
                return None
        last = errors.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
        return f"{task.name} failed: {_reason(child.returncode, last[0])}. {task.remedy}"

    def _show(self, task: ChildTask, share: float) -> None:
        with self._lock:
            self._shares[task] = share
            done = sum(self._shares.values()) / len(self._shares)
            doing = ", ".join(f"{name.name} {PARTS * self._shares[name]:.0f}" for name in self._running)
            self._show_progress(round(PARTS * done), f"({doing})")

    def stop(self) -> None:
        """Kill the running processes, and start no other."""
        with self._lock:
            self._stopped = True
            for child in self._running.values():
                child.kill()


def _reason(status: int, last: str) -> str:
    if status >= 0:
        return last
    if -status == signal.SIGKILL:
        return "it was killed; if memory ran out, --jobs 1 takes less"
    return f"it ended with {signal.Signals(-status).name} ({last})"


def run(tasks: Sequence[ChildTask], folder: Path, jobs: int, bar: Bar) -> dict[ChildTask, str]:
    """Run processes to their end, `jobs` at the same time, and show how far they are.

    The last of the list begins.

    Returns
    -------
    dict
        Why those failed that did; the others were not affected.
    """
    with bar("percent:", PARTS) as show_progress, ThreadPoolExecutor(jobs) as threads:
        children = _Children(tasks, folder, show_progress)
        try:
            running = {task: threads.submit(children.run, task) for task in reversed(tasks)}
            ended = {task: running[task].result() for task in tasks}
        finally:
            children.stop()
    return {task: reason for task, reason in ended.items() if reason is not None}
