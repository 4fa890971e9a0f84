"""Which worker gets which partitions: sticky, and the same numbers of every topic.

Partition p of items and of every kind's events and deltas go together as unit p, so that every worker has a
like share of the cheap and of the dear work, and what is of one customer or one item is in one process. A
unit stays where it is unless its worker has more than its share: opening a store costs seconds, and
aiokafka's own strategies move units for nothing (round robin) or give one worker all of one topic (sticky).

Every member tells what it had in its last assignment and that assignment's round, the leader numbers the
next. So a worker that was frozen claims by an old round what others have by a newer one, and loses it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

log = logging.getLogger("alsobought")

VERSION = 0


class _Held(msgspec.Struct, array_like=True):
    """User data of both protocols: an assignment's round, and the units it gave."""

    round: int = 0
    units: list[int] = []


def _read(raw: bytes | None) -> _Held:
    try:
        return msgspec.json.decode(raw or b"", type=_Held)
    except msgspec.DecodeError:
        return _Held()  # a member of another version


def share(units: int, members: Mapping[str, tuple[int, list[int]]]) -> dict[str, list[int]]:
    """Units 0 .. units - 1 for each member, from (round, units) that each had.

    Shares differ by at most one; who had more keeps the bigger one.

    >>> share(4, {"a": (1, [0, 1, 2, 3]), "b": (0, [])})
    {'a': [0, 1], 'b': [2, 3]}
    >>> share(4, {"a": (2, [0, 1, 3]), "b": (1, [1, 2])})
    {'a': [0, 1], 'b': [2, 3]}
    """
    owner: dict[int, str] = {}
    for member in sorted(members, key=lambda m: (-members[m][0], m)):
        for unit in members[member][1]:
            if 0 <= unit < units:
                owner.setdefault(unit, member)
    held = {member: sorted(u for u, o in owner.items() if o == member) for member in members}
    least, bigger = divmod(units, len(members))
    given: dict[str, list[int]] = {}
    for place, member in enumerate(sorted(members, key=lambda m: (-len(held[m]), m))):
        given[member] = held[member][: least + (place < bigger)]
    free = sorted(set(range(units)) - {unit for some in given.values() for unit in some})
    for place, member in enumerate(sorted(members, key=lambda m: (-len(held[m]), m))):
        missing = least + (place < bigger) - len(given[member])
        given[member] = sorted(given[member] + free[:missing])
        free = free[missing:]
    return given


class StickyUnits(AbstractPartitionAssignor):  # type: ignore[misc]
    """The strategy, as aiokafka wants it: of classes, so what this process holds is the class's."""

    name = "alsobought-sticky-units"
    held: ClassVar[_Held] = _Held()

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member tells the leader."""
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), msgspec.json.encode(cls.held))

    @classmethod
    def assign(
        cls, cluster: object, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Every member's assignment; called at the leader."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        partitions = {topic: sorted(cluster.partitions_for_topic(topic) or ()) for topic in topics}  # type: ignore[attr-defined]
        if unknown := [topic for topic in topics if not partitions[topic]]:
            log.warning("Kafka told of no partitions of %s: assigned when it does", ", ".join(unknown))
        told = {name: _read(member.user_data) for name, member in members.items()}
        units = max((1 + max(some) for some in partitions.values() if some), default=0)
        given = share(units, {name: (held.round, held.units) for name, held in told.items()})
        newest = 1 + max(held.round for held in told.values())
        # where nothing can be given, everybody keeps the claim to what it had
        claims = {name: _Held(newest, mine) if units else told[name] for name, mine in given.items()}
        if len({frozenset(member.subscription) for member in members.values()}) > 1:
            log.warning(
                "workers differ in their topics: set ALSOBOUGHT_EVENT_TYPES alike, or some are not counted"
            )
        return {
            name: ConsumerProtocolMemberAssignment(
                VERSION,
                [
                    (topic, [p for p in partitions[topic] if p in set(mine)])
                    for topic in topics
                    if topic in members[name].subscription
                ],
                msgspec.json.encode(claims[name]),
            )
            for name, mine in given.items()
        }

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what this member was given."""
        cls.held = _read(assignment.user_data)
