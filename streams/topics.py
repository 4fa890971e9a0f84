"""The topics: what each carries, who writes and reads it, and how Kafka keeps it.

        purchases ──► customers ──► pair-deltas ──► items ──► related-items, popularity      a worker
           items ──► catalogue ───────┘
purchases, related-items, popularity, items ──► recommendations, bestsellers, quality        a recommender
what cannot be used ──► dead-letters      where each partition is ──► progress

The same machines run for watches and for every further kind of events, between topics of their own, which
`streams.kinds` lists.

A Kafka may have several deployments side by side, such as the present one and the one that shall replace it.
All topics of a deployment have its prefix before their names (ALSOBOUGHT_TOPIC_PREFIX), and so do its
consumer groups and the names of its tasks, stores and checkpoints. A process belongs to one deployment: its
prefix is set once, with its settings, before it asks for any name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

DAY_MS = 24 * 3600 * 1000


class _Deployment:
    """The deployment of this process."""

    prefix = ""


def use_prefix(prefix: str) -> None:
    """Set the prefix of this process's deployment: every topic is then called by its name with it."""
    _Deployment.prefix = prefix


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it is created: `retention_ms` -1 keeps records for ever; `max_message_bytes` in bytes.

    Attributes
    ----------
    base
        The name without the prefix of a deployment.
    prefix
        The prefix of the deployment whose topic this is; None: of this process's.
    """

    base: str
    key: str
    purpose: str
    cleanup: Literal["delete", "compact"]
    retention_ms: int = -1
    max_message_bytes: int = 1_048_576
    prefix: str | None = None

    @property
    def name(self) -> str:
        """The name in Kafka."""
        return f"{_Deployment.prefix if self.prefix is None else self.prefix}{self.base}"

    def of_deployment(self, prefix: str) -> TopicSpec:
        """Return the topic of the deployment with this prefix.

        >>> ITEMS.of_deployment("green-").name
        'green-items'
        """
        return replace(self, prefix=prefix)

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
HISTORY_CHANGES = TopicSpec(
    "first-events",
    "none; the partition is the customer's",
    "internal: which items purchases and watches brought into histories, or took out, once one is watched",
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
POPULARITY = TopicSpec(
    "popularity",
    "item_id",
    "how popular each item is: buyers, purchases by day, repeats",
    "compact",
    max_message_bytes=16 << 20,
)
BESTSELLERS = TopicSpec(
    "bestsellers",
    "all, category:NAME; trending, trending:NAME",
    "what is bought most, and what rises, overall and in each category",
    "compact",
    max_message_bytes=16 << 20,
)
RECOMMENDATIONS = TopicSpec(
    "recommendations",
    "customer_id; of a profile's, a tab and the profile_id behind it",
    "what each customer should see now",
    "compact",
    max_message_bytes=16 << 20,
)
RANKER = TopicSpec(
    "ranker",
    "kind/partition, such as bought/3",
    "internal: the weights that each partition has learnt for ranking recommendations",
    "compact",
)
QUALITY = TopicSpec(
    "quality",
    "kind/partition/day/algorithm/variant",
    "how often what was then bought had been recommended, per day of event time",
    "compact",
)
MODELS = TopicSpec(
    "models",
    "kind, such as bought",
    "which chronological model workers should use: where its file is, and the sum it has",
    "compact",
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
    "progress",
    "task, such as purchases-3 or recommender/purchases-3",
    "how far each partition is, and which worker or recommender holds it",
    "compact",
)

SHARED: tuple[TopicSpec, ...] = (ITEMS, RANKER, QUALITY, MODELS, DEAD_LETTERS, PROGRESS)
"""The topics that all kinds of events have in common."""


def topic_of(task: str) -> str:
    """Return the topic of a task.

    >>> topic_of("pair-deltas-12")
    'pair-deltas'
    """
    return task.rpartition("-")[0]


def is_task(name: str, specs: Iterable[TopicSpec]) -> bool:
    """Return whether a name is that of a task: of a partition of one of these topics.

    >>> [is_task(name, [PURCHASES]) for name in ("purchases-1", "purchases-1.partial", "holiday-2026")]
    [True, False, False]
    """
    return name.rpartition("-")[2].isdecimal() and any(topic_of(name) == spec.name for spec in specs)
