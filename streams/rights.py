"""The least rights of each role in a Kafka with access control lists, on one screen.

    role         reads                              writes                             describes  group
    worker       events, catalogue, its own topics  deltas, lists, popularity, ...                its own
    recommender  events, all that workers publish   recommendations, bestsellers, ...  deltas     its own
    server       what is published                                                     events ...
    publisher                                       events, catalogue
    operator     every topic                        every topic                        configs    both

"Its own topics" are read by a worker or a recommender for what somebody else may have written there
(`streams.kafka.topic_reader`). An operator creates topics and runs commands such as `drain` and `rebuild`.
In Kafka, who may read or write a topic may describe it.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streams.kinds import CrossKind, EventKind, counted_of, kinds_of, listed_of, topics_of
from streams.topics import DEAD_LETTERS, ITEMS, MODELS, PROGRESS, QUALITY, RANKER, TopicSpec

if TYPE_CHECKING:
    from streams.settings import Settings

WIDTH = 100
"""Of the lines of a command."""

Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]


@dataclass(frozen=True, order=True)
class Right:
    """One operation on one topic or consumer group, by the names of Kafka's tools."""

    resource: Literal["topic", "group"]
    name: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.operation} on the {self.resource} {self.name}"


def rights_of(role: str, settings: Settings) -> tuple[Right, ...]:
    """Return the rights that a role needs with these settings, sorted."""
    return tuple(sorted(set(ROLES[role](settings))))


def _on(operation: Operation, specs: Iterable[TopicSpec]) -> list[Right]:
    return [Right("topic", spec.name, operation) for spec in specs]


def _worker(settings: Settings) -> list[Right]:
    kinds, listed = kinds_of(settings), listed_of(settings)
    own = [*(kind.deltas for kind in listed), *(kind.lists for kind in listed), PROGRESS]
    own += [*(kind.popularity for kind in kinds), *(k.events for k in listed if isinstance(k, CrossKind))]
    return [
        *_on("Read", [*(kind.events for kind in kinds), ITEMS, *own]),
        *_on("Write", [*own, DEAD_LETTERS]),
        Right("group", settings.worker_group, "Read"),
    ]


def _recommender(settings: Settings) -> list[Right]:
    kinds = kinds_of(settings)
    published = [spec for kind in kinds for spec in (kind.events, kind.lists, kind.popularity)]
    own = [RANKER, QUALITY, PROGRESS, *(kind.recommendations for kind in kinds)]
    read = [*published, ITEMS, MODELS, *own]
    return [
        *_on("Read", read),
        *_on("Describe", [spec for spec in counted_of(settings) if spec not in read]),
        *_on("Write", [*own, *(kind.bestsellers for kind in kinds)]),
        Right("group", settings.recommender_group, "Read"),
    ]


def _server(settings: Settings) -> list[Right]:
    listed = listed_of(settings)
    lists = [kind.lists for kind in listed]
    made = [s for k in listed if isinstance(k, EventKind) for s in (k.bestsellers, k.recommendations)]
    read = [*lists, *made, ITEMS, QUALITY, RANKER, PROGRESS]
    described = [spec for spec in counted_of(settings) if spec not in read]
    return [*_on("Read", read), *_on("Describe", described)]


def _publisher(settings: Settings) -> list[Right]:
    return _on("Write", [*(kind.events for kind in kinds_of(settings)), ITEMS])


def _operator(settings: Settings) -> list[Right]:
    topics = topics_of(settings)
    return [
        *_on("Read", topics), *_on("Write", topics), *_on("Create", topics), *_on("DescribeConfigs", topics),
        Right("group", settings.worker_group, "Describe"),
        Right("group", settings.recommender_group, "Describe"),
    ]  # fmt: skip


ROLES: dict[str, Callable[[Settings], list[Right]]] = {
    "worker": _worker,
    "recommender": _recommender,
    "server": _server,
    "publisher": _publisher,
    "operator": _operator,
}
"""The roles, and what makes the rights of each."""


def topics_in(rights: Iterable[Right], settings: Settings) -> list[TopicSpec]:
    """Return the topics that rights are on, in the order of `topics_of`."""
    names = {right.name for right in rights if right.resource == "topic"}
    return [spec for spec in topics_of(settings) if spec.name in names]


def acl_commands(rights: Iterable[Right], principal: str, servers: str) -> list[str]:
    """Return the commands of Kafka's tool that grant rights, one for each operation on topics, and groups.

    Long commands go on in further lines.

    >>> print(*acl_commands([Right("topic", "a", "Read"), Right("topic", "b", "Read")], "User:ann", "k:9092"))
    kafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:ann --operation Read \\
        --topic a --topic b
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        grouped.setdefault((right.resource, right.operation), []).append(right.name)
    commands = []
    for (resource, operation), names in sorted(grouped.items(), reverse=True):
        whom = f"--allow-principal {shlex.quote(principal)} --operation {operation}"
        pairs = [f"--{resource}\0{name}" for name in names]  # an option and its value stay on one line
        lines = textwrap.wrap(" ".join(pairs), WIDTH, break_long_words=False, break_on_hyphens=False)
        first = f"kafka-acls.sh --bootstrap-server {servers} --add {whom}"
        commands.append(" \\\n    ".join([first, *lines]).replace("\0", " "))
    return commands
