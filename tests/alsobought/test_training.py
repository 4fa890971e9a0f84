"""Tests without Kafka of reading events to learn from, and of a training that is interrupted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from alsobought import training
from alsobought.options import CommandError
from alsobought.training import Collected, Fit, _Record
from chronological.errors import BadTrainingFile
from chronological.examples import Log
from chronological.model import encode as encode_model
from chronological.training import Report
from streams.kinds import BOUGHT, BUILT_IN
from streams.messages.schema import EventMessage, encode
from tests.events import DAY_MS, START_MS, purchases


def record(event: EventMessage, published_ms: int = 1 << 60) -> _Record:
    return _Record(0, published_ms, event.customer_id.encode(), encode(event))


def collected(events: list[EventMessage], at_once: int = 100) -> Collected:
    found = Collected(BOUGHT, BUILT_IN)
    for start in range(0, len(events), at_once):
        found.add([record(event) for event in events[start : start + at_once]])
    return found


def rows(log: Log, ids: list[str]) -> list[tuple[int, str]]:
    """Return times and items, sorted."""
    return sorted((t, ids[i]) for t, i in zip(log.times_ms.tolist(), log.items.tolist(), strict=True))


def plain(events: list[EventMessage]) -> list[tuple[int, str]]:
    """Return the purchases that hold, of items that three customers have."""
    has: dict[tuple[str, str], list[EventMessage]] = {}
    left: dict[tuple[str, str], int] = {}
    for event in events:
        pair = event.customer_id, event.item_id
        if event.type == "forget":
            for one in [one for one in has if one[0] == event.customer_id]:
                del has[one], left[one]
        elif event.type != "return":
            has.setdefault(pair, []).append(event)
            left[pair] = left.get(pair, 0) + event.quantity
        elif pair in has and left[pair] >= event.quantity:  # otherwise there would be less to return
            left[pair] -= event.quantity
            if not left[pair]:
                del has[pair], left[pair]
    buyers: dict[str, set[str]] = defaultdict(set)
    for customer, item in has:
        buyers[item].add(customer)
    return sorted(
        (int(t), item)
        for (_, item), some in has.items()
        if len(buyers[item]) >= 3
        for t in {e.timestamp for e in some}  # two purchases at the same time count once
    )


def events(seed: int = 1) -> list[EventMessage]:
    made = purchases(seed, 60, 120, 3_000, days=70, returns=0.05, duplicates=0.0)
    at = 2_000
    for customer in ("c3", "c5"):
        made.insert(at, EventMessage(customer_id=customer, timestamp=START_MS + 50 * DAY_MS, type="forget"))
    return made


def test_training_uses_only_events_that_hold() -> None:
    some = events()
    log, ids = collected(some).log(None)
    assert rows(log, ids) == plain(some)
    assert ids == sorted(ids)
    without = [event for event in some if event.type is None or event.type == "purchase"]
    assert len(plain(without)) > len(plain(some)) + 50  # returns and erasures take something away


def test_only_events_until_a_moment() -> None:
    some = events()
    until = START_MS + 40 * DAY_MS
    log, ids = collected(some).log(until)
    expected, _ = collected([e for e in some if e.type != "forget"]).log(until)
    assert log.times_ms[-1] <= until < expected.times_ms[-1] + DAY_MS
    assert len(ids) == log.item_count == len(np.unique(log.items))


def test_the_order_in_which_partitions_are_read_does_not_matter() -> None:
    some = events()
    # each customer's events are in order
    by_partition = sorted(some, key=lambda event: int(event.customer_id[1:]) % 4)
    one, other = collected(some), collected(by_partition, at_once=317)
    (log, ids), (same, same_ids) = one.log(None), other.log(None)
    assert ids == same_ids
    for column in ("customers", "items", "times_ms"):
        np.testing.assert_array_equal(getattr(log, column), getattr(same, column))


def test_events_that_workers_refuse_are_left_out() -> None:
    found = Collected(BOUGHT, BUILT_IN)
    good = EventMessage(customer_id="ann", item_id="tea", timestamp=START_MS)
    found.add([
        record(good),
        _Record(1, 1 << 60, b"ann", b"{"),
        _Record(2, 1 << 60, b"ben", encode(good)),
        _Record(3, 1 << 60, b"ann", None),
        record(EventMessage(customer_id="ann", item_id="tea", timestamp=START_MS, type="watch")),
        record(EventMessage(customer_id="ann", item_id="tea", timestamp=5)),
        record(good, published_ms=START_MS - 2 * DAY_MS),
    ])  # fmt: skip
    assert found.refused == 6


def test_an_interrupted_training_continues_to_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = events()
    whole = Fit(tmp_path / "whole", BOUGHT, collected(some), 5, resume=False)
    reports: list[Report] = []
    whole.run(reports.append)

    half = len(reports) // 2
    monkeypatch.setattr(training, "SAVE_EVERY_S", -1.0)  # after every batch

    def stop(report: Report) -> None:
        if report.batches == half + 1:
            raise KeyboardInterrupt  # this happens before the batch is saved

    broken = Fit(tmp_path, BOUGHT, collected(some), 5, resume=False)
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop)
    (file,) = (tmp_path / "training").iterdir()
    later = [
        *some,
        EventMessage(customer_id="c1", item_id="i1", timestamp=START_MS + 90 * DAY_MS),
        EventMessage(customer_id="c00new", item_id="i00new", timestamp=START_MS + 90 * DAY_MS),
    ]
    with pytest.raises(BadTrainingFile, match="another seed"):
        Fit(tmp_path, BOUGHT, collected(later), 6, resume=True)
    assert file.exists()
    again = Fit(tmp_path, BOUGHT, collected(later), 5, resume=True)
    assert again.until_ms == whole.until_ms
    rest: list[Report] = []
    assert again.run(rest.append) == reports[-1]
    assert rest == reports[half:]
    assert encode_model(again.model(1)) == encode_model(whole.model(1))


def test_a_finished_training_is_kept_until_its_model_is_announced(tmp_path: Path) -> None:
    some = events()
    fit = Fit(tmp_path, BOUGHT, collected(some), 5, resume=False)
    answer = fit.run(lambda _report: None)
    again = Fit(tmp_path, BOUGHT, collected(some), 5, resume=True)
    reports: list[Report] = []
    assert again.run(reports.append) == answer
    assert not reports  # nothing is learnt twice
    assert encode_model(again.model(1)) == encode_model(fit.model(1))
    again.announced()
    assert list((tmp_path / "training").iterdir()) == []
    with pytest.raises(CommandError, match="there is no interrupted training of bought"):
        Fit(tmp_path, BOUGHT, collected(some), 5, resume=True)
