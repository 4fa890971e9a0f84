"""Compute in threads that take turns often, in a way that a cancellation does not interrupt."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

TURN_S = 0.0005


def take_turns() -> None:
    """Let a thread that waits for Python's lock get it after half a millisecond at most, and not after five.

    The threads of a process pass work to one another many times a second, or many times a request.
    """
    sys.setswitchinterval(TURN_S)


async def in_thread(
    function: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
) -> Result:
    """Do as asyncio.to_thread does, but when cancelled, end only after the function has.

    A thread cannot be stopped, and whoever cancels assumes that nobody uses the machine any more.
    """
    return await whole(asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs)))


def begin_in(threads: ThreadPoolExecutor, function: Callable[[], Result]) -> asyncio.Future[Result]:
    """Let a thread of the given pool call a function; await the result with `whole`."""
    return asyncio.get_running_loop().run_in_executor(threads, function)


def run_apart(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in a thread of its own, since an event loop may run in the caller's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def whole(running: asyncio.Future[Result]) -> Result:
    """Return the result of what runs in a thread; when cancelled, end only after it has."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # cancelled more than once
                await asyncio.wait({running})
        raise
