"""A worker or a recommender as a child process: with a log, stopped gently, and never left behind.

The broker's guard (streams/broker/guard.py) runs it: however this program ends, the guard ends the worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from streams.broker import guard
from streams.connections.bootstrap import Bootstrap, environment_for
from streams.process.heap import with_huge_pages
from streams.settings import Settings

SAVE_S = 60.0
"""How long a worker may take to save its state before it is killed; the next start then replays more."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
GOOD_RUN_S = 60.0

LARGEST_LOG = 10 << 20
"""Bytes of a log that the next start continues; a larger one is kept beside the new one, until the next."""


APPS = {"worker": "streams.app", "recommender": "streams.recommending.app"}


def worker_command(settings: Settings, role: str = "worker") -> list[str]:
    """Return the command that runs a worker, or a recommender, in a process of its own."""
    faust = [sys.executable, "-P", "-m", "streams.process.starting", "-A", APPS[role]]
    if settings.log_format == "json":
        faust.append("--quiet")  # without the table that Faust prints first
    return [*faust, "worker", "--without-web", "--loglevel", settings.log_level.removesuffix("ing")]


class WorkerProcess:
    """A worker or recommender of a local stack; call `restart_if_dead` now and then."""

    def __init__(
        self, role: str, number: int, settings: Settings, bootstrap: Bootstrap, data_dir: Path, logs: Path
    ) -> None:
        self.role = role
        self.name = f"{role}-{number}"
        self.log = logs / f"{self.name}.log"
        self._data_dir = data_dir
        self._command = worker_command(settings, role)
        self._environment = {
            **with_huge_pages(environment_for(bootstrap, settings)),
            "ALSOBOUGHT_DATA_DIR": str(data_dir),
            "ALSOBOUGHT_INSTANCE": self.name,
            "PYTHONUNBUFFERED": "1",
        }
        self._guard: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None
        self._started_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._due_at: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.old"))
        command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *self._command]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                command,
                cwd=self._data_dir,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._started_at = time.monotonic()
        self._due_at = None
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        try:
            self._process = psutil.Process(int(line))
        except (ValueError, psutil.NoSuchProcess):
            self._process = None  # ended at once: seen at the next look

    def restart_if_dead(self) -> str | None:
        """Start it again if it has ended and the pause is over; return the message for the user."""
        if self._guard is None:
            return None
        if self._due_at is None:
            if (status := self._guard.poll()) is None:
                return None
            self._end()
            if time.monotonic() - self._started_at > GOOD_RUN_S:
                self._pause_s = FIRST_PAUSE_S
            self._due_at = time.monotonic() + self._pause_s
            news = f"{self.name} ended ({status}); restarting it in {self._pause_s:g} s; its log: {self.log}"
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            return news
        if time.monotonic() < self._due_at:
            return None
        self.start()
        return f"{self.name} was restarted (pid {self.pid})"

    def ask_to_stop(self) -> None:
        """Ask it to save and end."""
        if self._process is not None and self._process.is_running():
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended; kill it when it takes too long."""
        if self._guard is not None:
            try:
                self._guard.wait(SAVE_S)
            except subprocess.TimeoutExpired:
                if self._process is not None and self._process.is_running():
                    self._process.kill()
            self._end()
        self._guard = None

    def _end(self) -> None:
        """Make sure that neither guard nor worker is left."""
        if self._guard is not None:
            for pipe in (self._guard.stdin, self._guard.stdout):
                if pipe is not None:
                    pipe.close()
            self._guard.wait()
        if self._process is not None and self._process.is_running():  # somebody killed the guard itself
            self._process.terminate()
            _, stubborn = psutil.wait_procs([self._process], timeout=guard.GRACE_S)
            for process in stubborn:
                process.kill()
        self._process = None
