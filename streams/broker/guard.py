"""Keeps a broker from outliving the program that started it, however that program ends.

    program ──stdin pipe──► guard ──child──► JVM

The kernel closes the program's end of the pipe at its death, SIGKILL included; the guard then ends the
JVM. It runs in a session of its own, so that neither Ctrl-C nor the end of a terminal reaches the JVM
before the program has stopped using it. The parent's pid is watched as well, because a forked copy of the
program would hold the pipe open. (Linux's PR_SET_PDEATHSIG is no substitute: it fires when the thread that
forked ends.)

It is run by file name with `python -I -S` and imports only the standard library: it starts in milliseconds.

    guard.py PARENT_PID COMMAND...      writes the JVM's pid as a line, ends with its exit status
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

GRACE_S = 30.0
"""How long a broker may take after SIGTERM to close its files and write an archive, before it is killed."""


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End a process: SIGTERM, then SIGKILL after `grace_s`; return when it is gone."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_reason_to_end(process: subprocess.Popen[bytes], parent_pid: int, wake: int) -> None:
    """Return when the process has ended, or the parent has closed the pipe or is gone."""
    while process.poll() is None and os.getppid() == parent_pid:
        ready, _, _ = select.select([0, wake], [], [], 1.0)
        if 0 in ready and not os.read(0, 4096):
            return
        if wake in ready and signal.SIGTERM in os.read(wake, 4096):
            return


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the parent does; return an exit status as a shell would."""
    parent_pid, command = int(arguments[0]), arguments[1:]
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # The data directory's lock is inherited (close_fds=False): it is free when the JVM itself is gone.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, close_fds=False)
    try:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone already: seen just below
            os.write(1, b"%d\n" % process.pid)
        os.close(1)
        _await_reason_to_end(process, parent_pid, wake)
    finally:
        if process.poll() is None:
            end(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
