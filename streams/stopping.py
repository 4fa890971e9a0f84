"""Stopping aiokafka's clients, whatever befell their broker."""

from __future__ import annotations

import asyncio
from typing import Any

STOP_S = 20.0


async def stop(client: Any) -> None:
    """Stop a client, and give it up if it does not stop.

    In a task of its own: with the broker away, `stop` may hang, and raise CancelledError without having been
    cancelled, which would end whoever called it without a word.
    """
    await asyncio.wait({asyncio.create_task(client.stop())}, timeout=STOP_S)
