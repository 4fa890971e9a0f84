"""The pulse of the stream: what is counted and listed a second, how long it takes, and how often it hits.

Rates are of the last `SPAN` samples, some seconds: tasks report once a second, and not all at the same time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from serving.answers import describe, offered
from serving.kind_model import KindModel
from serving.read_model import ReadModel
from serving.statistics import SHOWN, CasesAndHits, summed
from streams.kinds import EventKind
from streams.messages.schema import Progress
from streams.recommending.messages import Quality
from streams.topics import topic_of

Tasks = Mapping[str, Mapping[str, Progress]]

SPAN = 8
CASES = 200
"""Fewer customers who came back make no hit rate: it would say more about chance."""

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

    def sample(self, now_s: float, tasks: Tasks) -> dict[str, Any]:
        """Return the present sample.

        Parameters
        ----------
        now_s
            Any clock that only goes forward, seconds.
        tasks
            How far they are, `by_topic`.

        Returns
        -------
        dict
            `counted_per_s`, events; `lists_per_s`; `p50_ms` and `p99_ms`, from an event in Kafka to its
            changed lists in Kafka, of the slowest task, null where nothing was listed; `waiting`, events in
            Kafka that are not counted yet; `hit_rates`, of each algorithm over the newest days; `sellers`
            and `catalogue`, numbers that are others when bestsellers, or the catalogue, have changed.
        """
        events = tasks.get(self._of.kind.events.name, {}) if isinstance(self._of.kind, EventKind) else {}
        counted = sum(progress.applied for progress in events.values())
        self._readings.append(_Reading(now_s, counted, self._of.taken_lists))
        oldest, newest = self._readings[0], self._readings[-1]
        seconds = newest.at_s - oldest.at_s
        p50, p99 = _latencies(tasks.get(self._of.kind.deltas.name, {}).values())
        return {
            "kind": self._of.kind.name,
            "counted_per_s": max(0, newest.counted - oldest.counted) / seconds if seconds else 0.0,
            "lists_per_s": (newest.lists - oldest.lists) / seconds if seconds else 0.0,
            "p50_ms": p50,
            "p99_ms": p99,
            "waiting": self._waiting(events),
            "hit_rates": self._hit_rates(),
            "sellers": self._of.taken_sellers,
            "catalogue": self._model.taken_items,
        }

    def _waiting(self, events: Mapping[str, Progress]) -> int | None:
        ends = {task: self._model.end_of(task) for task in events}
        behind = [end - events[task].applied for task, end in ends.items() if end is not None]
        return max(0, sum(behind)) if behind else None

    def _hit_rates(self) -> dict[str, float]:
        if self._qualities != self._of.taken_qualities:
            self._qualities = self._of.taken_qualities
            self._rates = newest_rates(self._of.quality.values())
        return self._rates


def _latencies(tasks: Iterable[Progress]) -> tuple[float | None, float | None]:
    known = [(task.latency_p50_ms, task.latency_p99_ms) for task in tasks if task.latency_p50_ms >= 0]
    if not known:
        return None, None
    return max(p50 for p50, _ in known), max(p99 for _, p99 in known)


def newest_rates(published: Iterable[Quality]) -> dict[str, float]:
    """Return each algorithm's hit rate over the newest days that have at least `CASES` cases together.

    Algorithms with fewer cases than that are left out.
    """
    days = summed(((q.algorithm, q.day), q) for q in published if q.algorithm != SHOWN)
    sums: dict[str, CasesAndHits] = {}
    for (algorithm, _), (cases, hits) in sorted(days.items(), reverse=True):
        before, hit = sums.get(algorithm, (0, 0))
        if before < CASES:
            sums[algorithm] = before + cases, hit + hits
    return {name: hits / cases for name, (cases, hits) in sorted(sums.items()) if cases >= CASES}


def by_topic(model: ReadModel) -> Tasks:
    """Return how far all tasks are, by topic and task; a recommender's have topics of their own."""
    tasks: dict[str, dict[str, Progress]] = {}
    for task, progress in model.tasks.items():
        tasks.setdefault(topic_of(task), {})[task] = progress
    return tasks


def pick_changed(model: ReadModel, of: KindModel, changed: Iterable[str]) -> list[dict[str, Any]]:
    """Return the most bought of the items whose lists have changed, each with the first of its list."""
    listed = (item_id for item_id in changed if item_id in of.buyers)
    most = heapq.nsmallest(PICKED, listed, key=lambda item_id: (-of.buyers[item_id], item_id))
    return [head_of(model, of, item_id) for item_id in most]


def head_of(model: ReadModel, of: KindModel, item_id: str) -> dict[str, Any]:
    """Return an item with the first of its list."""
    found = of.related(item_id)
    entries = [entry.item_id for entry in found.related if offered(model, entry.item_id)] if found else []
    return {
        **describe(model, item_id),
        "buyers": of.buyers.get(item_id, 0),
        "related": [describe(model, entry) for entry in entries[:FIRST]],
    }
