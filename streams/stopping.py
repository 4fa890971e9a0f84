"""Stopping aiokafka's clients, whatever befell their broker."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

log = logging.getLogger("alsobought")

STOP_S = 20.0


async def stop(client: Any) -> None:
    """Stop a client, and give it up if it does not stop.

    In a task of its own: with the broker away, `stop` may hang, and raise CancelledError without having been
    cancelled, which would end whoever called it without a word.
    """
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait({stopping}, timeout=STOP_S)
    if not stopping.done():
        log.info("a client of Kafka did not stop in %.0f s and is left to itself", STOP_S)
    elif not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.info("a client of Kafka stopped with an error: %r", error)
