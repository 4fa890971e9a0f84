"""Purchases that are made on the page of a demo, by a visitor whom the page has made up.

They are published as any shop's are. Their time is that of the newest event: a demo replays a year of the
past, and the time of a clock would make all of it old.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from serving.answers import offered
from serving.errors import ApiError
from serving.read_model import ReadModel
from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.kafka.stopping import start, stop
from streams.kinds import BOUGHT
from streams.messages.partitioning import partition_for
from streams.messages.schema import EventMessage, encode

VISITORS = "visitor-"
ANSWER_S = 10.0


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    customer_id: str
    item_id: str


_decode = msgspec.json.Decoder(_Order).decode


class Buyer:
    """Publishes purchases; connects to Kafka with the first."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._producer: Any = None
        self._lock = asyncio.Lock()
        self._ordered = 0

    async def buy(self, request: web.Request, model: ReadModel) -> dict[str, Any]:
        """Publish the purchase that a request orders, and return it once Kafka has it.

        Raises
        ------
        ApiError
            400 or 403 if the order is none, or is not a visitor's; 404 if there is no such item; 503 if Kafka
            does not take it.
        """
        order = await _order(request)
        if order.item_id not in model.items or not offered(model, order.item_id):
            raise ApiError(
                404, f"there is no item {order.item_id!r} to buy", where="items",
                what_to_do="take one of /api/bestsellers",
            )  # fmt: skip
        self._ordered += 1
        event = EventMessage(
            customer_id=order.customer_id, item_id=order.item_id, timestamp=_newest_ms(model),
            event_id=f"{time.time_ns()}-{self._ordered}",
        )  # fmt: skip
        key = order.customer_id.encode()
        try:
            producer = await self._started()
            partitions = await producer.partitions_for(BOUGHT.events.name)
            partition = partition_for(key, len(partitions))
            sending = producer.send_and_wait(BOUGHT.events.name, encode(event), key=key, partition=partition)
            sent = await asyncio.wait_for(sending, ANSWER_S)
        except (KafkaError, OSError, TimeoutError) as error:
            raise ApiError(
                503, f"Kafka did not take the purchase: {error!r}", where=str(self._bootstrap),
                what_to_do="see whether it runs, and buy again",
            ) from error  # fmt: skip
        return {"customer_id": order.customer_id, "item_id": order.item_id, "offset": sent.offset}

    async def close(self) -> None:
        """Stop the producer, if there is one."""
        if self._producer is not None:
            await stop(self._producer)

    async def _started(self) -> Any:
        async with self._lock:
            if self._producer is None:
                producer = clients.producer(self._bootstrap, acks="all", enable_idempotence=True)
                try:
                    await start(producer)
                except BaseException:
                    await stop(producer)
                    raise
                self._producer = producer
        return self._producer


async def _order(request: web.Request) -> _Order:
    """Return what is ordered; a form of another site's page cannot send this type of content."""
    if request.content_type != "application/json":
        raise ApiError(
            403, "purchases are made on the page of this server", where="Content-Type",
            what_to_do="send application/json",
        )  # fmt: skip
    try:
        order = _decode(await request.read())
    except msgspec.MsgspecError as error:
        raise ApiError(
            400, f"this is no order: {error}", where="the body",
            what_to_do='send {"customer_id": "visitor-1", "item_id": "..."}',
        ) from error  # fmt: skip
    if not order.customer_id.startswith(VISITORS) or len(order.customer_id) > 64:
        raise ApiError(
            403, f"nothing can be bought for {order.customer_id!r}", where="customer_id",
            what_to_do=f"take an id that begins with {VISITORS}",
        )  # fmt: skip
    return order


def _newest_ms(model: ReadModel) -> int:
    """Return the newest event time that is known, ms since 1970; before any event the clock's."""
    newest = model.kinds[BOUGHT.name].sellers(None, trending=False)
    return newest.as_of if newest is not None else time.time_ns() // 1_000_000
