"""The pulse of the stream: what is counted and listed a second, how long it takes, and how often it hits.

Rates are of the last `SPAN` samples, some seconds: tasks report once a second, and not all at the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from serving.answers import describe, offered
from serving.read_model import KindModel, ReadModel
from serving.statistics import SHOWN, summed
from streams.kinds import EventKind
from streams.topics import topic_of

SPAN = 8
CASES = 200
"""A hit rate of fewer customers who came back is left out: it says more about chance."""

PICKED = 6
FIRST = 3


class _Reading(NamedTuple):
    at_s: float
    counted: int
    lists: int


class Pulse:
    """Samples of one kind.

    Parameters
    ----------
    model
        What is read from Kafka.
    of
        The kind's part of it.
    """

    def __init__(self, model: ReadModel, of: KindModel) -> None:
        self._model, self._of = model, of
        self._readings: deque[_Reading] = deque(maxlen=SPAN + 1)
        self._qualities = -1
        self._rates: dict[str, float] = {}

    def sample(self, now_s: float) -> dict[str, Any]:
        """Return the present sample.

        Parameters
        ----------
        now_s
            Any clock that only goes forward, seconds.

        Returns
        -------
        dict
            `counted_per_s`, events; `lists_per_s`; `p50_ms` and `p99_ms`, from an event in Kafka to its
            changed lists in Kafka, of the slowest task, null where nothing was listed; `waiting`, events in
            Kafka that are not counted yet; `hit_rates`, of each algorithm with enough cases, over all days;
            `sellers`, a number that is another when bestsellers have changed.
        """
        self._readings.append(_Reading(now_s, self._counted(), self._of.taken_lists))
        oldest, newest = self._readings[0], self._readings[-1]
        seconds = newest.at_s - oldest.at_s
        p50, p99 = self._latencies()
        return {
            "kind": self._of.kind.name,
            "counted_per_s": max(0, newest.counted - oldest.counted) / seconds if seconds else 0.0,
            "lists_per_s": (newest.lists - oldest.lists) / seconds if seconds else 0.0,
            "p50_ms": p50,
            "p99_ms": p99,
            "waiting": self._waiting(),
            "hit_rates": self._hit_rates(),
            "sellers": self._of.taken_sellers,
        }

    def _tasks_of(self, topic: str) -> list[str]:
        return [task for task in self._model.tasks if topic_of(task) == topic]

    def _counted(self) -> int:
        if not isinstance(self._of.kind, EventKind):
            return 0
        return sum(self._model.tasks[task].applied for task in self._tasks_of(self._of.kind.events.name))

    def _waiting(self) -> int | None:
        behind = [
            end - self._model.tasks[task].applied
            for task in self._tasks_of(self._of.kind.events.name)
            if (end := self._model.end_of(task)) is not None
        ]
        return max(0, sum(behind)) if behind else None

    def _latencies(self) -> tuple[float | None, float | None]:
        tasks = [self._model.tasks[task] for task in self._tasks_of(self._of.kind.deltas.name)]
        known = [(task.latency_p50_ms, task.latency_p99_ms) for task in tasks if task.latency_p50_ms >= 0]
        if not known:
            return None, None
        return max(p50 for p50, _ in known), max(p99 for _, p99 in known)

    def _hit_rates(self) -> dict[str, float]:
        if self._qualities != self._of.taken_qualities:
            self._qualities = self._of.taken_qualities
            counts = summed((q.algorithm, q) for q in self._of.quality.values() if q.algorithm != SHOWN)
            self._rates = {name: hits / n for name, (n, hits) in sorted(counts.items()) if n >= CASES}
        return self._rates


def pick_changed(model: ReadModel, of: KindModel, changed: Iterable[str]) -> list[dict[str, Any]]:
    """Of the items whose lists have changed the most bought ones, each with the first of its list."""
    most = sorted((item for item in changed if item in of.buyers), key=lambda item: (-of.buyers[item], item))
    return [head_of(model, of, item) for item in most[:PICKED]]


def head_of(model: ReadModel, of: KindModel, item_id: str) -> dict[str, Any]:
    """An item with the first of its list."""
    found = of.related(item_id)
    entries = [entry.item_id for entry in found.related if offered(model, entry.item_id)] if found else []
    return {
        **describe(model, item_id),
        "buyers": of.buyers.get(item_id, 0),
        "related": [describe(model, entry) for entry in entries[:FIRST]],
    }
