"""A cycle takes a share of what was fetched, joins what belongs together, and lists once there is time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from state.messages.deltas import decode
from streams.kafka.transport import Chunk
from streams.recommending.tasks import RecommenderTasks
from streams.tasks import cycle
from streams.tasks.intake import EVERYTHING, USUAL, Share
from streams.tasks.refresh import Refresher
from streams.topics import PAIR_DELTAS
from streams.worker import Tasks
from tests.events import purchases
from tests.streams.listing import EVENTS, Shop
from tests.streams.offline import records_of, run

N = 900
SMALL = Share(70, 1 << 20)


class _Shop(Shop):
    """A shop whose cycles take a share; `sizes` are the numbers of events that were applied at once."""

    def __init__(self, root: Path, share: Share = USUAL) -> None:
        super().__init__(root)
        self.intake = self.worker.cycle.intake
        self.intake._share = share
        self.sizes: list[int] = []
        self._apply, self.events.apply = self.events.apply, self._noted  # type: ignore[method-assign]

    def _noted(self, chunk: Chunk, records: Sequence[Any]) -> Any:
        self.sizes.append(len(records))
        return self._apply(chunk, records)

    def holds_something(self) -> bool:
        return bool(self.intake._inbox.partitions())

    def rows_waiting(self) -> int:
        """Return how many rows wait for being ranked."""
        return sum(len(task.machine.waiting()) for task in self.items)

    async def count_all(self) -> None:
        """Hand deltas to the cycle, as they come, until nothing is left to be counted."""

        def counted() -> bool:
            if not self.holds_something() or self.intake.holds_events:
                self.worker.cycle.put(self.deltas())
            ends = [self.worker.outbox.end_of(task.tp) for task in self.items]
            return self.events.position == N and [task.position for task in self.items] == ends

        await self.worker.until(counted)


def _chunks(of: int) -> list[Chunk]:
    records = records_of(purchases(3, customers=40, items=60, events=N))
    return [Chunk(EVENTS, at, at + of, records[at : at + of]) for at in range(0, N, of)]


def test_small_chunks_of_a_partition_are_applied_as_one(tmp_path: Path) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path)
        await shop.open()
        await shop.worker.once(*_chunks(of=9))
        assert shop.sizes == [N]
        deltas = [decode(record.value or b"") for record in shop.broker.of(PAIR_DELTAS.name)]
        assert {(one.previous, one.end) for one in deltas} == {(0, N)}
        await shop.worker.close()

    run(body())


def test_a_cycle_takes_a_share_and_the_next_ones_go_on_though_nothing_more_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "IDLE_S", 3_600.0)  # the next cycle does not wait for anything

    async def body() -> None:
        shop = _Shop(tmp_path, SMALL)
        await shop.open()
        shop.worker.cycle.put(_chunks(of=N // 2))
        shop.worker.run()
        await shop.count_all()
        assert shop.sizes == [SMALL.records] * (N // SMALL.records) + [N % SMALL.records]
        await shop.worker.halt()
        expected = {(message.customer_id, message.item_id) for message in purchases(3, 40, 60, N)}
        buyers = {
            task.machine.items.id(item): int(task.machine.popularity.buyers[item])
            for task in shop.items
            for item in task.machine.tables.item_of[: task.machine.row_count].tolist()
        }
        assert buyers == {item: sum(one == item for _, one in expected) for _, item in expected}
        await shop.worker.close()

    run(body())


def test_a_backlog_is_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        shop = _Shop(tmp_path, SMALL)
        await shop.open()
        first, second, third = _chunks(of=300)
        await shop.worker.once(first)
        monkeypatch.setattr(Refresher, "behind", property(lambda _self: True))
        await shop.worker.once(second, third)
        assert shop.sizes == [SMALL.records, N - SMALL.records]
        await shop.worker.close()

    run(body())


def test_only_where_lists_are_made_do_cycles_take_a_share() -> None:
    assert (Tasks.share, RecommenderTasks.share) == (USUAL, EVERYTHING)


@pytest.mark.parametrize("where", ["fetched", "in Kafka"])
def test_nothing_is_listed_at_once_while_more_waits_to_be_counted(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, asked = Refresher.fresh, list[int]()

    def noted(refresher: Refresher, most: int) -> Any:
        asked.append(most)
        return fresh(refresher, most)

    async def body() -> None:
        shop = _Shop(tmp_path, SMALL)
        await shop.open()
        first, second, *others = _chunks(of=60)
        await shop.worker.once(first)
        monkeypatch.setattr(Refresher, "fresh", noted)
        if where == "fetched":
            await shop.worker.once(*shop.deltas(), second, *others[:2])
        else:
            left = Chunk(second.tp, second.start, second.end, second.records, left=SMALL.records + 1)
            await shop.worker.once(*shop.deltas(), left)
        assert set(asked) == {0}
        rows = shop.rows_waiting()
        assert rows > 0
        while shop.holds_something():
            await shop.worker.once(*shop.deltas())
        asked.clear()
        await shop.worker.once(*shop.deltas())
        assert asked[0] > 0
        await shop.worker.once()
        assert shop.rows_waiting() == 0
        assert shop.published() >= rows
        await shop.worker.close()

    run(body())
