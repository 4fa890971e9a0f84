"""Those who ask at the same time where partitions end share a request, and its failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.broker.errors import RightsMissing
from streams.connections.bootstrap import Bootstrap
from streams.kafka import topic_reader
from streams.kafka.topic_reader import TopicReader
from streams.rights import Operation, Right


class Consumer:
    """A stand-in for a consumer; partition p of the n-th request ends at 100 n + p."""

    def __init__(self) -> None:
        self.requests: list[list[int]] = []
        self.fails = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.requests.append(sorted(tp.partition for tp in partitions))
        number = len(self.requests)
        await self.answers.wait()
        if self.fails:
            raise KafkaConnectionError("gone")
        return {tp: 100 * number + tp.partition for tp in partitions}


def run(case: Any) -> None:
    async def main() -> None:
        reader, consumer = TopicReader(Bootstrap("nowhere")), Consumer()
        reader._asking._consumer = consumer
        await asyncio.wait_for(case(reader, consumer), 10)

    asyncio.run(main())


def ends(reader: TopicReader, *partitions: int) -> list[asyncio.Task[int]]:
    return [asyncio.ensure_future(reader.end_of(TP("lists", p))) for p in partitions]


def test_who_asks_at_once_shares_a_request() -> None:
    async def case(reader: TopicReader, consumer: Consumer) -> None:
        assert await asyncio.gather(*ends(reader, 2, 0, 1, 2)) == [102, 100, 101, 102]
        assert consumer.requests == [[0, 1, 2]]

    run(case)


def test_who_asks_during_a_request_gets_the_end_of_a_later_one() -> None:
    async def case(reader: TopicReader, consumer: Consumer) -> None:
        consumer.answers.clear()
        first = ends(reader, 0)
        while not consumer.requests:
            await asyncio.sleep(0)
        later = ends(reader, 0, 1)
        await asyncio.sleep(0)
        consumer.answers.set()
        assert await asyncio.gather(*first, *later) == [100, 200, 201]
        assert consumer.requests == [[0], [0, 1]]

    run(case)


def test_all_hear_of_a_failure_and_may_ask_again() -> None:
    async def case(reader: TopicReader, consumer: Consumer) -> None:
        consumer.fails = True
        answers = await asyncio.gather(*ends(reader, 0, 1), return_exceptions=True)
        assert [type(answer) for answer in answers] == [KafkaConnectionError] * 2
        consumer.fails = False
        assert await reader.end_of(TP("lists", 1)) == 201

    run(case)


def test_all_hear_of_a_right_that_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Right("topic", "lists", "Describe")

    async def require(bootstrap: Bootstrap, operation: Operation, topics: set[str]) -> None:
        assert (operation, topics) == ("Describe", {"lists"})
        raise RightsMissing(bootstrap, [missing])

    monkeypatch.setattr(topic_reader, "require_on_topics", require)

    async def case(reader: TopicReader, consumer: Consumer) -> None:
        consumer.fails = True
        answers = await asyncio.gather(*ends(reader, 0, 1, 2), return_exceptions=True)
        assert [type(answer) for answer in answers] == [RightsMissing] * 3

    run(case)


def test_who_is_cancelled_takes_nobody_along() -> None:
    async def case(reader: TopicReader, consumer: Consumer) -> None:
        consumer.answers.clear()
        asking, *others = ends(reader, 0, 1, 2)
        while not consumer.requests:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        consumer.answers.set()
        assert await asyncio.gather(*others) == [201, 202]

    run(case)
