"""Start and stop clients, and stop whole processes, even if their broker is away."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("alsobought")

START_S = 2.0
STOP_S = 20.0
LOOK_S = 0.5


async def start(client: Any) -> None:
    """Start a client; if this is cancelled, let the start come to its end first, for at most `START_S`.

    aiokafka leaves the connection open that it made for its first question when it is cancelled there.
    """
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=START_S)
        if not starting.cancel() and not starting.cancelled():
            starting.exception()  # nobody else asks for it
        raise


async def stop(client: Any) -> None:
    """Stop a client, and abandon it if it does not stop.

    It runs in a task of its own: with the broker away, `stop` may hang, or raise CancelledError without
    having been cancelled, which would silently end the caller.
    """
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait({stopping}, timeout=STOP_S)
    if not stopping.done():
        log.info("a client of Kafka did not stop in %.0f s and is left to itself", STOP_S)
    elif not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.info("a client of Kafka stopped with an error: %r", error)


def end_without_kafka(
    held: Callable[[], bool], looks: int, *, look_s: float = LOOK_S, end: Callable[[int], object] = os._exit
) -> threading.Thread:
    """End a stopping process if Kafka does not answer it for long; return the thread that watches.

    While Kafka is away, acknowledgements never come. A process that ends at once is like one that was killed:
    the state it stored is whole, and the next start replays what came after that.

    Parameters
    ----------
    held
        Whether the group confirmed this process lately (`Lease.held`): while it did, saving may take long.
    looks : int
        How many checks in a row must fail. It counts checks and not seconds, because a process may be frozen.
    look_s : float
        The seconds between two checks.
    end
        Called with exit code 1.
    """

    def look() -> None:
        unanswered = 0
        while unanswered < looks:
            time.sleep(look_s)
            unanswered = 0 if held() else unanswered + 1
        log.error(
            "Kafka has not answered for %.0f s: this process ends without storing what Kafka may not have."
            " Nothing is lost; the next start replays more.",
            looks * look_s,
        )
        end(1)

    thread = threading.Thread(target=look, name="end without Kafka", daemon=True)
    thread.start()
    return thread
