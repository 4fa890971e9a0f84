"""What is published for a partition's customers: which items it offers, and whether we published it.

A recommender that stood still may send messages that are older than its successor's. What an earlier owner
published may offer a hidden item. Both are found here, so that they are published again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.kafka.topic_reader import Written
from streams.messages.schema import key_text
from streams.recommending.offers import Offers
from streams.recommending.unfinished import published_before

if TYPE_CHECKING:
    from streams.recommending.board import Board
    from streams.tasks.context import Context

log = logging.getLogger("alsobought")

AGAIN_S = 1.0


class PublishedRecommendations:
    """The recommendations of one partition.

    Attributes
    ----------
    offers : Offers
        The items that they hold.
    whole : bool
        Whether `offers` also has what was published by earlier owners.
    """

    def __init__(self, board: Board, partition: int, context: Context) -> None:
        self._board, self._context = board, context
        self._tp = TP(board.kind.recommendations.name, partition)
        self.offers = Offers(board.related.items, context.settings.recommendations)
        self.whole = False
        self._written: Written | None = None

    async def begin(self, looked_through: int) -> None:
        """Note where the partition ends, before any of our messages is on its way.

        The messages from `looked_through` to the end are treated as if others had written them: a recommender
        that stood still may have, after the last owner looked.
        """
        self._written = Written(self._tp, await self._context.reader.end_of(self._tp))
        if 0 <= looked_through < self._written.end:
            self._written.by_others.append((looked_through, self._written.end))

    @property
    def looked_through(self) -> int:
        """The offset before which nothing of others is left to be published again; -1 if not known yet."""
        return -1 if self._written is None else self._written.looked_through

    async def look_back(self) -> None:
        """Read what earlier owners published."""
        while not self.whole:
            try:
                older = await published_before(self._tp, self._context, self._board.related)
                async with self._context.lock:  # a thread may be changing `offers`
                    self.offers.adopt(older)
                self.whole = True
            except KafkaError as error:
                log.info("%s-%d: %s; read again", *self._tp, error)
                await asyncio.sleep(AGAIN_S)

    async def by_others(self) -> set[str]:
        """Return the customers for whom somebody else published since the last call.

        None of our messages may be on its way.
        """
        written, reader, found = self._written, self._context.reader, set[str]()
        if written is not None:
            try:
                written.reached(await reader.end_of(self._tp))
                while written.by_others:
                    found |= customers_of(await reader.keys(self._tp, *written.by_others[0]))
                    written.by_others.pop(0)
            except KafkaError as error:
                log.info("%s-%d: %s; looked at again later", *self._tp, error)
        return found

    def own(self, first: int, count: int) -> None:
        """Note that Kafka has acknowledged `count` records of ours from an offset on."""
        if self._written is not None:
            self._written.own(first, count)

    def holding_hidden(self) -> set[str]:
        """Return the customers whose messages offer an item that cannot be bought."""
        with self._board.related.lock:
            return customers_of(self.offers.holding(self._board.popularity.popularity.available == 0))


def customers_of(keys: set[bytes] | list[bytes]) -> set[str]:
    """Return the customers of some keys, which may be those of profiles."""
    return {key_text(key).partition("\t")[0] for key in keys}
