"""What all tasks of a worker share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faust.types import TP

from streams.kafka.lease import Lease
from streams.kafka.outbox import Outbox
from streams.kafka.topic_reader import TopicReader
from streams.settings import Settings
from streams.stores.opening import Stores
from streams.tasks.backlog import Backlogs
from streams.tasks.measured import Measured
from streams.tasks.others import Others

if TYPE_CHECKING:
    from streams.process.traces import Traces

log = logging.getLogger("alsobought")


@dataclass(frozen=True)
class Context:
    """What all tasks of a process share; it is made when the process is connected to Kafka.

    It is one bundle because `Task` itself uses six of its parts, and each kind of task three to five more: as
    arguments they would be repeated in every constructor from `Tasks.makers` down to the publishers. It holds
    no tasks, so no task reaches another one through it: `CrossingTask`, which needs another, is given it.

    Attributes
    ----------
    outbox
        What sends records, in order, and knows what Kafka has acknowledged.
    partitions
        The number of partitions of every topic.
    stores
        What opens the stores of tasks.
    lease
        Whether the consumer group still counts this process as a member.
    reader
        What reads partitions that this process writes, for records of other processes.
    owns
        Whether a partition is this process's by the newest assignment.
    others
        The popularity that other partitions, of any worker, have published of their items.
    backlogs
        How long the events that are left will take.
    measured
        What is measured for `/metrics`.
    traces
        What makes spans; None if nothing is traced.
    warned
        The topics whose producers were warned of their partitioner.
    lock
        Whoever uses a machine holds it: the cycle, a query, the opening and closing of tasks.
    """

    settings: Settings
    outbox: Outbox
    partitions: int
    stores: Stores
    lease: Lease
    reader: TopicReader
    owns: Callable[[TP], bool]
    others: Others = field(default_factory=Others)
    backlogs: Backlogs = field(default_factory=Backlogs)
    measured: Measured = field(default_factory=Measured)
    traces: Traces | None = None
    warned: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def warn_of_partitioner(self, topic: str) -> None:
        """Warn, once per topic, that its producers choose partitions by another rule than ours."""
        if topic not in self.warned:
            self.warned.add(topic)
            log.warning(
                "%s: events are in other partitions than their keys belong to, so a producer of this topic"
                " uses another partitioner than murmur2, the default of Kafka's Java client. They are"
                " counted, but all producers of all topics of events must use the same: set murmur2 in this"
                " producer, as docs/guide/producers.md says for each client library",
                topic,
            )
