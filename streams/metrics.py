"""Metrics of a worker or a recommender for Prometheus, computed when they are requested.

Those of a task are of the open tasks: when a partition moves, its metrics are the next owner's. What tasks
share goes on while the process runs (`streams.tasks.measured`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from state.errors import StoreError
from streams.process.histogram import Histogram
from streams.tasks.measured import Measured
from streams.tasks.task import Task
from streams.worker import Tasks


class OfTask(NamedTuple):
    """A metric of every open task; without a value a task has no sample."""

    name: str
    help: str
    value: Callable[[Task], float | None]
    counter: bool = False


OF_TASKS = (
    OfTask("position", "offset after the last record that is counted", lambda t: t.position),
    OfTask("stored_position", "offset that a restart continues from", lambda t: t.saver.stored),
    OfTask("events", "events or records that were counted", lambda t: t.counters.events, True),
    OfTask("pair_updates", "counts of neighbours that changed", lambda t: t.counters.pair_updates, True),
    OfTask("lists", "lists that were published", lambda t: t.counters.lists, True),
    OfTask(
        "misplaced_events", "events in a partition that is not their key's", lambda t: t.counters.misplaced,
        True,
    ),
    OfTask("saves", "times that the whole state was stored", lambda t: t.counters.saves, True),
    OfTask(
        "saved_timestamp_seconds", "when the whole state was stored last, or read from the store",
        lambda t: _seconds(t.saved_ms),
    ),
    OfTask("checkpoints", "checkpoints that were taken", lambda t: t.counters.checkpoints, True),
    OfTask(
        "failed_checkpoints", "checkpoints that could not be taken",
        lambda t: t.counters.failed_checkpoints, True,
    ),
    OfTask(
        "checkpoint_timestamp_seconds", "when the newest checkpoint was made, by any worker",
        lambda t: _seconds(t.checkpoint_ms),
    ),
    OfTask("evictions", "customers or rows that were dropped from memory", lambda t: t.evicted(), True),
)  # fmt: skip


class TasksCollector(Collector):
    """Collects the metrics of the open tasks and of what they share."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with or without samples."""
        tasks, opened = self._tasks, self._tasks.all()
        yield GaugeMetricFamily(
            "alsobought_ready",
            "1 if the process does its work, as /readyz says",
            float(not tasks.waits_for()),
        )
        yield GaugeMetricFamily("alsobought_tasks", "partitions that this process counts", len(opened))
        yield CounterMetricFamily(
            "alsobought_rebalances", "times that this process was assigned its partitions", tasks.rebalances
        )
        for described in OF_TASKS:
            yield _of_tasks(described, opened)
        yield self._lag(opened)
        yield from self._sizes(opened)
        yield from _measured(Measured() if tasks.context is None else tasks.context.measured)

    def _lag(self, opened: list[Task]) -> Metric:
        lag = GaugeMetricFamily("alsobought_lag_records", "records that are not counted yet", labels=["task"])
        for task in opened:
            if (end := self._tasks.assigned.end_of(task.tp)) is not None:
                lag.add_metric([task.name], max(0, end - task.position))
        return lag

    def _sizes(self, opened: list[Task]) -> Iterator[Metric]:
        stores = GaugeMetricFamily("alsobought_store_bytes", "bytes of a store on the disk", labels=["task"])
        memory = GaugeMetricFamily("alsobought_memory_bytes", "bytes that a part takes", labels=["part"])
        parts: Counter[str] = Counter()
        for task in opened:
            parts.update(task.memory_parts())
            try:
                sizes = task.store.sizes()
            except StoreError:  # it is being closed
                continue
            stores.add_metric([task.name], sizes["disk"])
            parts["write_buffers"] += sizes["buffers"]
            parts["block_cache"] = sizes["cache"]
        if self._tasks.context is not None:
            parts["unacknowledged"] = self._tasks.context.outbox.unacknowledged_bytes
            parts["fetched"] = self._tasks.cycle.intake.fetched_bytes()
        for part, n_bytes in sorted(parts.items()):
            memory.add_metric([part], n_bytes)
        yield from (stores, memory)


def _of_tasks(described: OfTask, opened: list[Task]) -> Metric:
    cls = CounterMetricFamily if described.counter else GaugeMetricFamily
    family = cls(f"alsobought_{described.name}", described.help, labels=["task"])
    for task in opened:
        if (value := described.value(task)) is not None:
            family.add_metric([task.name], value)
    return family


def _measured(measured: Measured) -> Iterator[Metric]:
    refused = CounterMetricFamily(
        "alsobought_dead_letters",
        "records that could not be used, by class of reason",
        labels=["topic", "reason"],
    )
    for (topic, reason), count in sorted(measured.refused.items()):
        refused.add_metric([topic, reason], count)
    yield refused
    listed = HistogramMetricFamily(
        "alsobought_event_to_list_seconds",
        "from an event in Kafka to its changed lists there",
        labels=["kind"],
    )
    for kind, histogram in sorted(measured.listed.items()):
        listed.add_metric([kind], histogram.buckets(), histogram.sum_s)
    yield listed
    yield _histogram("cycle_seconds", "time of a cycle that had something to do", measured.cycles)
    yield _histogram("save_seconds", "time of writing a slice of state to a store", measured.slices)
    yield _histogram("recommendation_cpu_seconds", "CPU time of a recommendation", measured.recommended)


def _histogram(name: str, help_text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(
        f"alsobought_{name}", help_text, buckets=histogram.buckets(), sum_value=histogram.sum_s
    )


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
