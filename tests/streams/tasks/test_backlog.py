"""A backlog is one until all of it is counted, and brings no lists shortly before its end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from faust.types import TP

from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, WATCHED, WATCHED_BOUGHT
from streams.messages.schema import EventMessage
from streams.tasks import lateness
from streams.tasks.backlog import ENDING_S, NEVER, STALE_S, Backlog, Backlogs
from tests.events import purchases
from tests.streams.listing import EVENTS, Shop, oracle_of
from tests.streams.offline import run
from tests.streams.test_pipeline import check

LATE_MS = 60_000


def _chunk(partition: int, records: int, left: int, topic: str = "purchases") -> Chunk:
    return Chunk(TP(topic, partition), 0, records, [None] * records, left)


def test_what_is_left_takes_as_long_as_what_was_counted() -> None:
    backlog = Backlog()
    assert backlog.left_s(0.0) == NEVER
    backlog.counted([_chunk(0, 100, 5_000), _chunk(1, 100, 1_000)], 10.0)
    assert backlog.is_left(10.0)
    assert backlog.left_s(10.0) == NEVER  # nothing is known of the rate yet
    backlog.counted([_chunk(0, 1_000, 4_000)], 12.0)
    assert backlog.left_s(12.0) == pytest.approx(5_000 * 2.0 / 1_000)
    backlog.counted([_chunk(1, 1_000, 0)], 14.0)
    assert backlog.left_s(14.0) == pytest.approx(4_000 * 4.0 / 2_000)
    backlog.counted([_chunk(0, 4_000, 0)], 16.0)
    assert not backlog.is_left(16.0)
    assert backlog.left_s(16.0) == backlog.left_s(16.0 + ENDING_S - 0.1) == 0.0
    assert backlog.left_s(16.0 + ENDING_S) == NEVER


def test_a_partition_of_which_nothing_comes_is_not_waited_for() -> None:
    backlog = Backlog()
    backlog.counted([_chunk(0, 100, 50_000), _chunk(1, 100, 0)], 10.0)
    for second in range(20):
        backlog.counted([_chunk(1, 10, 0)], 10.0 + second)
        assert backlog.is_left(10.0 + second) == (second < STALE_S)
    assert backlog.left_s(30.0) == NEVER


def test_kinds_have_backlogs_of_their_own() -> None:
    backlogs = Backlogs()
    for now in (10.0, 11.0):
        backlogs.counted([_chunk(0, 100, 0), _chunk(0, 1_000, 5_000, "watches")], now)
    assert backlogs.left_s(WATCHED, 11.0) == pytest.approx(5.0)
    assert backlogs.left_s(WATCHED_BOUGHT, 11.0) == pytest.approx(5.0)
    assert backlogs.left_s(BOUGHT, 11.0) == NEVER
    assert (backlogs.is_left(WATCHED, 11.0), backlogs.is_left(BOUGHT, 11.0)) == (True, False)
    backlogs.forget()
    assert not backlogs.is_left(WATCHED, 11.0)


class _Loading(Shop):
    """A shop in which events wait in Kafka.

    Attributes
    ----------
    left
        How many are left behind those that are counted next.
    """

    left = 0

    def bought(self, messages: Sequence[EventMessage], published_ms: float | None = None) -> Chunk:
        return dataclasses.replace(super().bought(messages, published_ms), left=self.left)

    def age(self, backlog_s: float, waiting_s: float) -> None:
        """Pretend that 1,000 events were counted in so long, and that the oldest count has waited."""
        now, backlog = time.monotonic(), self.worker.context.backlogs._by_topic[EVENTS.topic]
        backlog._begun_at, backlog._counted = now - backlog_s, 1_000
        for task in self.items:
            task.refresher.lateness._behind_since = now - backlog_s
            task.refresher._counts.since = now - waiting_s
            task.refresher.lateness._counted_at = now
        backlog._left = {tp: (left, now) for tp, (left, _) in backlog._left.items()}


def _late() -> float:
    return time.time() * 1000 - LATE_MS


def test_it_is_one_between_cycles_as_long_as_events_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lateness, "COUNTING_S", 0.0)  # each cycle takes longer
    monkeypatch.setattr(lateness, "LARGE_CYCLE_S", 3600.0)

    async def body() -> None:
        shop = _Loading(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        shop.left = 100
        await shop.count(messages[:100], _late())
        await shop.count(messages[100:200], _late())
        assert all(task.refresher.behind for task in shop.items)
        assert shop.published() == 0
        shop.left = 0
        await shop.worker.once(shop.bought(messages[200:], _late()))
        assert all(task.refresher.behind for task in shop.items), "deltas are on their way"
        await shop.worker.once(*shop.deltas())
        assert not any(task.refresher.behind for task in shop.items)
        while shop.waiting:
            await shop.worker.once()
        await shop.settle()
        for _ in range(4):
            await shop.worker.once()
        check(shop.lists(), oracle_of(messages))
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize(("left", "behind"), [(1_000, False), (3_000, True)])
def test_it_is_known_by_its_length_while_its_events_are_new(tmp_path: Path, left: int, behind: bool) -> None:
    async def body() -> None:
        shop = _Loading(tmp_path, staleness_ms=1_000)
        await shop.open()
        shop.left = left
        soon_ms = time.time() * 1000 + 60_000  # however slow the test is, these events are new
        await shop.count(purchases(1, customers=30, items=60, events=100), soon_ms)
        shop.age(backlog_s=1.0, waiting_s=1.0)
        assert {task.refresher.behind for task in shop.items} == {behind}
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize(
    ("left_s", "backlog_s", "lists"), [(100, 50, True), (20, 50, False), (28, 12, True), (10, 12, False)]
)
def test_no_pass_begins_shortly_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: float, backlog_s: float, lists: bool
) -> None:
    monkeypatch.setattr(lateness, "LARGE_CYCLE_S", 3600.0)

    async def body() -> None:
        shop = _Loading(tmp_path)
        await shop.open()
        shop.left = int(left_s * 1_000 / backlog_s)
        await shop.count(purchases(1, customers=30, items=60, events=400), _late())
        assert shop.published() == 0
        shop.age(backlog_s, waiting_s=max(11, 0.7 * backlog_s))
        await shop.worker.once()
        assert (shop.published() > 0) == lists
        shop.age(50, waiting_s=49)
        await shop.worker.once()
        assert shop.published() > 0, "it waits no longer for an end that does not come"
        await shop.worker.close()

    run(body())
