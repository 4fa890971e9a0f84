"""The demo prints one line for each change of a shown item's list, up to a limit."""

from __future__ import annotations

import time

import pytest

from alsobought.demo import moving as demo_moving
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import TopicRecord
from streams.messages.schema import RelatedItem, RelatedItems, encode


def _list(item: str, buyers: int, *related: str) -> TopicRecord:
    entries = [RelatedItem(name, 1.0, 1, 1, 1.0, 0.1) for name in related]
    return TopicRecord(
        0,
        0,
        0,
        item.encode(),
        encode(RelatedItems(item, "bought", 0, 1, buyers, 9, 9.0, entries)),
        by_broker=True,
    )


class _Records:
    """A stand-in for a follower that returns given records, poll by poll."""

    polls: tuple[list[TopicRecord], ...] = ()

    def __init__(self, *_: object) -> None:
        self._left = list(self.polls)

    def poll(self, _timeout_ms: int) -> list[TopicRecord]:
        return self._left.pop(0) if self._left else []

    def __exit__(self, *_: object) -> None:
        pass


def _shown(
    monkeypatch: pytest.MonkeyPatch, *polls: list[TopicRecord], patience_s: float = 0.2
) -> float | None:
    monkeypatch.setattr(_Records, "polls", polls)
    monkeypatch.setattr(demo_moving, "Follower", _Records)
    monkeypatch.setattr(demo_moving, "PATIENCE_S", patience_s)
    monkeypatch.setattr(demo_moving, "QUIET_S", 0.05)
    with demo_moving.MovingLists(Bootstrap("nowhere"), ["tea", "milk"]) as lists:
        return lists.show(time.monotonic() - 5, {"tea": "Assam", "milk": "Whole milk"})


def test_a_line_for_each_change(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tea = _list("tea", 3, "milk", "bread")
    first = _shown(
        monkeypatch,
        [_list("bread", 2, "tea"), TopicRecord(0, 0, 0, b"tea", None, by_broker=True)],
        [tea, tea, _list("tea", 4, "milk")],
    )
    assert first is not None
    assert 5 <= first < 6
    assert [line.partition(" s  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "Assam (3 buyers) goes with: Whole milk; bread",
        "Assam (4 buyers) goes with: Whole milk",
    ]


def test_it_ends_after_some_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _shown(monkeypatch, [_list("tea", buyers, "milk") for buyers in range(100)])
    assert len(capsys.readouterr().out.splitlines()) == demo_moving.LINES


def test_it_says_so_if_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shown(monkeypatch) is None


def test_it_ends_soon_after_the_last_change_while_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tea = [_list("tea", 3, "milk")]
    others = [_list("bread", 2, "tea"), *tea]
    monkeypatch.setattr(_Records, "poll", lambda self, _ms: self._left.pop(0) if self._left else others)
    begin = time.monotonic()
    assert _shown(monkeypatch, tea, patience_s=60) is not None
    assert time.monotonic() - begin < 30
    assert len(capsys.readouterr().out.splitlines()) == 1
