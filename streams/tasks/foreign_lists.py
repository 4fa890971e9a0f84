"""Find the lists that another worker wrote to a partition of lists, to publish our own again.

Two workers may hold a partition for a moment, as one stands still and does not know that it has lost it. What
it then writes would stay if our own list did not change afterwards (docs/decisions/0008).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.kafka.topic_reader import Written
from streams.messages.schema import key_text

if TYPE_CHECKING:
    from streams.tasks.context import Context

log = logging.getLogger("alsobought")

LOOK_S = 1.0  # between two looks


class ForeignLists:
    """Compares the end of a partition with what Kafka has acknowledged of ours.

    Parameters
    ----------
    found : Callable[[Iterable[str]], None]
        Is called with the items whose lists somebody else wrote, while the lock is held.
    """

    def __init__(self, tp: TP, context: Context, found: Callable[[Iterable[str]], None]) -> None:
        self._tp, self._context, self._found = tp, context, found
        self._written: Written | None = None

    @property
    def ready(self) -> bool:
        """Whether the end of the partition is known, from which on we look."""
        return self._written is not None

    def own(self, count: int, future: asyncio.Future[int]) -> None:
        """Note that a batch of so many lists of ours has been acknowledged."""
        if self._written is not None and not future.cancelled() and future.exception() is None:
            self._written.own(future.result(), count)

    async def look(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self.look_once()
            # all partitions look at the same time, so that one request asks for all of them
            await asyncio.sleep(LOOK_S - time.monotonic() % LOOK_S)

    async def look_once(self) -> None:
        """Look once. The lock must not be held."""
        reader, outbox = self._context.reader, self._context.outbox
        try:
            if self._written is None:
                self._written = Written(self._tp, await reader.end_of(self._tp))
                return
            written, sent = self._written, outbox.sent_to(self._tp)
            end = await reader.end_of(self._tp)
            # what Kafka has of ours is noted a moment after the outbox knows it
            idle = outbox.idle(self._tp) and outbox.end_of(self._tp) <= written.end
            if idle and outbox.sent_to(self._tp) == sent:
                written.reached(end)
            while written.by_others:
                keys = await reader.keys(self._tp, *written.by_others[0])
                async with self._context.lock:
                    self._found(map(key_text, keys))
                written.by_others.pop(0)
        except KafkaError as error:
            log.info("%s-%d: %s; looked at again later", *self._tp, error)
