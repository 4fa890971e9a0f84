"""The identity of the log that a state was counted from: the topics' ids, and where counting began.

A topic that is deleted and created again has another id, and its offsets mean other records: state of the one
must not continue with the other. `alsobought rebuild` discards the state and sets where counting begins.
Machines number items in the order they first see them, so earlier state must not continue with later deltas.
Both are in the identity that every store and checkpoint has.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from state.errors import ForeignLog
from streams.broker.errors import TopicsError
from streams.broker.topics_admin import topic_ids
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import SecurityError
from streams.kafka.follower import read_all
from streams.kinds import BOUGHT, CrossKind, Kind, counted_of_kinds
from streams.messages.schema import Progress, key_text, progress_of
from streams.topics import ITEMS, PROGRESS

BEGINNING = "beginning of "
"""Task of a progress record which says that counting begins at offset `applied` of a partition."""

REBUILT = " rebuilt "

LOOK_S = 10.0
"""Between two looks of a process whether its topics are still the same."""


@dataclass(frozen=True)
class LogIdentity:
    """The ids of the topics that state is counted from, and where it begins if that was set.

    The identity of a kind's state covers its own two topics and the catalogue, so a new kind changes no other
    kind's identity. The catalogue's state has the identity of the state of purchases. The identity of what is
    counted from history changes also covers the topics of the events that changed the histories.
    """

    kinds: tuple[Kind, ...]
    ids: Mapping[str, str]
    begins: Mapping[tuple[str, int], int]

    def of(self, topic: str) -> str:
        """Return the identity of the tasks of a topic: the ids, and a checksum of where counting begins if it
        was set.

        Two rebuilds have the same identity only if the ends of the deltas are the same, so that nothing was
        counted in between.
        """
        kind = next((k for k in self.kinds if topic in (k.events.name, k.deltas.name)), BOUGHT)
        reported_of = [side.events for side in kind.sides] if isinstance(kind, CrossKind) else []
        names = sorted(spec.name for spec in (kind.events, ITEMS, kind.deltas, *reported_of))
        topics = " ".join(f"{name} {self.ids[name]}" for name in names)
        places = sorted((name, partition) for name, partition in self.begins if name in names)
        if not places:
            return topics
        text = " ".join(f"{name}-{partition} {self.begins[name, partition]}" for name, partition in places)
        return f"{topics}{REBUILT}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def log_identity(bootstrap: Bootstrap, kinds: Iterable[Kind]) -> LogIdentity:
    """Ask Kafka for the ids of the kinds' topics, and where counting begins.

    Raises
    ------
    KafkaUnreachable
    """
    some = tuple(kinds)
    return LogIdentity(some, topic_ids(bootstrap, counted_of_kinds(some)), beginnings(bootstrap))


async def stay_the_same(bootstrap: Bootstrap, identity: LogIdentity) -> None:
    """Return never; look now and then whether the topics are those that this process counts from.

    Raises
    ------
    ForeignLog
        One was deleted and created again. What is read from now on would be other records, at offsets that
        mean those before. The stores keep the identity of the earlier topics, so that the next start refuses
        them, too.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(TopicsError, SecurityError):  # Kafka is away, or admits nobody now
            now = await asyncio.to_thread(topic_ids, bootstrap, counted_of_kinds(identity.kinds))
            changed = sorted(name for name, found in now.items() if found != identity.ids[name])
            if changed:
                raise ForeignLog(
                    f"{', '.join(changed)} at {bootstrap} was deleted and created again while this process"
                    " counted from it: stop all workers and recommenders, and run `alsobought rebuild`, which"
                    " counts what the topics have now from their beginning"
                )


def given_up(counted: str | None, now: str) -> bool:
    """Return whether a store of identity `counted` is of these topics, but from before their last rebuild.

    None is the identity of an empty store, "" that of a store made before stores had identities.

    >>> now = "items a purchases b rebuilt 17"
    >>> given_up("items a purchases b", now), given_up("items a purchases b rebuilt 16", now)
    (True, True)
    >>> given_up(now, now), given_up("items a purchases c", now), given_up(None, now)
    (False, False, False)
    >>> given_up("items a purchases b rebuilt 17", "items a purchases b")  # where is the rebuild? refused
    False
    """
    topics, rebuilt, _ = now.partition(REBUILT)
    if not rebuilt or counted is None or counted == now:
        return False
    return counted.partition(REBUILT)[0] in ("", topics)


def beginning(topic: str, partition: int, offset: int) -> Progress:
    """Return the record which says that counting begins at an offset, and that earlier state is discarded."""
    return Progress(task=f"{BEGINNING}{topic}-{partition}", worker="", applied=offset, stored=offset)


def beginnings(bootstrap: Bootstrap) -> dict[tuple[str, int], int]:
    """Return the offsets at which counting begins, by topic and partition; empty if it begins at the first
    ones.
    """
    found: dict[tuple[str, int], int] = {}
    for row in read_all(bootstrap, PROGRESS):
        task = key_text(row.key)
        if row.value and task.startswith(BEGINNING):
            topic, _, partition = task.removeprefix(BEGINNING).rpartition("-")
            progress = progress_of(row.value)
            if progress is not None and partition.isascii() and partition.isdigit():
                found[topic, int(partition)] = progress.applied
    return found
