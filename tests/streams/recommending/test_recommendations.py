"""Tests of publishing recommendations without Kafka: who waits since when, and what waits for a cycle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from faust.types import TP

from streams.kafka.transport import Chunk
from streams.messages.schema import Progress
from streams.recommending import published
from streams.recommending import recommendations as module
from streams.recommending.messages import Recommendations, Recommended
from streams.recommending.offers import Offers
from streams.recommending.task import RecommenderTask
from tests.events import START_MS
from tests.streams.pipeline import Keys
from tests.streams.recommending.one_task import Record, new_task

WAIT_S = 10.0


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def answered(*_args: Any) -> Any:
        return answer

    return answered


def test_a_customer_with_newer_events_waits_since_the_oldest_unserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the task would report events as done whose customers still wait."""
    monkeypatch.setattr(module, "reported_before", answering(_reported(100)))
    monkeypatch.setattr(module, "customers_between", answering((["ann", "bob"], [])))

    async def main() -> None:
        task = new_task(tmp_path)
        publisher, waiting = task.publisher, task.publisher.waiting
        task.replayed_from = 400
        waiting.add(["cid"], 450)
        waiting.add(["ann"], 500)
        await publisher._remember()
        assert publisher.remembers
        assert waiting.due(9) == ["ann", "bob", "cid"]
        assert waiting.served_until(600, publisher.recommended) == 100
        for served, until in (("ann", 100), ("bob", 450), ("cid", 600)):
            waiting.serve([served], [], [])
            assert waiting.served_until(600, publisher.recommended) == until

    asyncio.run(main())


def test_earlier_offers_are_adopted_between_two_recommendations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        publisher = task.publisher
        older = Offers(task._board.related.items, task.context.settings.recommendations)
        older.put(b"ann", [0, 1])
        monkeypatch.setattr(published, "published_before", answering(older))
        async with task.lock:  # this thread notes what it recommends
            looking = asyncio.ensure_future(publisher.look_back())
            await asyncio.sleep(0.05)
            assert len(publisher._published.offers) == 0
            assert not publisher._published.whole
        async with asyncio.timeout(WAIT_S):
            while not publisher._published.whole:
                await asyncio.sleep(0.01)
        assert len(publisher._published.offers) == 1
        looking.cancel()

    asyncio.run(main())


def test_a_forgotten_customer_who_comes_back_before_the_turn_keeps_the_recommendations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the new ones would be published first, and the withdrawal of the old ones after them."""

    async def main() -> None:
        task, sent = new_task(tmp_path), _Sent()
        publisher = task.publisher
        task.context = replace(task.context, outbox=sent)  # type: ignore[arg-type]
        monkeypatch.setattr(task.advice, "synchronise", lambda: None)
        monkeypatch.setattr(task.advice, "message", _message(task))

        def take(start: int, *events: dict[str, Any]) -> None:
            records = []
            for at, event in enumerate(events, start):
                event |= {"customer_id": "ann", "event_id": str(at), "timestamp": START_MS + at}
                records.append(Record(at, b"ann", msgspec.json.encode(event)))
            task.take(Chunk(task.tp, start, start + len(records), records))
            task.took_in()

        take(0, {"item_id": "tea"})
        async with task.lock:  # a cycle is under way
            recommending = asyncio.ensure_future(publisher._recommend())
            await asyncio.sleep(0.05)
            take(1, {"type": "forget"}, {"item_id": "milk"})
        await recommending
        while publisher.waiting.erased or len(publisher.waiting):
            await publisher._recommend()
        assert sent.newest[b"ann"] is not None
        assert "milk" in sent.newest[b"ann"].decode()

    asyncio.run(main())


def test_profiles_of_a_customer_who_is_not_in_memory_are_recommended_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        monkeypatch.setattr(task.advice, "synchronise", lambda: None)
        monkeypatch.setattr(task.advice, "message", _message(task))
        event = {"customer_id": "ann", "item_id": "tea", "timestamp": START_MS, "profile_id": "p1"}
        task.take(Chunk(task.tp, 0, 1, [Record(0, b"ann", msgspec.json.encode(event))]))
        task.saver.save_all()
        slot = task.machine.customers.get("ann")
        assert slot is not None
        task.machine.evict(np.array([slot]))
        records, _ = task.publisher._records(["ann"])
        assert [key for key, _ in records] == [b"ann", b"ann\tp1"]

    asyncio.run(main())


def test_records_by_others_since_the_last_owner_looked_are_published_anew_after_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "reported_before", answering(_reported(0, looked_through=2)))

    async def main() -> None:
        task = new_task(tmp_path)
        publisher, waiting = task.publisher, task.publisher.waiting
        reader = Keys([b"ann", b"bob", b"cid", b"dan\tp1"])
        publisher._published._context = replace(task.context, reader=reader)  # type: ignore[arg-type]
        task.replayed_to = 1
        await publisher._remember()
        assert task.progress("").looked_through == 2
        await publisher.look_for_others()
        assert waiting.due(9) == []  # the histories may lack them
        task.take(Chunk(task.tp, 0, 1, []))
        await publisher.look_for_others()
        assert set(waiting.due(9)) == {"cid", "dan"}
        publisher._note_looked_through()
        assert task.progress("").looked_through == 2  # the next owner has to publish it, if we do not
        waiting.serve(["cid", "dan"], [], [])
        publisher._note_looked_through()
        assert task.progress("").looked_through == 4

    asyncio.run(main())


def _reported(recommended: int, looked_through: int = -1) -> Progress:
    more = {"recommended": recommended, "looked_through": looked_through}
    return Progress(task="", worker="", applied=0, stored=0, **more)


class _Sent:
    """An outbox whose records Kafka acknowledges at once."""

    def __init__(self) -> None:
        self.newest: dict[bytes, bytes | None] = {}

    async def send_keyed(self, _tp: TP, records: list[tuple[bytes, bytes | None]]) -> int:
        self.newest |= dict(records)
        return 0


def _message(task: RecommenderTask) -> Callable[..., Recommendations | None]:
    """Return a message that recommends what a customer has bought."""

    def message(customer_id: str, *_more: Any) -> Recommendations | None:
        bought = [Recommended(one.item_id, 1.0, [], "buy-again") for one in task.machine.history(customer_id)]
        if not bought:
            return None
        return Recommendations(customer_id=customer_id, kind="bought", as_of=0, items=bought)

    return message
