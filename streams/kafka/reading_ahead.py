"""Iterate over a blocking iterable from asyncio: a thread reads a little ahead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

T = TypeVar("T")

AHEAD = 2


async def ahead(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items, which a thread of its own takes from the iterable, at most `AHEAD` in advance.

    A source that blocks, such as a silent pipe, thus leaves the event loop running. The thread is a daemon,
    so that an interrupted program need not wait for the pipe. A generator is closed where the iteration ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _End] = asyncio.Queue()
    free = threading.Semaphore(AHEAD)
    unwanted = threading.Event()

    def hand_over(item: T | _End) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody waits any more
            unwanted.set()

    def read() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                free.acquire()
                if unwanted.is_set():
                    break
                hand_over(item)
        except BaseException as raised:  # for the awaiting side, whatever it is
            error = raised
        finally:
            if close := getattr(items, "close", None):
                close()
            hand_over(_End(error))

    threading.Thread(target=read, name="reading-ahead", daemon=True).start()
    try:
        while True:
            item = await queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            free.release()
    finally:
        unwanted.set()
        free.release()


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
