"""Ctrl-C and SIGTERM end a command alike."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

AGAIN_S = 0.01


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at Ctrl-C or SIGTERM, also where a shell had them ignored.

    Python drops an exception that is raised in a callback of the garbage collector (there is one in every
    import). An interrupt that came in such a moment is raised again a moment later.
    """

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what is being stopped is stopped once
        raise KeyboardInterrupt

    def dropped(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook_before(unraisable)

    hook_before, sys.unraisablehook = sys.unraisablehook, dropped
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.signal(number, interrupt) for number in numbers}
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
