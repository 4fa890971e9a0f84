"""The topics: what each carries, who writes and reads it, and how Kafka shall keep it.

        purchases ──► customers ──► pair-deltas ──► items ──► related-items
           items ──► catalogue ───────┘
what cannot be used ──► dead-letters      where each partition is ──► progress
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it is created: `retention_ms` -1 keeps records for ever; `max_message_bytes` in bytes."""

    name: str
    key: str
    purpose: str
    cleanup: Literal["delete", "compact"]
    retention_ms: int = -1
    max_message_bytes: int = 1_048_576

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration entries for Kafka."""
        config = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message_bytes),
            # Event time travels in the value; Kafka's own stays the time of publishing, else
            # retention deletes old events the moment they arrive.
            "message.timestamp.type": "LogAppendTime",
        }
        if self.cleanup == "delete":
            config["retention.ms"] = str(self.retention_ms)
        else:
            config["min.cleanable.dirty.ratio"] = "0.3"
            config["segment.ms"] = str(3_600_000)
            config["segment.bytes"] = str(64 << 20)
            config["max.compaction.lag.ms"] = str(DAY_MS)
            config["delete.retention.ms"] = str(DAY_MS)
        return config


PURCHASES = TopicSpec("purchases", "customer_id", "purchase events: the log all counts derive from", "delete")
ITEMS = TopicSpec("items", "item_id", "the catalogue: titles and availability", "compact")
PAIR_DELTAS = TopicSpec(
    "pair-deltas",
    "none; the partition is the item's",
    "internal: what each batch of events changes in the counts of a partition's items",
    "delete",
    retention_ms=7 * DAY_MS,
    max_message_bytes=16 << 20,
)
RELATED_ITEMS = TopicSpec(
    "related-items",
    "item_id",
    "the current list of each item",
    "compact",
    max_message_bytes=16 << 20,  # of a batch: lists are sent many at a time
)
DEAD_LETTERS = TopicSpec(
    "dead-letters",
    "none",
    "records that could not be used, with the reason and the original bytes",
    "delete",
    retention_ms=30 * DAY_MS,
    max_message_bytes=4 << 20,
)
PROGRESS = TopicSpec(
    "progress", "task, such as purchases-3", "how far each partition is, and which worker holds it", "compact"
)

ALL: tuple[TopicSpec, ...] = (PURCHASES, ITEMS, PAIR_DELTAS, RELATED_ITEMS, DEAD_LETTERS, PROGRESS)
COUNTED: tuple[TopicSpec, ...] = (PURCHASES, ITEMS, PAIR_DELTAS)
"""What state is counted from; a task is a partition of one of these."""


def is_task(name: str) -> bool:
    """Whether this is the name of a task.

    >>> is_task("pair-deltas-12"), is_task("purchases-1.partial"), is_task("holiday-2026")
    (True, False, False)
    """
    topic, _, partition = name.rpartition("-")
    return partition.isdecimal() and any(topic == spec.name for spec in COUNTED)
