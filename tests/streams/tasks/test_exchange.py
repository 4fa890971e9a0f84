"""Tests of purchases that are published late, in a worker without Kafka: sent, stored, and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.messages.deltas import Source
from state.messages.history_changes import WATCHED as WATCHED_SIDE
from state.messages.history_changes import HistoryChanges
from state.messages.transfer import Step, Transfer, decode_message
from state.storage.saving import Pace
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, WATCHED, WATCHED_BOUGHT
from streams.messages.schema import EventMessage
from streams.tasks import storing
from streams.tasks import watched_bought as crossing_task
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.watched_bought import CrossingTask
from streams.topics import HISTORY_CHANGES, PURCHASES
from tests.events import as_event, purchases, watches
from tests.oracles.counts import Oracle
from tests.oracles.watched_bought import CrossingOracle
from tests.state.watched_bought.checks import check_crossing, check_pairs
from tests.streams.offline import PARTITIONS, Broker, Offline, Sent, records_of, run

WINDOW = 50
PARTS = range(PARTITIONS)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing_task, "GATHER_S", 0.0)
    monkeypatch.setattr(storing, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(storing, "SAVES_AT_ONCE_S", 3600.0)
    monkeypatch.setattr(Pace, "share", lambda _pace, _done: 1.0)  # each step writes the whole sweep


class _Shop:
    """A shop with all partitions' tasks of purchases, watches and watched-bought."""

    def __init__(self, root: Path, *, at_once: bool = True) -> None:
        self.root = root
        self.worker = Offline(root, Broker(at_once=at_once))
        self.events: dict[str, list[EventMessage]] = {PURCHASES.name: [], WATCHED.events.name: []}

    async def open(self) -> None:
        worker = self.worker
        for p in PARTS:
            for kind in (BOUGHT, WATCHED):
                await self._open(CustomerTask(TP(kind.events.name, p), worker.context, kind))
            tp = TP(HISTORY_CHANGES.name, p)
            await self._open(CrossingTask(tp, worker.context, WATCHED_BOUGHT, worker.tasks.get))
            await self._open(ItemTask(TP(WATCHED_BOUGHT.deltas.name, p), worker.context, WATCHED_BOUGHT))

    async def _open(self, task: Any) -> None:
        await self.worker.open(task)
        task.replays_to(len(self.worker.broker.logs.get(task.tp, [])))

    async def again(self, *, at_once: bool = True) -> None:
        """Let another process continue with what is stored, and with what Kafka has."""
        await self.worker.close()
        logs = self.worker.broker.logs
        self.worker = Offline(self.root, Broker(at_once=at_once))
        self.worker.broker.logs = logs
        await self.open()

    def task(self, topic: str, p: int) -> Any:
        return self.worker.tasks[TP(topic, p)]

    def publish(self, topic: str, events: list[EventMessage]) -> None:
        """Put events into the logs; each customer is in the partition of its number."""
        self.events[topic] += events
        for event in events:
            log = self.worker.broker.logs.setdefault(TP(topic, int(event.customer_id[1:]) % PARTITIONS), [])
            (record,) = records_of([event], len(log))
            log.append(record)

    async def cycle(self) -> bool:
        """Run a cycle with everything that can be read; return whether there was something."""
        chunks = self._unread()
        await self.worker.once(*chunks)
        return bool(chunks)

    def _unread(self) -> list[Chunk]:
        read = [self.worker.deltas(tp, task.position) for tp, task in self.worker.tasks.items()]
        return [chunk for chunk in read if chunk.records]

    async def quiet(self) -> None:
        while await self.cycle() or self._unread():
            pass

    def history_changes(self) -> list[list[HistoryChanges | Transfer]]:
        return [[decode_message(r.value or b"") for r in self._log(HISTORY_CHANGES.name, p)] for p in PARTS]

    def _log(self, topic: str, p: int) -> list[Sent]:
        return self.worker.broker.logs.get(TP(topic, p), [])

    def check(self) -> None:
        watched, bought = (
            Oracle(WINDOW).feed(map(as_event, self.events[topic]))
            for topic in (WATCHED.events.name, PURCHASES.name)
        )
        oracle = CrossingOracle(watched, bought)
        crossings = [self.task(HISTORY_CHANGES.name, p).machine for p in PARTS]
        check_crossing(crossings, lambda customer: int(customer[1:]) % PARTITIONS, oracle)
        check_pairs([self.task(WATCHED_BOUGHT.deltas.name, p).machine for p in PARTS], oracle)
        assert oracle.pairs()


def _of_partition(events: list[EventMessage], p: int) -> list[EventMessage]:
    return [event for event in events if int(event.customer_id[1:]) % PARTITIONS == p]


def _steps(messages: list[HistoryChanges | Transfer]) -> list[Step]:
    return [message.step for message in messages if isinstance(message, Transfer)]


BOUGHT_EVENTS = purchases(1, 60, 40, 900, returns=0.05)
WATCHED_EVENTS = watches(2, 60, 40, 600)


def test_without_watches_nothing_is_sent_and_nothing_is_stored(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        shop.publish(PURCHASES.name, BOUGHT_EVENTS)
        await shop.quiet()
        await shop.cycle()
        assert shop.history_changes() == [[]] * PARTITIONS
        assert shop.worker.broker.of(WATCHED_BOUGHT.deltas.name) == []
        for p in PARTS:
            assert shop.task(PURCHASES.name, p).saver.stored > 100
            for topic in (HISTORY_CHANGES.name, WATCHED_BOUGHT.deltas.name):
                assert list(shop.task(topic, p).store.scan(b"")) == []
        await shop.again()
        await shop.cycle()
        assert all(shop.task(PURCHASES.name, p).machine.silent for p in PARTS)
        assert shop.history_changes() == [[]] * PARTITIONS
        await shop.worker.close()

    run(body())


def test_the_first_watch_in_any_partition_has_all_published(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        shop.publish(PURCHASES.name, BOUGHT_EVENTS[:700])
        await shop.quiet()
        shop.publish(WATCHED.events.name, _of_partition(WATCHED_EVENTS, 1))
        await shop.quiet()
        shop.check()
        for p, messages in enumerate(shop.history_changes()):
            assert _steps(messages) == [Step.ASK, Step.BEGIN, Step.LAST]
            assert next(m.source for m in messages if isinstance(m, Transfer)) == Source(WATCHED_SIDE, 1)
            assert p == 1 or not any(isinstance(m, HistoryChanges) for m in messages)
        shop.publish(PURCHASES.name, BOUGHT_EVENTS[700:])
        shop.publish(WATCHED.events.name, _of_partition(WATCHED_EVENTS, 0))
        await shop.quiet()
        shop.check()
        assert [_steps(messages)[:4] for messages in shop.history_changes()] == [
            [Step.ASK, Step.BEGIN, Step.LAST, Step.ASK]
        ] * PARTITIONS
        # the store says that everything is published, and the task continues
        await shop.cycle()
        await shop.again()
        shop.publish(PURCHASES.name, purchases(5, 60, 40, 100))
        await shop.quiet()
        shop.check()
        assert all(len(_steps(messages)) == 4 for messages in shop.history_changes())
        await shop.worker.close()

    run(body())


def test_until_all_is_published_neither_progress_nor_the_store_says_so(tmp_path: Path) -> None:
    """Messages are acknowledged one by one, and `drain` must not take a moment in between for the end."""

    async def body() -> None:
        shop = _Shop(tmp_path, at_once=False)
        await shop.open()
        shop.publish(PURCHASES.name, BOUGHT_EVENTS)
        while await shop.cycle():
            shop.worker.broker.acknowledge()
        crossing, buying = shop.task(HISTORY_CHANGES.name, 2), shop.task(PURCHASES.name, 2)
        shop.worker.broker.acknowledge()
        await shop.cycle()
        assert buying.saver.stored == buying.position > 0
        shop.publish(WATCHED.events.name, _of_partition(WATCHED_EVENTS, 0))
        seen = []
        for _ in range(40):
            asked_at = next((r.offset for r in shop._log(HISTORY_CHANGES.name, 2)), None)
            await shop.cycle()
            ended = Step.LAST in _steps(shop.history_changes()[2]) and not crossing.machine.begun
            if asked_at is not None and not ended:
                assert crossing.progress("").applied <= asked_at
            seen.append((crossing.machine.wanted, bool(crossing.machine.begun), buying.machine.silent, ended))
            if not buying.machine.silent and any(b.tp == crossing.tp for b in shop.worker.broker.waiting):
                assert not buying.may_be_stored
            if shop.worker.broker.waiting:
                shop.worker.broker.waiting.pop(0).acknowledge()
                await shop.worker.settle()
        assert set(seen) >= {
            (False, False, True, False), (True, False, True, False), (True, True, False, False),
            (True, False, False, True),
        }  # fmt: skip
        while await shop.cycle():
            shop.worker.broker.acknowledge()
        assert crossing.progress("").applied == crossing.position
        shop.check()
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize("acknowledged", range(0, 40, 3))
def test_killed_at_any_moment_of_it(tmp_path: Path, acknowledged: int) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path, at_once=False)
        await shop.open()
        shop.publish(PURCHASES.name, BOUGHT_EVENTS)
        for _ in range(5):
            await shop.cycle()
            shop.worker.broker.acknowledge()
            await shop.worker.settle()
        shop.publish(WATCHED.events.name, WATCHED_EVENTS)
        for _ in range(acknowledged):
            await shop.cycle()
            if shop.worker.broker.waiting:
                shop.worker.broker.waiting.pop(0).acknowledge()
            await shop.worker.settle()
        await shop.again()
        await shop.quiet()
        shop.check()
        assert not any(shop.task(PURCHASES.name, p).machine.silent for p in PARTS)
        await shop.worker.close()

    run(body())
