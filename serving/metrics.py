"""Metrics of what the topics say for Prometheus, computed when they are requested.

The processes that count export their own (`streams.metrics`); these are known while they are away, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving import statistics
from serving.read_model import ReadModel
from streams.messages.schema import Progress


class OfTask(NamedTuple):
    """A metric made of a field of `Progress`."""

    name: str
    field: str
    help: str
    counter: bool = False


OF_TASKS = (
    OfTask("applied_offset", "applied", "offset after the last record that is counted"),
    OfTask("stored_offset", "stored", "offset that a restart continues from"),
    OfTask("listed_offset", "listed", "offset up to which every list is up to date"),
    OfTask("recommended_offset", "recommended", "offset up to which recommendations follow from the events"),
    OfTask("model_version", "model", "version of the chronological model in use; nothing without one"),
    OfTask("events", "events", "records counted since the worker started", counter=True),
    OfTask("pair_updates", "pair_updates", "neighbour counts changed since the worker started", counter=True),
    OfTask("lists", "lists", "lists published since the worker started", counter=True),
    OfTask("dead_letters", "dead_letters", "records refused since the worker started", counter=True),
    OfTask("misplaced", "misplaced", "events in another partition than their key's since then", counter=True),
)
MILLISECONDS = (
    OfTask("staleness_seconds", "staleness_ms", "longest from a count to its changed lists, last interval"),
    OfTask("latency_p50_seconds", "latency_p50_ms", "event to its changed lists, median of last interval"),
    OfTask("latency_p99_seconds", "latency_p99_ms", "the same, 99th percentile"),
)


class ModelCollector(Collector):
    """Collects what the topics say: how far tasks are by their reports, and how good recommendations are."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with or without samples."""
        model = self._model
        yield GaugeMetricFamily(
            "alsobought_ready", "1 if the process does its work, as /readyz says", float(model.ready)
        )
        yield CounterMetricFamily(
            "alsobought_refused", "published records that were not understood", model.refused
        )
        yield GaugeMetricFamily("alsobought_catalogue_items", "items of the catalogue", len(model.items))
        for described in OF_TASKS:
            yield self._of_tasks(described, 1.0)
        for described in MILLISECONDS:
            yield self._of_tasks(described, 1 / 1000)
        lag = GaugeMetricFamily("alsobought_task_lag", "records that are not counted yet", labels=["task"])
        heard = GaugeMetricFamily(
            "alsobought_task_heard_timestamp_seconds", "when a task reported last", labels=["task"]
        )
        for name, task in model.tasks.items():
            heard.add_metric([name], model.heard_ms[name] / 1000)
            if (end := model.end_of(name)) is not None:
                lag.add_metric([name], max(0, end - task.applied))
        yield from (lag, heard)
        yield from self._of_kinds()

    def _of_tasks(self, described: OfTask, unit: float) -> Metric:
        cls = CounterMetricFamily if described.counter else GaugeMetricFamily
        family = cls(f"alsobought_task_{described.name}", described.help, labels=["task"])
        for name, task in self._model.tasks.items():
            if (value := _value(task, described.field)) >= 0:
                family.add_metric([name], value * unit)
        return family

    def _of_kinds(self) -> Iterator[Metric]:
        lists = GaugeMetricFamily(
            "alsobought_published", "lists and recommendations that are published", labels=["kind", "what"]
        )
        labels = ["kind", "algorithm", "variant"]
        cases = CounterMetricFamily(
            "alsobought_quality_cases",
            "customers who came back, as tests of what was recommended",
            labels=labels,
        )
        hits = CounterMetricFamily(
            "alsobought_quality_hits", "of these, who bought one of the six items recommended", labels=labels
        )
        steps = CounterMetricFamily(
            "alsobought_ranker_cases", "training steps of a ranker", labels=["kind", "ranker"]
        )
        for name, of in self._model.kinds.items():
            for what, count in of.published.items():
                lists.add_metric([name, what], count)
            for described in statistics.quality(of)["totals"]:
                cases.add_metric([name, described["algorithm"], ""], described["cases"])
                hits.add_metric([name, described["algorithm"], ""], described["hits"])
            for described in statistics.experiments(of)["variants"]:
                cases.add_metric([name, statistics.SHOWN, described["variant"]], described["cases"])
                hits.add_metric([name, statistics.SHOWN, described["variant"]], described["hits"])
            for ranker, learnt in statistics.learner(of)["rankers"].items():
                steps.add_metric([name, ranker], learnt["cases"])
        yield from (lists, cases, hits, steps)


def _value(task: Progress, field: str) -> float:
    return float(getattr(task, field))
