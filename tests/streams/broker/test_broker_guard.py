"""Tests of the guard with a cheap command; test_embedded_kafka.py tests it with a JVM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from streams.broker import guard

COMMAND = [sys.executable, "-I", "-S", guard.__file__]
SLEEP = ["sleep", "600"]

# Starts a guard; prints the pids of the guarded process and of a forked copy that holds the pipe open.
FORKING_PARENT = f"""
import os, subprocess, time
guard = subprocess.Popen({COMMAND!r} + [str(os.getpid())] + {SLEEP!r}, stdin=-1, stdout=-1)
guarded = int(guard.stdout.readline())
copy = os.fork()
if copy:
    print(guarded, copy, flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def guarding(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, str(os.getpid()), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_it_ends_the_guarded_process_when_the_pipe_closes() -> None:
    with guarding(*SLEEP) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        guarded = int(process.stdout.readline())
        assert not is_gone(guarded)
        process.stdin.close()
        assert process.wait(10) == 128 + signal.SIGTERM
        assert is_gone(guarded)


def test_it_passes_a_termination_on() -> None:
    with guarding(*SLEEP) as process:
        assert process.stdout is not None
        guarded = int(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM
        assert is_gone(guarded)


def test_it_ends_with_the_status_of_the_guarded_process() -> None:
    with guarding("sh", "-c", "exit 3") as process:
        assert process.wait(10) == 3


def test_a_copy_of_the_parent_that_holds_the_pipe_does_not_keep_the_broker() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKING_PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        guarded, copy = map(int, parent.stdout.readline().split())
        try:
            parent.kill()
            until(lambda: is_gone(guarded), "the guarded process ends")
            assert not is_gone(copy), "else this shows nothing about the copy"
        finally:
            os.kill(copy, signal.SIGKILL)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_process_that_ignores_the_termination_is_killed(stubborn: bool) -> None:
    trap = "trap '' TERM; " if stubborn else ""
    script = f"{trap}echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        guard.end(process, grace_s=0.3 if stubborn else 10)
        assert process.returncode == -(signal.SIGKILL if stubborn else signal.SIGTERM)
