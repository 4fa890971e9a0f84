"""Reading topics from outside the workers."""

from __future__ import annotations

import time

import pytest

from streams import views
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.topics import TopicSpec
from streams.views import Follower, Row, send
from tests.streams.pipeline import until


def _polled(follower: Follower, n: int) -> list[Row]:
    rows: list[Row] = []

    def enough() -> bool:
        rows.extend(follower.poll(100))
        return len(rows) >= n

    until(enough, f"{n} records")
    return rows


def test_a_follower_that_hears_nothing_more_goes_on_with_another_consumer(
    broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TopicSpec("followed", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 2, 1)
    send(broker.bootstrap, spec, [(0, b"k", b"before")])
    with Follower(broker.bootstrap, spec, back=1) as follower:
        assert [row.value for row in _polled(follower, 1)] == [b"before"]
        deaf = follower._reader
        monkeypatch.setattr(deaf, "poll", lambda _timeout_ms: {})
        send(broker.bootstrap, spec, [(0, b"k", b"1"), (1, b"k", b"2"), (0, b"k", b"3")])
        assert follower.poll(100) == []
        monkeypatch.setattr(views, "QUIET_S", 0.0)
        follower._heard = time.monotonic() - 1
        rows = follower.poll(100)
        monkeypatch.setattr(views, "QUIET_S", 60.0)
        rows += _polled(follower, 3 - len(rows))
        assert follower._reader is not deaf
        assert sorted(row.value or b"" for row in rows) == [b"1", b"2", b"3"]
        assert [row.value for row in rows if row.partition == 0] == [b"1", b"3"]


def test_a_follower_outlives_its_broker(broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is away there is nothing to read, and no error either."""
    spec = TopicSpec("followed-2", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 1, 1)
    with Follower(broker.bootstrap, spec) as follower:
        monkeypatch.setattr(views, "QUIET_S", 0.0)
        bootstrap, follower._bootstrap = follower._bootstrap, "127.0.0.1:1"
        assert follower.poll(10) == []
        follower._bootstrap = bootstrap
        send(broker.bootstrap, spec, [(0, b"k", b"1")])
        monkeypatch.setattr(views, "QUIET_S", 60.0)
        assert [row.value for row in _polled(follower, 1)] == [b"1"]
