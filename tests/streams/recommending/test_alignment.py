"""Lists and popularity wait for the events that they have counted, and nothing is learnt from old ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.connections.bootstrap import Bootstrap
from streams.kafka.transport import Chunk
from streams.kinds import BOUGHT, BUILT_IN, WATCHED
from streams.messages.schema import COUNTED, SETTLE, CountedMessage, SettleMark, encode
from streams.recommending.alignment import ACTIVE_S, IDLE_S, Alignment, as_of_ms
from streams.recommending.board import Boards
from streams.recommending.follower import LATE_MS, BoardFollower
from tests.events import DAY_MS, START_MS, purchases
from tests.streams.recommending.one_task import Record, new_task

LISTS = TP(BOUGHT.lists.name, 0)


def lists(*as_of: int | None, offset: int = 0, timestamp: int = 0) -> list[Any]:
    values = [
        None if at is None else b'{"item_id":"\\"as_of\\":7","as_of":%d,"related":[]}' % at for at in as_of
    ]
    return [
        SimpleNamespace(key=b"tea", value=value, offset=offset + n, timestamp=timestamp, partition=0)
        for n, value in enumerate(values)
    ]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """The part of a consumer that is used for holding partitions up."""

    def __init__(self, end: int) -> None:
        self.end, self.paused = end, set[TP]()

    def highwater(self, _tp: TP) -> int:
        return self.end

    def pause(self, tp: TP) -> None:
        self.paused.add(tp)

    def resume(self, tp: TP) -> None:
        self.paused.remove(tp)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([], -1), (lists(None), -1), (lists(5), 5), (lists(5, 9), 9), (lists(5, 9, None), 9),
        ([SimpleNamespace(value=encode(SettleMark(3)))], -1),
        ([SimpleNamespace(value=encode(CountedMessage(8, 3, [])))], 8),
        ([SimpleNamespace(value=b"\xff")], -1),
    ],
)  # fmt: skip
def test_the_event_time_of_records_is_that_of_the_last_that_has_one(records: list[Any], found: int) -> None:
    assert as_of_ms(records) == found


def test_lists_wait_for_the_slowest_task_that_has_more_to_read() -> None:
    clock = Clock()
    alignment = Alignment(clock)
    assert not alignment.holds_up(lists(50))  # nobody reads events
    alignment.has_more(0, 10)
    alignment.has_more(1, 20)
    assert [at for at in (10, 11, 20, 21) if alignment.holds_up(lists(at))] == [11, 20, 21]
    alignment.applied(0, 30, left=0)
    assert [at for at in (20, 21, 30) if alignment.holds_up(lists(at))] == [21, 30]
    alignment.applied(1, 25, left=3)
    assert [at for at in (25, 26, 30) if alignment.holds_up(lists(at))] == [26, 30]
    clock.now += 10 * IDLE_S  # lists wait for a task that has more to read, however long it takes
    assert alignment.holds_up(lists(26))
    alignment.closed(1)
    assert not alignment.holds_up(lists(26))


def test_lists_wait_a_moment_for_events_that_nobody_has_fetched_yet() -> None:
    clock = Clock()
    alignment = Alignment(clock)
    alignment.applied(0, 30, left=0)
    alignment.applied(1, 20, left=0)
    assert not alignment.holds_up(lists(30))
    assert alignment.holds_up(lists(31))
    clock.now += IDLE_S
    assert not alignment.holds_up(lists(31))  # the event belongs to another recommender


def test_popularity_of_a_partition_that_changes_must_not_be_old() -> None:
    clock = Clock()
    alignment = Alignment(clock)
    assert alignment.is_fresh(9 * DAY_MS)  # a new shop has no popularity
    alignment.counted(0, 5 * DAY_MS)
    clock.now += ACTIVE_S / 2
    alignment.counted(1, 7 * DAY_MS)
    assert [day for day in (5, 6, 7) if alignment.is_fresh(day * DAY_MS)] == [5]
    clock.now += ACTIVE_S / 2  # nothing has changed in the first partition since then
    assert [day for day in (5, 6, 7, 8) if alignment.is_fresh(day * DAY_MS)] == [5, 6, 7]


def test_records_that_are_held_up_are_taken_in_once_events_are_there() -> None:
    async def main() -> None:
        boards = Boards(BUILT_IN, 10)
        follower, reader, taken = BoardFollower(Bootstrap("nowhere"), boards), Reader(3), list[str]()
        follower._take = lambda topic, records: taken.append(topic)  # type: ignore[method-assign]
        board = boards.of(BOUGHT)
        board.alignment.applied(0, 30, left=1)
        early, late, other = lists(20, 30), lists(40, offset=2), TP(WATCHED.lists.name, 0)
        await follower._take_or_keep(reader, LISTS, early)
        assert (taken, follower._positions) == ([LISTS.topic], {LISTS: 2})
        for _ in range(2):
            await follower._take_or_keep(reader, LISTS, late)
            assert (follower._kept, reader.paused, follower._positions[LISTS]) == (
                {LISTS: late},
                {LISTS},
                2,
            )
        await follower._take_or_keep(reader, other, lists(90))  # these are of another kind
        assert taken == [LISTS.topic, other.topic]
        board.alignment.applied(0, 40, left=1)
        await follower._take_or_keep(reader, LISTS, late)
        assert (follower._kept, reader.paused, follower._positions[LISTS]) == ({}, set(), 3)
        assert taken == [LISTS.topic, other.topic, LISTS.topic]

    asyncio.run(main())


def test_lists_that_are_read_late_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        boards = Boards(BUILT_IN, 10)
        follower, reader, now_ms = BoardFollower(Bootstrap("nowhere"), boards), Reader(9), 1_000_000
        follower._take = lambda *_args: None  # type: ignore[method-assign]
        monkeypatch.setattr("streams.recommending.follower.time.time", lambda: now_ms / 1000)
        board = boards.of(BOUGHT)
        old = now_ms - LATE_MS - 1
        await follower._take_or_keep(reader, LISTS, lists(1, timestamp=now_ms - LATE_MS))
        assert not follower.is_late(board)
        await follower._take_or_keep(reader, LISTS, lists(1, offset=1, timestamp=old))
        assert follower.is_late(board)
        assert not follower.is_late(boards.of(WATCHED))
        board.alignment.applied(0, 1, left=1)
        await follower._take_or_keep(reader, LISTS, lists(2, offset=2, timestamp=old))
        # they are later than the events, and it is the events that are late
        assert not follower.is_late(board)
        board.alignment.closed(0)
        await follower._take_or_keep(reader, LISTS, lists(2, offset=8, timestamp=old))
        assert not follower.is_late(board)  # everything is read

    asyncio.run(main())


def test_counted_popularity_says_how_old_it_is() -> None:
    boards = Boards(BUILT_IN, 10)
    follower, board = BoardFollower(Bootstrap("nowhere"), boards), boards.of(BOUGHT)
    follower._take(
        BOUGHT.popularity.name,
        [
            SimpleNamespace(key=COUNTED, value=encode(CountedMessage(START_MS, 1, [])), partition=1),
            SimpleNamespace(key=SETTLE, value=encode(SettleMark(1)), partition=1),
        ],
    )
    assert board.alignment.is_fresh(START_MS + DAY_MS - 1)
    assert not board.alignment.is_fresh(START_MS + DAY_MS)


def test_a_task_holds_lists_up_until_it_has_applied_its_events(tmp_path: Path) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        alignment = task._board.alignment
        events = purchases(3, 5, 20, 60)
        values = [Record(n, event.customer_id.encode(), encode(event)) for n, event in enumerate(events)]
        newest = max(int(event.timestamp) for event in events[:30])
        task.take(Chunk(task.tp, 0, 30, values[:30], left=30))
        assert not alignment.holds_up(lists(newest))
        assert alignment.holds_up(lists(newest + 1))
        task.take(Chunk(task.tp, 30, 60, values[30:], left=0))
        newest = max(int(event.timestamp) for event in events)
        assert not alignment.holds_up(lists(newest))
        task.postpones(0.0)  # a cycle has a chunk for the task
        assert alignment.holds_up(lists(newest + 1))
        await task.close(save=False)
        alignment._applied_at = float("-inf")
        assert not alignment.holds_up(lists(newest + 1))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("popularity_days", "late", "learns"), [(0, False, True), (2, False, False), (0, True, False)]
)
def test_a_task_learns_only_from_fresh_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, popularity_days: int, late: bool, learns: bool
) -> None:
    async def main() -> None:
        task = new_task(tmp_path)
        follower, board = task.advice._follower, task._board
        follower.caught_up.set()
        monkeypatch.setattr(follower, "is_late", lambda asked: late and asked is board)
        events = purchases(3, 5, 20, 60)
        records = [Record(n, event.customer_id.encode(), encode(event)) for n, event in enumerate(events)]
        task.take(Chunk(task.tp, 0, 30, records[:30]))
        newest_ms = max(int(event.timestamp) for event in events[:30])
        board.alignment.counted(0, newest_ms - popularity_days * DAY_MS)
        learner = task.advice.learner()
        assert learner is not None
        before = sum(learner.quality.cases.values())
        task.take(Chunk(task.tp, 30, 60, records[30:]))
        assert (sum(learner.quality.cases.values()) > before) == learns

    asyncio.run(main())
