"""A cycle takes a share of what was fetched, joins what belongs together, and lists once there is time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from state.messages.deltas import decode
from streams.kafka.transport import Chunk
from streams.tasks import cycle
from streams.tasks.refresh import Refresher
from streams.topics import PAIR_DELTAS
from tests.events import purchases
from tests.streams.listing import EVENTS, Shop
from tests.streams.offline import records_of, run

N = 900


def _applied(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of events applied at once; they are noted from now on."""
    sizes: list[int] = []
    apply = shop.events.apply

    def noted(chunk: Chunk, records: Sequence[Any]) -> Any:
        sizes.append(len(records))
        return apply(chunk, records)

    monkeypatch.setattr(shop.events, "apply", noted)
    return sizes


def _chunks(of: int) -> list[Chunk]:
    records = records_of(purchases(3, customers=40, items=60, events=N))
    return [Chunk(EVENTS, at, at + of, records[at : at + of]) for at in range(0, N, of)]


async def _until_all_is_counted(shop: Shop) -> None:
    """Hand deltas to the cycle, as they come, until nothing is left to be counted."""
    cycles, outbox = shop.worker.cycle, shop.worker.outbox

    def counted() -> bool:
        if not cycles._inbox.partitions() or cycles.holds_events:
            cycles.put(shop.deltas())
        ends = [outbox.end_of(task.tp) for task in shop.items]
        return shop.events.position == N and [task.position for task in shop.items] == ends

    await shop.worker.until(counted)


def test_small_chunks_of_a_partition_are_applied_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        sizes = _applied(shop, monkeypatch)
        await shop.worker.once(*_chunks(of=9))
        assert sizes == [N]
        deltas = [decode(record.value or b"") for record in shop.broker.of(PAIR_DELTAS.name)]
        assert {(one.previous, one.end) for one in deltas} == {(0, N)}
        await shop.worker.close()

    run(body())


def test_a_cycle_takes_a_share_and_the_next_ones_go_on_though_nothing_more_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = 70
    monkeypatch.setattr(cycle, "CYCLE_RECORDS", share)
    monkeypatch.setattr(cycle, "IDLE_S", 3_600.0)  # the next cycle does not wait for anything

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        sizes = _applied(shop, monkeypatch)
        shop.worker.cycle.put(_chunks(of=N // 2))
        shop.worker.run()
        await _until_all_is_counted(shop)
        assert sizes == [share] * (N // share) + [N % share]
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
    monkeypatch.setattr(cycle, "CYCLE_RECORDS", 70)
    monkeypatch.setattr(Refresher, "behind", property(lambda _self: True))

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        sizes = _applied(shop, monkeypatch)
        await shop.worker.once(*_chunks(of=300))
        assert sizes == [N]
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize("where", ["fetched", "in Kafka"])
def test_nothing_is_listed_at_once_while_more_waits_to_be_counted(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "CYCLE_RECORDS", 70)
    fresh, asked = Refresher.fresh, list[int]()

    def noted(refresher: Refresher, most: int) -> Any:
        asked.append(most)
        return fresh(refresher, most)

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        first, *others = _chunks(of=60)
        await shop.worker.once(first)
        monkeypatch.setattr(Refresher, "fresh", noted)
        if where == "fetched":
            await shop.worker.once(*shop.deltas(), *others[:3])
        else:
            one = others[0]
            left = Chunk(one.tp, one.start, one.end, one.records, left=71)
            await shop.worker.once(*shop.deltas(), left)
        assert set(asked) == {0}
        rows = sum(len(task.machine.waiting()) for task in shop.items)
        assert rows > 0
        while shop.worker.cycle._inbox.partitions():
            await shop.worker.once(*shop.deltas())
        asked.clear()
        await shop.worker.once(*shop.deltas())
        assert asked[0] > 0
        await shop.worker.once()
        assert sum(len(task.machine.waiting()) for task in shop.items) == 0
        assert shop.published() >= rows
        await shop.worker.close()

    run(body())
