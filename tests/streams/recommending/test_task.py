"""Tests of a recommender's task without Kafka: what it takes in, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recommending.catalogue import Filter
from streams.kafka.transport import Chunk
from streams.messages.schema import encode
from tests.events import DAY_MS, START_MS, purchases
from tests.streams.recommending.one_task import Record, new_task

WAIT_S = 10.0


@pytest.mark.parametrize("question", ["newest", "ask"])
def test_a_question_waits_until_the_machine_is_free(tmp_path: Path, question: str) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        questions: dict[str, Callable[[], Awaitable[Any]]] = {
            "newest": lambda: task.newest("c1"),
            "ask": lambda: task.ask("c1", 3, "all", Filter(), None),
        }
        async with task.lock:
            answer: asyncio.Task[Any] = asyncio.ensure_future(questions[question]())
            await asyncio.sleep(0.05)
            assert not answer.done()
        async with asyncio.timeout(WAIT_S):
            await answer

    asyncio.run(main())


def test_events_that_were_taken_in_make_their_customers_wait(tmp_path: Path) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        publisher, waiting = task.publisher, task.publisher.waiting
        made = purchases(3, 5, 20, 60)
        records = [Record(n, event.customer_id.encode(), encode(event)) for n, event in enumerate(made)]
        task.take(Chunk(task.tp, 0, len(records), records))
        assert len(waiting) == 0  # the thread leaves the work of the event loop to the event loop
        task.took_in()
        assert set(waiting.due(len(made))) == {event.customer_id for event in made}
        assert waiting.served_until(len(records), 0) == 0
        task.take(Chunk(task.tp, len(records), len(records) + 1, records[:0]))
        task.took_in()
        assert waiting.served_until(len(records) + 1, publisher.recommended) == 0
        waiting.serve(waiting.due(len(made)), [], [])
        assert waiting.served_until(len(records) + 1, publisher.recommended) == len(records) + 1

    asyncio.run(main())


def test_drain_waits_until_everybody_is_recommended_to(tmp_path: Path) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        publisher = task.publisher
        made = purchases(3, 5, 20, 60)
        records = [Record(n, event.customer_id.encode(), encode(event)) for n, event in enumerate(made)]
        task.take(Chunk(task.tp, 0, len(records), records))
        publisher.recommended = len(records) - 1
        before = task.reached
        publisher.recommended = len(records) - 2
        assert task.reached == before  # it moves on with every event, because nobody waits for that
        publisher.recommended = len(records)
        assert task.reached != before
        served = task.reached
        task._board.settled = 7
        assert task.reached != served

    asyncio.run(main())


def test_time_passes_with_purchases_alone(tmp_path: Path) -> None:
    """As in workers: otherwise an erasure of today would end the bestsellers of a shop with an older log."""

    async def main() -> None:
        task = new_task(tmp_path)
        popularity = task._board.popularity
        steps: list[tuple[int, int, dict[str, Any]]] = [
            (0, 0, {}), (3, 3, {}), (2, 3, {}), (5, 3, {"type": "return"}), (6, 3, {"event_id": "0"}),
            (9, 3, {"type": "forget", "item_id": None}), (7, 7, {"item_id": "milk"}),
        ]  # fmt: skip
        for at, (days, watermark, more) in enumerate(steps):
            event = {"customer_id": "ann", "item_id": "tea", "event_id": str(at), **more}
            event["timestamp"] = START_MS + days * DAY_MS
            value = msgspec.json.encode({name: of for name, of in event.items() if of is not None})
            task.take(Chunk(task.tp, at, at + 1, [Record(at, b"ann", value)]))
            assert popularity.watermark_ms == START_MS + watermark * DAY_MS, event

    asyncio.run(main())
