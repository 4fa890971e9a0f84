"""The lease: whether this worker may still treat its partitions as its own.

A worker that stood still (stopped, swapped out, cut off) for longer than the session timeout has lost its
partitions without knowing. Its deltas do no harm, because they are the same as its successor's, and its store
is its own; but its lists would be old. So it works only while the group has confirmed it within the session
timeout, by a clock that runs on while a process stands still. Its successor finds records that were on their
way to Kafka when it stopped (streams/kafka/topic_reader.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("alsobought")

LOOK_S = 0.05


class Lease:
    """The lease; the consumer's thread confirms it, and tasks check it."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._confirmed_at = float("-inf")

    def confirm(self, asked_at: float | None = None) -> None:
        """Note that the group knew this worker at a moment of the monotonic clock; now, by default."""
        self._confirmed_at = max(self._confirmed_at, time.monotonic() if asked_at is None else asked_at)

    @property
    def held(self) -> bool:
        """Whether the group confirmed this worker within the session timeout."""
        return time.monotonic() - self._confirmed_at < self._timeout_s

    async def wait(self, name: str, given_up: Callable[[], bool] = lambda: False) -> None:
        """Return when the lease is held, or when it is given up."""
        if self.held:
            return
        log.warning("%s: not confirmed by the group: holding back", name)
        while not self.held:
            if given_up():
                return
            await asyncio.sleep(LOOK_S)
        log.info("%s: confirmed again, going on", name)

    def watch(self, coordinator: Any) -> None:
        """Confirm with every heartbeat the group coordinator answers (aiokafka's GroupCoordinator)."""
        heartbeat = coordinator._do_heartbeat

        async def beat() -> bool:
            asked_at = time.monotonic()
            known: bool = await heartbeat()
            if known:
                self.confirm(asked_at)
            return known

        coordinator._do_heartbeat = beat
