"""Tests without Kafka of reading topics: availability, popularity with its marks, workers' progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from state.memory.entries import decay_weight
from streams.connections.bootstrap import Bootstrap
from streams.kinds import BOUGHT, BUILT_IN, WATCHED
from streams.messages.schema import SETTLE, CatalogueItem, PopularityMessage, Progress, SettleMark, encode
from streams.recommending import follower as module
from streams.recommending.board import Boards
from streams.recommending.follower import BoardFollower
from streams.topics import ITEMS, PROGRESS


@dataclass
class _Record:
    key: bytes | None
    value: bytes | None
    partition: int = 0


def made() -> tuple[Boards, BoardFollower]:
    boards = Boards(BUILT_IN, 10)
    return boards, BoardFollower(Bootstrap("nowhere"), boards)


def popularity(item_id: str, version: int = 1, **more: Any) -> bytes:
    answer: dict[str, Any] = {
        "item_id": item_id, "kind": "bought", "as_of": 1_750_075_200_000, "version": version, "buyers": 3,
        "newest_day": date(2025, 6, 16), "purchases": [2, 0, 1], "first_days": 3 * 20_089,
        "recent_buyers": 2.5,
        "repeaters": 1, "repeat_days": 2, "repeat_minutes": 3, "customers": 9, "available": True,
    }  # fmt: skip
    return encode(PopularityMessage(**(answer | more)))


def test_popularity_of_a_kind_goes_to_its_board_and_odd_records_are_passed_over() -> None:
    boards, follower = made()
    bought, watched = (boards.of(kind) for kind in BUILT_IN)
    records = [
        _Record(b"tea", popularity("tea")), _Record(b"odd", b"{"), _Record(b"odd", b'{"item_id": "odd"}'),
        _Record(None, None), _Record(SETTLE, b"{}"), _Record(b"milk", popularity("milk", buyers=5)),
        _Record(b"jam", popularity("jam")), _Record(b"jam", None),
    ]  # fmt: skip
    follower._take(BOUGHT.popularity.name, records)
    related = bought.popularity
    buyers = {
        name: int(related.popularity.buyers[related.items.number(name)]) for name in ("tea", "milk", "jam")
    }
    assert buyers == {"tea": 3, "milk": 5, "jam": 0}
    assert (related.customers, related.watermark_ms) == (9, 1_750_075_200_000)
    assert related.popularity.recent[related.items.number("tea")] == 3
    assert related.popularity.first_days[related.items.number("tea")] == 3 * 20_089
    weight = decay_weight(1_750_075_200_000 // 60_000)
    assert related.popularity.recent_buyers[related.items.number("tea")] == pytest.approx(2.5 * weight)
    assert related.popularity.repeats[related.items.number("tea")].tolist() == [1, 2, 3]
    assert len(watched.popularity.items) == 0


def test_a_mark_counts_once_it_was_read_in_every_partition() -> None:
    boards, follower = made()
    board = boards.of(BOUGHT)
    assert board.mark(2) == -1
    for partition, mark, known in ((0, 7, -1), (1, 5, 5), (1, 9, 7), (0, 9, 9)):
        follower._take(BOUGHT.popularity.name, [_Record(SETTLE, encode(SettleMark(mark)), partition)])
        assert board.mark(2) == known
    assert boards.of(WATCHED).mark(2) == -1


def test_hidden_items_are_hidden_on_every_board() -> None:
    boards, follower = made()

    def take(item_id: str, value: bytes | None) -> tuple[int, int]:
        follower._take(ITEMS.name, [_Record(item_id.encode(), value)])
        bought, watched = (boards.of(kind) for kind in BUILT_IN)
        assert bought.hidden == watched.hidden
        number = bought.popularity.items.number(item_id)
        available = {
            int(b.popularity.popularity.available[b.related.items.number(item_id)]) for b in (bought, watched)
        }
        assert len(available) == 1
        assert number == bought.related.items.number(item_id)
        return bought.hidden, available.pop()

    hidden = encode(CatalogueItem(item_id="tea", available=False))
    assert take("tea", encode(CatalogueItem(item_id="tea"))) == (0, 1)
    assert take("tea", hidden) == (1, 0)
    assert take("tea", hidden) == (1, 0)
    assert take("tea", encode(CatalogueItem(item_id="tea", price=2.5))) == (1, 1)
    assert take("tea", None) == (2, 0)
    assert take("tea", encode(CatalogueItem(item_id="tea"))) == (2, 1)
    assert take("other", hidden) == (2, 1)  # a key that is not the item's is refused, as workers refuse it
    assert take("tea", b"{") == (2, 1)


def test_nobody_is_ahead_of_a_worker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    _, follower = made()
    now = 100.0
    monkeypatch.setattr("streams.recommending.follower.time.monotonic", lambda: now)

    def report(applied: int, worker: str = "http://w") -> None:
        answer = Progress(task="purchases-1", worker=worker, applied=applied, stored=0)
        follower._take(PROGRESS.name, [_Record(b"purchases-1", encode(answer))])

    def first_ahead() -> int | None:
        return next((p for p in range(0, 40_000, 100) if follower.ahead("purchases-1", p, 2_000)), None)

    assert first_ahead() is None
    report(1_000)
    assert first_ahead() == 3_100  # this is more than the minimum
    report(6_000)
    assert first_ahead() == 16_100  # this is the work of two reports
    report(6_100)
    assert first_ahead() == 8_200
    report(9_000, worker="")  # this says where counting begins, and is of no worker
    assert first_ahead() == 8_200
    now += module.SILENT_S + 1
    assert first_ahead() is None
