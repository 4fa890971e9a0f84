"""Compute in threads, in a way that a cancellation does not interrupt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


async def in_thread(
    function: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
) -> Result:
    """Do as asyncio.to_thread does, but when cancelled, end only after the function has.

    A thread cannot be stopped, and whoever cancels assumes that nobody uses the machine any more.
    """
    return await _whole(asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs)))


async def in_thread_of(threads: ThreadPoolExecutor, function: Callable[[], Result]) -> Result:
    """Do as `in_thread` does, in a thread of the given pool."""
    return await _whole(asyncio.get_running_loop().run_in_executor(threads, function))


async def _whole(running: asyncio.Future[Result]) -> Result:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # cancelled more than once
                await asyncio.wait({running})
        raise
