"""Report how far tasks are, in the topic `progress`."""

from __future__ import annotations

from collections.abc import Sequence

from faust.types import TP

from streams.kafka.outbox import Record
from streams.messages.partitioning import partition_for
from streams.messages.schema import encode
from streams.tasks.context import Context
from streams.tasks.task import Reached, Task
from streams.topics import PROGRESS


class Reporter:
    """Publishes how far tasks are, and knows what it published last."""

    def __init__(self) -> None:
        self._reached: dict[TP, Reached] = {}

    def news(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the tasks that reached something since they were reported, for which somebody may wait."""
        return [task for task in tasks if self._reached.get(task.tp) != task.reached]

    def publish(self, context: Context, tasks: Sequence[Task], address: str) -> None:
        """Publish once how far these tasks are; `address` is that of the worker's queries."""
        records = []
        for task in tasks:
            if task.reports:
                self._reached[task.tp] = task.reached
                progress = task.progress(address)
                key, value = progress.task.encode(), encode(progress)
                records.append(Record(PROGRESS.name, partition_for(key, context.partitions), key, value))
        context.outbox.send_all(records)
