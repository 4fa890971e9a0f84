"""What `drain` says while it waits, and when it gives up."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from alsobought import draining
from alsobought.draining import drain
from alsobought.options import CommandError
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import LISTED
from streams.messages.schema import Progress, encode
from tests.streams.pipeline import PARTITIONS


def test_drain_distinguishes_counting_from_listing() -> None:
    progress = Progress(task="pair-deltas-2", worker="", applied=1_000, stored=0, listed=900)
    said = [draining._unlisted(progress.task, target, progress) for target in (900, 1_001, 1_002, 2_236)]
    assert said == [
        "",
        "pair-deltas-2: lists not refreshed yet",
        "pair-deltas-2: 1 message not counted yet",
        "pair-deltas-2: 1,235 messages not counted yet",
    ]
    progress = Progress(task="purchases-3", worker="", applied=1_000, stored=0)
    assert draining._uncounted(progress.task, 1_000, progress) == ""
    assert draining._uncounted(progress.task, 2_234, progress) == "purchases-3: 1,234 events not counted yet"


def test_drain_says_nothing_before_anybody_has_reported() -> None:
    reports = [
        [], [("purchases-0", 0)], [("purchases-0", 1)],
    ]  # fmt: skip

    def poll() -> list[SimpleNamespace]:
        return [
            SimpleNamespace(value=encode(Progress(task=task, worker="", applied=applied, stored=0)))
            for task, applied in reports.pop(0)
        ]

    said: list[str] = []
    follower: Any = SimpleNamespace(poll=poll)
    waiting = draining._Waiting(follower, time.monotonic() + 20, 20, said.append)
    waiting.until("all is counted", {"purchases-0": 1}, draining._uncounted)
    assert said == ["purchases-0: 1 event not counted yet"]
    waiting.until("what is known", {"purchases-0": 1}, draining._uncounted)  # without another report
    assert not reports


def test_drain_reports_which_task_is_missing(new_kafka: Callable[[], EmbeddedKafka]) -> None:
    kafka, said = new_kafka(), list[str]()
    with pytest.raises(CommandError, match="until everything is counted, and it is not"):
        drain(kafka.bootstrap, LISTED, 0.0, said.append)
    names = [f"{topic}-{p}" for topic in ("purchases", "watches", "items") for p in range(PARTITIONS)]
    assert said[0] == f"no worker has reported for {', '.join(names)}: start one with `alsobought worker`"
