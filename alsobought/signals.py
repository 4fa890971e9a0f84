"""Ctrl-C and SIGTERM end a command alike."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at Ctrl-C or SIGTERM, also where a shell had them ignored."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what is being stopped is stopped once
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def until_signalled() -> Iterator[None]:
    """End the block quietly at Ctrl-C or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt), interruptible():
        yield
