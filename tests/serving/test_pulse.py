"""Tests of pulses: what is sampled, and the rates that they are made of."""

from __future__ import annotations

import pytest

from serving.pulse import Pulse, by_topic, newest_rates
from streams.kinds import BOUGHT
from streams.messages.schema import Progress
from streams.topics import PROGRESS
from tests.serving import shop as made


def counted(applied: int, lists: int, p50_ms: float) -> list[made.Message]:
    purchases = Progress(task="purchases-0", worker="http://w", applied=applied, stored=0)
    deltas = Progress(
        task="pair-deltas-0", worker="http://w", applied=lists, stored=0, latency_p50_ms=p50_ms,
        latency_p99_ms=2 * p50_ms,
    )  # fmt: skip
    return [made.message(PROGRESS.name, one.task, one) for one in (purchases, deltas)]


def test_a_pulse_is_rates_of_the_last_seconds() -> None:
    model = made.model_with(
        *counted(100, 1, 20.0),
        made.tallied(0, "2025-06-14", "ours", 400, 100),
        made.tallied(0, "2025-06-14", "raw", 9, 0),
    )
    pulse = Pulse(model, model.kinds["bought"])
    first = pulse.sample(10.0, by_topic(model))
    assert (first["counted_per_s"], first["lists_per_s"]) == (0.0, 0.0)
    assert (first["p50_ms"], first["p99_ms"], first["hit_rates"]) == (20.0, 40.0, {"ours": 0.25})
    for message in (
        *counted(160, 2, 30.0),
        made.a_list(BOUGHT, "tea", 3, "milk"),
        made.a_list(BOUGHT, "jam", 1),
    ):
        model.take(message.topic, message.key.encode(), message.value, 0)
    model.ends = {"purchases-0": 170, "purchases-1": 9}
    second = pulse.sample(12.0, by_topic(model))
    assert (second["counted_per_s"], second["lists_per_s"]) == (30.0, 1.0)
    assert (second["p50_ms"], second["waiting"]) == (30.0, 10)
    for at_s in range(13, 40):
        last = pulse.sample(float(at_s), by_topic(model))
    assert (last["counted_per_s"], last["lists_per_s"]) == (0.0, 0.0)


def test_hit_rates_are_those_of_the_newest_days_with_enough_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.pulse.CASES", 50)
    published = [
        made.tallied(partition, day, "ours", cases, hits)
        for partition in range(2)
        for day, cases, hits in (("2025-06-13", 500, 500), ("2025-06-14", 20, 10), ("2025-06-15", 10, 1))
    ]
    model = made.model_with(*published, made.tallied(0, "2025-06-15", "raw", 49, 0))
    assert newest_rates(model.kinds["bought"].quality.values()) == {"ours": 22 / 60}
