"""Lists without Kafka: when they go out, what they say, and when they count as published."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.deltas import encode_settle
from streams import computing, refresh
from streams.customer_task import CustomerTask
from streams.freshness import NONE
from streams.item_task import ItemTask
from streams.kinds import BOUGHT
from streams.messages import EventMessage, key_text
from streams.outbox import Record
from streams.topics import PAIR_DELTAS, PURCHASES
from streams.transport import Chunk
from tests.events import as_event, purchases
from tests.oracle import Oracle
from tests.streams.offline import PARTITIONS, Broker, Offline, Sent, records_of, run
from tests.streams.test_pipeline import check

EVENTS, LISTS = TP(PURCHASES.name, 0), BOUGHT.lists.name
WINDOW = 50
LATE_MS = 60_000  # of what is a backlog


class _Shop:
    """A worker that counts purchases of one partition and lists the items of all."""

    def __init__(self, root: Path, *, at_once: bool = True, **settings: Any) -> None:
        self.worker = Offline(root, Broker(at_once=at_once), {"watched_bought_days": 0, **settings})
        self.broker = self.worker.broker
        self.events = CustomerTask(EVENTS, self.worker.context, BOUGHT)
        self.items = [
            ItemTask(TP(PAIR_DELTAS.name, p), self.worker.context, BOUGHT) for p in range(PARTITIONS)
        ]

    async def open(self) -> None:
        for task in (self.events, *self.items):
            await self.worker.open(task)

    def bought(self, messages: Sequence[EventMessage], published_ms: float | None = None) -> Chunk:
        """Purchases that follow, as fetched."""
        start = self.events.position
        records = records_of(messages, start)
        for record in records:
            record.timestamp = int(time.time() * 1000 if published_ms is None else published_ms)
        return Chunk(EVENTS, start, start + len(records), records)

    def deltas(self) -> list[Chunk]:
        """What the item tasks have not been given yet."""
        chunks = [self.worker.deltas(task.tp, task.position) for task in self.items]
        return [chunk for chunk in chunks if chunk.records]

    async def count(self, messages: Sequence[EventMessage], published_ms: float | None = None) -> None:
        """Count purchases: a cycle for them, and one for what follows from them."""
        await self.worker.once(self.bought(messages, published_ms))
        await self.worker.once(*self.deltas())

    async def settle(self) -> list[int]:
        """Ask every item task to list exactly; the positions at which they will have."""
        settle = encode_settle(time.time_ns())
        for task in self.items:
            self.worker.outbox.send(Record(task.tp.topic, task.tp.partition, None, settle))
        await self.worker.settle()
        self.broker.acknowledge(PAIR_DELTAS.name)
        await self.worker.once(*self.deltas())

        def told() -> bool:
            self.broker.acknowledge(BOUGHT.popularity.name)
            return all(task.refresher.settling for task in self.items)

        await self.worker.until(told)
        return [task.position for task in self.items]

    def lists(self) -> dict[str, Any]:
        """The newest list of every item."""
        newest = {record.key: record.value for record in self.broker.of(LISTS)}
        return {key_text(key): json.loads(value) for key, value in newest.items() if value is not None}

    def published(self) -> int:
        return len(self.broker.of(LISTS))

    @property
    def waiting(self) -> int:
        """Rows that are to be ranked."""
        return sum(len(task.machine.waiting()) for task in self.items)


def _oracle(messages: Sequence[EventMessage]) -> Oracle:
    return Oracle(WINDOW).feed(as_event(message) for message in messages)


def test_lists_of_fresh_rows_go_out_in_the_cycle_that_counts_them(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        assert shop.published() == 0
        await shop.worker.once(*shop.deltas())
        assert shop.waiting == 0
        after = _oracle(messages).after()
        lists = shop.lists()
        assert len(lists) > 50
        for item, message in lists.items():
            for entry in message["related"]:
                y = entry["item_id"]
                assert (entry["after"], entry["together"]) == (
                    after[item, y],
                    after[item, y] + after[y, item],
                )
        assert {r.key for r in shop.broker.of(LISTS)} == {item.encode() for item in lists}
        await shop.worker.close()

    run(body())


def test_rows_beyond_what_a_cycle_ranks_are_left_to_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "THREADS", 1)
    monkeypatch.setattr(computing, "FRESH_ROWS", 10)
    monkeypatch.setattr(computing, "WAITING_ROWS", 4)
    monkeypatch.setattr(computing, "SLICE_ROWS", 4)

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.count(messages)
        rows = sum(task.machine.row_count for task in shop.items)
        assert rows - shop.waiting == 10 + 4
        assert sum(task.refresher.staleness.take() for task in shop.items) == 0  # none is listed as a whole
        before = shop.waiting
        while shop.waiting:
            await shop.worker.once()
            assert before - 4 <= shop.waiting < before
            before = shop.waiting
        assert min(task.refresher.staleness.take() for task in shop.items) > 0
        assert len(shop.lists()) > 50
        assert shop.worker.cycle._pause_s() > 0
        await shop.worker.close()

    run(body())


def test_much_is_counted_side_by_side_and_as_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "THREADS", PARTITIONS)
    monkeypatch.setattr(computing, "SIDE_BY_SIDE_BYTES", 1)
    together = threading.Barrier(PARTITIONS + 1)
    met: list[int] = []

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        cycle = shop.worker.cycle
        count, apply_all = cycle.computing.count_and_rank, cycle.computing.apply_all

        def meeting(function: Any) -> Any:
            def called(*args: Any) -> Any:
                met.append(together.wait(20))
                return function(*args)

            return called

        messages = purchases(5, customers=30, items=60, events=1_200, returns=0.1, duplicates=0.05)
        await shop.worker.once(shop.bought(messages[:400]))
        for start in (400, 800):
            # what all three partitions count, and the events behind it, at the same time
            cycle.computing.count_and_rank = meeting(count)  # type: ignore[method-assign]
            cycle.computing.apply_all = meeting(apply_all)  # type: ignore[method-assign]
            await shop.worker.once(*shop.deltas(), shop.bought(messages[start : start + 400]))
            cycle.computing.count_and_rank, cycle.computing.apply_all = count, apply_all  # type: ignore[method-assign]
        assert len(met) == 2 * (PARTITIONS + 1)
        await shop.worker.once(*shop.deltas())
        await shop.settle()
        while cycle._pause_s() == 0:
            await shop.worker.once()
        check(shop.lists(), _oracle(messages))
        await shop.worker.close()

    run(body())


def test_an_error_beside_others_is_raised_once_all_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine would be saved while it counts."""
    monkeypatch.setattr(computing, "THREADS", PARTITIONS)
    monkeypatch.setattr(computing, "SIDE_BY_SIDE_BYTES", 1)
    ended = 0

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(5, customers=30, items=60, events=400)))
        count, failing = shop.worker.cycle.computing.count_and_rank, threading.Event()

        def called(part: Any, *args: Any) -> Any:
            nonlocal ended
            if shop.items[0] in part.tasks:
                failing.set()
                raise MemoryError("no room")
            assert failing.wait(20)
            time.sleep(0.05)  # the error is there by now
            counted = count(part, *args)
            ended += 1
            return counted

        shop.worker.cycle.computing.count_and_rank = called  # type: ignore[method-assign, assignment]
        with pytest.raises(MemoryError, match="no room"):
            await shop.worker.once(*shop.deltas())
        assert ended == PARTITIONS - 1

    run(body())


def test_a_settling_takes_over_the_pass_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "FRESH_ROWS", 0)  # all is left to a pass
    monkeypatch.setattr(computing, "SLICE_ROWS", 5)
    monkeypatch.setattr(computing, "WAITING_ROWS", 5)

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(3, customers=30, items=60, events=600)
        await shop.count(messages)
        await shop.worker.once()
        listed, rows = shop.published(), sum(task.machine.row_count for task in shop.items)
        assert 0 < listed < rows / 2
        # from the moment it is asked for, the pass waits for the settling
        for task in shop.items:
            task.refresher.expect_settling()
        assert shop.worker.cycle._pause_s() > 0
        await shop.worker.once()
        assert shop.published() == listed
        marks = await shop.settle()
        while shop.worker.cycle._pause_s() == 0:
            await shop.worker.once()
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        assert shop.published() <= listed + rows
        assert min(task.refresher.staleness.take() for task in shop.items) > 0
        check(shop.lists(), _oracle(messages))
        await shop.worker.close()

    run(body())


def test_a_pass_waits_no_longer_for_a_settling_than_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "FRESH_ROWS", 0)
    monkeypatch.setattr(refresh, "HOLD_S", 0.1)

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        for task in shop.items:
            task.refresher.expect_settling()
        await shop.count(purchases(3, customers=30, items=60, events=600))

        def goes_on() -> bool:
            return shop.worker.cycle._pause_s() == 0

        await shop.worker.until(goes_on)
        while shop.waiting:
            await shop.worker.once()
        assert len(shop.lists()) > 50
        await shop.worker.close()

    run(body())


def test_in_a_backlog_there_are_only_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "COUNTING_S", 3600.0)  # however slow the test is

    async def body() -> None:
        shop = _Shop(tmp_path, catch_up_ms=60_000)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=600)
        late_ms = time.time() * 1000 - LATE_MS
        for start in range(0, 400, 100):
            await shop.count(messages[start : start + 100], late_ms)
            await shop.worker.once()
        assert all(task.refresher.behind for task in shop.items)
        assert shop.published() == 0
        assert shop.worker.cycle._pause_s() > 0
        # what is counted is so old that a pass is due; then there is none for as long again
        for task in shop.items:
            task.refresher._counts.since -= refresh.PASS_AGE * 60 + 1
        while shop.waiting:
            await shop.worker.once()
        once = shop.published()
        assert once == len({record.key for record in shop.broker.of(LISTS)})
        await shop.count(messages[400:500], late_ms)
        await shop.worker.once()
        assert shop.published() == once
        assert shop.waiting > 0
        # at its end, live again, all that is left goes out
        await shop.count(messages[500:], time.time() * 1000)
        for _ in range(3):
            await shop.worker.once()
        assert shop.waiting == 0
        assert shop.published() > once
        await shop.settle()
        for _ in range(4):
            await shop.worker.once()
        check(shop.lists(), _oracle(messages))
        await shop.worker.close()

    run(body())


def test_settling_lists_everything_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "SLICE_ROWS", 7)  # so that it takes many cycles

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(3, customers=30, items=60, events=900, returns=0.1, duplicates=0.05)
        for start in range(0, 900, 90):
            await shop.count(messages[start : start + 90])
        marks = await shop.settle()
        cycles_taken = 0
        while shop.worker.cycle._pause_s() == 0:
            await shop.worker.once()
            cycles_taken += 1
        assert cycles_taken > 3
        await shop.worker.until(lambda: [task.refresher.listed for task in shop.items] == marks)
        assert [task.progress("").listed for task in shop.items] == marks
        check(shop.lists(), _oracle(messages))
        await shop.worker.close()

    run(body())


def test_lists_count_as_published_only_after_kafka_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "SLICE_ROWS", 15)

    async def body() -> None:
        shop = _Shop(tmp_path, at_once=False)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=30, items=60, events=400)))
        shop.broker.acknowledge()
        await shop.worker.settle()
        await shop.worker.once(*shop.deltas())
        assert any(batch.tp.topic == LISTS for batch in shop.broker.waiting)
        marks = await shop.settle()
        for _ in range(40):
            await shop.worker.once()
            shop.broker.acknowledge(BOUGHT.popularity.name)
        assert shop.worker.cycle._pause_s() > 0
        # every row was ranked, and the lists of the last ones were as they had been: there is nothing to wait
        # for but what was sent before
        assert [task.refresher.listed for task in shop.items] == [0] * PARTITIONS
        assert [task.progress("").latency_p50_ms for task in shop.items] == [NONE] * PARTITIONS
        assert [task.progress("").staleness_ms for task in shop.items] == [0] * PARTITIONS
        one = shop.items[1]
        while [batch for batch in shop.broker.waiting if batch.tp == one.refresher.tp]:
            assert one.refresher.listed == 0
            for batch in [batch for batch in shop.broker.waiting if batch.tp == one.refresher.tp]:
                shop.broker.waiting.remove(batch)
                batch.acknowledge()
            await shop.worker.settle()

        def listed() -> bool:
            shop.broker.acknowledge(BOUGHT.popularity.name)
            return one.refresher.listed > 0

        await shop.worker.until(listed)
        assert [task.refresher.listed for task in shop.items] == [0, marks[1], 0]
        progress = one.progress("")
        assert progress.latency_p50_ms > 0
        assert progress.staleness_ms > 0
        # what could not be sent is never said to be published
        for batch in shop.broker.waiting:
            batch.fail(OSError("gone"))
        await shop.worker.settle()
        assert [task.refresher.listed for task in shop.items] == [0, marks[1], 0]
        assert shop.items[0].progress("").latency_p50_ms == NONE
        await shop.worker.close()

    run(body())


def test_latency_and_staleness_are_from_the_event_to_what_kafka_has(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path, at_once=False)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=200)
        begin = time.time()
        await shop.worker.once(shop.bought(messages, begin * 1000 - 700))
        shop.broker.acknowledge()
        await shop.worker.settle()
        counted = time.monotonic()
        await shop.worker.once(*shop.deltas())
        ranked = time.monotonic()
        await asyncio.sleep(0.2)
        acknowledged = time.monotonic()
        shop.broker.acknowledge()
        await shop.worker.settle()
        most_ms = (time.time() - begin) * 1000 + 700
        for task in shop.items:
            progress = task.progress("")
            assert 900 <= progress.latency_p50_ms == progress.latency_p99_ms <= most_ms + 1
            least, most = (acknowledged - ranked) * 1000, (time.monotonic() - counted) * 1000
            assert least <= progress.staleness_ms <= most
            assert (task.progress("").latency_p50_ms, task.progress("").staleness_ms) == (NONE, 0)
        await shop.worker.close()

    run(body())


def test_lists_that_others_wrote_are_published_again(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.count(messages)
        task = shop.items[0]
        log = shop.broker.logs[task.refresher.tp]
        mine = shop.lists()
        await task.refresher.look_once()
        await shop.worker.once()
        assert shop.lists() == mine
        victims = [record.key for record in log[:3]]
        log += [Sent(len(log) + i, key, b'{"of":"another"}') for i, key in enumerate(victims)]
        log.append(Sent(len(log), b"nobody's", b"{}"))
        log.append(Sent(len(log), b"\xff\xfe no text", b"{}"))
        sent = shop.published()
        await task.refresher.look_once()
        assert shop.worker.cycle._pause_s() == 0
        await shop.worker.once()
        assert {key: value for key, value in shop.lists().items() if key in mine} == mine
        assert shop.published() == sent + 3
        await task.refresher.look_once()
        await shop.worker.once()
        assert shop.published() == sent + 3  # its own are not another's
        await shop.worker.close()

    run(body())


def test_nothing_is_published_before_it_is_known_where_the_partition_ended(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        shop.items[0].refresher._written = None
        await shop.count(purchases(1, customers=30, items=60, events=400))
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {1, 2}
        await shop.items[0].refresher.look_once()
        await shop.worker.once()
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {0, 1, 2}
        assert shop.waiting == 0
        await shop.worker.close()

    run(body())


# ---------------------------------------------------------------------- who may not publish


def test_a_worker_that_stood_still_publishes_nothing_before_it_is_confirmed(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        shop.worker.cycle.put(shop.deltas())
        count, lease = shop.worker.cycle.computing.count_and_rank, shop.worker.lease

        def slowly(*args: Any) -> Any:
            lease._confirmed_at = float("-inf")  # as if it stood still in the middle
            return count(*args)

        shop.worker.cycle.computing.count_and_rank = slowly  # type: ignore[method-assign, assignment]
        shop.worker.run()
        await shop.worker.until(lambda: shop.items[0].position == 1)
        await asyncio.sleep(0.2)
        assert shop.published() == 0
        shop.worker.cycle.computing.count_and_rank = count  # type: ignore[method-assign]
        lease.confirm()
        await shop.worker.until(lambda: shop.waiting == 0 and len(shop.lists()) > 50)
        await shop.worker.close()

    run(body())


def test_lists_of_a_partition_that_is_lost_meanwhile_are_not_sent(tmp_path: Path) -> None:
    """If it was not lost after all, they are ranked and sent again."""

    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        messages = purchases(1, customers=30, items=60, events=400)
        await shop.worker.once(shop.bought(messages))
        lost = shop.items[1].tp
        count = shop.worker.cycle.computing.count_and_rank

        def rebalanced(*args: Any) -> Any:
            counted = count(*args)
            shop.worker.owned = lambda tp: tp != lost
            return counted

        shop.worker.cycle.computing.count_and_rank = rebalanced  # type: ignore[method-assign, assignment]
        await shop.worker.once(*shop.deltas())
        shop.worker.cycle.computing.count_and_rank = count  # type: ignore[method-assign]
        assert {tp.partition for tp in shop.broker.logs if tp.topic == LISTS} == {0, 2}
        assert shop.items[1].progress("").latency_p50_ms == NONE
        shop.worker.owned = lambda _tp: True
        assert shop.worker.cycle._pause_s() == 0
        marks = await shop.settle()
        for _ in range(6):
            await shop.worker.once()
        assert [task.refresher.listed for task in shop.items] == marks
        assert shop.items[1].progress("").latency_p50_ms != NONE
        check(shop.lists(), _oracle(messages))
        await shop.worker.close()

    run(body())


def test_a_worker_stops_though_the_group_is_gone(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        await shop.worker.once(shop.bought(purchases(1, customers=30, items=60, events=400)))
        count, lease = shop.worker.cycle.computing.count_and_rank, shop.worker.lease

        def slowly(*args: Any) -> Any:
            counted = count(*args)
            lease._confirmed_at = float("-inf")
            return counted

        shop.worker.cycle.computing.count_and_rank = slowly  # type: ignore[method-assign, assignment]
        shop.worker.cycle.put(shop.deltas())
        shop.worker.run()
        await shop.worker.until(lambda: shop.items[0].position == 1)
        await asyncio.sleep(0.2)
        closing = asyncio.create_task(shop.worker.close(save=True))
        await asyncio.sleep(0.1)
        assert not closing.done()
        shop.worker.cycle.stop()
        async with asyncio.timeout(5):
            await closing
        assert shop.published() == 0
        assert shop.worker.stored(shop.items[0].tp) == 1

    run(body())
