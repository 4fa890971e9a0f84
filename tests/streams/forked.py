"""Worker processes that start at once, forked from a process that has imported everything, kernels included.

A worker takes some seconds of CPU to start, nearly all of it imports and kernels from numba's cache, and the
tests start more than a hundred.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from faust.cli.faust import cli as faust_command

PR_SET_PDEATHSIG = 1
PRELOADED = "tests.streams.preloaded"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([PRELOADED])


class Forked:
    """`faust ARGUMENTS` in a process of its own, with the methods of `subprocess.Popen`.

    Parameters
    ----------
    arguments
        The command line.
    environment
        The whole environment.
    log : Path
        Standard output and standard error are appended to this file.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._arguments = ["faust", *arguments]
        log.touch()
        self._process = _context.Process(
            target=_run, args=(self._arguments, dict(environment), str(log)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._looking = threading.Lock()

    @property
    def returncode(self) -> int | None:
        """The exit code: -N if signal N ended the process, None while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        with self._looking:  # the code can be read once only
            return self._process.exitcode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until the process ends; return the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        multiprocessing.connection.wait([self._process.sentinel], timeout_s)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout_s or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # the process may end between the two
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    if sys.platform == "linux":  # when the tests are killed, the forking process ends, and this one with it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    assert PRELOADED in sys.modules, f"{PRELOADED} was not imported: python -c 'import {PRELOADED}' says why"
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(arguments)
    faust_command()
