"""Make Ctrl-C and SIGTERM end a command alike."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

Result = TypeVar("Result")

AGAIN_S = 0.01
NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at Ctrl-C or SIGTERM, even if a shell made them ignored.

    Python drops an exception that is raised in a callback of the garbage collector (every import has one). An
    interrupt that came in such a moment is raised again a moment later.
    """

    def interrupt(*_: object) -> None:
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the stopping
        raise KeyboardInterrupt

    def dropped(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook_before(unraisable)

    hook_before, sys.unraisablehook = sys.unraisablehook, dropped
    before = {number: signal.signal(number, interrupt) for number in (*NUMBERS, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook_before
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def until_signalled() -> Iterator[None]:
    """End the block quietly at Ctrl-C or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt), interruptible():
        yield


def run_until_signalled(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a loop of its own; Ctrl-C and SIGTERM cancel it, and then raise KeyboardInterrupt.

    An exception raised by a signal handler would end whichever task is running, and leave the others to
    complain of it. In a thread other than the main one, signals are handled elsewhere.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(main)
    signalled = False

    async def cancelled_by_signals() -> Result:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            nonlocal signalled
            if not signalled:  # what is being stopped is stopped once
                signalled = True
                task.cancel()

        for number in NUMBERS:
            loop.add_signal_handler(number, cancel)
        return await main

    before = {number: signal.getsignal(number) for number in NUMBERS}
    try:
        return asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        if signalled:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
