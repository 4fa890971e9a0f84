"""CPU, memory and bytes to disk of the processes of a running stack, by role."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass

import psutil

LOOK_S = 0.2
MIB = 1 << 20
ROLES = {
    "broker": ("kafka.Kafka",),
    "recommender": ("recommender", "streams.recommending.app"),
    "worker": ("worker", "streams.app"),
    "api": ("serve",),
    "publisher": ("publish",),
}
"""Words of which the command line of a process of each role has one, and of no role before it."""


def role_of(command: list[str]) -> str | None:
    """Return the role of a process by its command line; None for one that is not part of a stack.

    >>> role_of(["java", "-cp", "a.jar:b.jar", "kafka.Kafka", "server.properties"])
    'broker'
    >>> role_of(["python", "-I", "-S", "/some/guard.py", "17", "python", "-m", "faust", "-A", "streams.app"])
    """
    if any(word.endswith("guard.py") for word in command):
        return None  # it waits for the process that it names
    found = (role for role, marks in ROLES.items() if any(word in marks for word in command))
    return next(found, None)


@dataclass
class Usage:
    """What the processes of a role used: CPU and bytes since they were started, and the most memory."""

    cpu_s: float = 0.0
    written_bytes: int = 0
    peak_mib: float = 0.0  # of the largest process


class Processes:
    """Looks at all descendants of this process several times a second while the block runs."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], tuple[str, float, int]] = {}  # by process: role, CPU s, bytes
        self._peaks: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="processes", daemon=True)

    def __enter__(self) -> Processes:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def usage(self) -> dict[str, Usage]:
        """Return what each role has used so far, including processes that have ended."""
        self._look()
        with self._lock:
            usages: dict[str, Usage] = {role: Usage() for role in ROLES}
            for role, cpu_s, written in self._seen.values():
                usages[role].cpu_s += cpu_s
                usages[role].written_bytes += written
            for role, peak in self._peaks.items():
                usages[role].peak_mib = peak
            return usages

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                with process.oneshot():
                    role = role_of(process.cmdline())
                    if role is None:
                        continue
                    cpu_s, memory = sum(process.cpu_times()[:2]), process.memory_info().rss / MIB
                    written = process.io_counters().write_bytes
                    key = process.pid, process.create_time()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # the process has just ended
            with self._lock:
                self._seen[key] = role, cpu_s, written
                self._peaks[role] = max(self._peaks[role], memory)
