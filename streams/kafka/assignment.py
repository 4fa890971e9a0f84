"""Which worker gets which partitions: sticky, and the same numbers of every topic.

Partition p of items and of every kind's events and deltas together are unit p. Every worker thus has a fair
share of the cheap and of the expensive work, and all data of one customer or one item are in one process. A
unit stays where it is unless its worker has more than its share: opening a store costs seconds, and
aiokafka's own strategies move units needlessly (round robin) or give one worker all of one topic (sticky).

Every member reports the units of its last assignment and the number of that assignment's round; the leader
numbers the next round. A worker that was frozen therefore claims its units with an old round, and loses those
that others claim with a newer one.

Every member also reports where its stores are (host and data directory), which units have stores there, and
how far these stores are. A unit that nobody claims goes to the member whose store of it is farthest, so that
hosts that all restart get their own units back. A member with too many units first gives up those whose store
is farther elsewhere. The assignment also lists the places of all stores: if there are several places and no
checkpoint URL, the loss of one place loses the stores there, and each worker warns of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypeVar

import msgspec
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

log = logging.getLogger("alsobought")

VERSION = 0


class _Reported(msgspec.Struct, array_like=True):
    """What a member reports to the leader.

    Attributes
    ----------
    round, units
        The round and the units of its last assignment.
    place
        Where its stores are: a host and a data directory.
    stores
        How far its stores of each unit are: the sum of their positions.
    """

    round: int = 0
    units: list[int] = []
    place: str = ""
    stores: dict[int, int] = {}


class _Given(msgspec.Struct, array_like=True):
    """What the leader assigns to a member: the round, its units, and where all members' stores are."""

    round: int = 0
    units: list[int] = []
    places: list[str] = []


T = TypeVar("T", _Reported, _Given)

_of_member, _of_leader = msgspec.json.Decoder(_Reported), msgspec.json.Decoder(_Given)


def _read(raw: bytes | None, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(raw or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decoder.type()  # a member of another version, or of another program


class Member(NamedTuple):
    """A member as `share` sees it: the round and units of its last assignment, and how far its stores are."""

    round: int
    units: Sequence[int]
    stores: Mapping[int, int] = {}


def share(units: int, members: Mapping[str, Member]) -> dict[str, list[int]]:
    """Return units 0 .. units - 1 for each member.

    Shares differ by at most one; a member that had more, or has more of the farthest stores, keeps the bigger
    one.

    >>> share(4, {"a": Member(1, [0, 1, 2, 3]), "b": Member(0, [])})
    {'a': [0, 1], 'b': [2, 3]}
    >>> share(4, {"a": Member(2, [0, 1, 3]), "b": Member(1, [1, 2])})
    {'a': [0, 1], 'b': [2, 3]}
    >>> share(4, {"a": Member(0, [], {1: 70, 3: 90}), "b": Member(0, [], {0: 10, 2: 50, 3: 20})})
    {'a': [1, 3], 'b': [0, 2]}
    """
    owner: dict[int, str] = {}
    for member in sorted(members, key=lambda m: (-members[m].round, m)):
        for unit in members[member].units:
            if 0 <= unit < units:
                owner.setdefault(unit, member)
    held = {member: [unit for unit in range(units) if owner.get(unit) == member] for member in members}

    def far(member: str, unit: int) -> int:
        return members[member].stores.get(unit, 0)

    farthest = [max(far(member, unit) for member in members) for unit in range(units)]
    leads = {m: sum(0 < far(m, u) == farthest[u] for u in range(units)) for m in members}
    least, bigger = divmod(units, len(members))
    order = sorted(members, key=lambda m: (-len(held[m]), -leads[m], m))
    room = {member: least + (place < bigger) for place, member in enumerate(order)}
    given: dict[str, list[int]] = {}
    for member in members:
        kept = sorted(held[member], key=lambda unit: (far(member, unit) < farthest[unit], unit))
        given[member] = kept[: room[member]]
    free = set(range(units)) - {unit for some in given.values() for unit in some}
    # of stores that are as far those first whose members have fewer others to choose from
    stores = [(-far(m, u), leads[m], u, m) for m in members for u in free if far(m, u) > 0]
    for _, _, unit, member in sorted(stores):
        if unit in free and len(given[member]) < room[member]:
            given[member].append(unit)
            free.remove(unit)
    left = sorted(free)
    for member in order:
        missing = room[member] - len(given[member])
        given[member] = sorted(given[member] + left[:missing])
        left = left[missing:]
    return given


class StickyUnits(AbstractPartitionAssignor):  # type: ignore[misc]
    """The strategy, in aiokafka's form: it takes a class, so this process's data are in class attributes.

    Attributes
    ----------
    place
        Where the stores of this process are, in words.
    stores
        Returns how far they are, by unit.
    has_checkpoints
        Whether the settings have a URL for checkpoints.
    """

    name = "alsobought-sticky-units"
    place: ClassVar[str] = ""
    stores: ClassVar[Callable[[], dict[int, int]]] = staticmethod(dict)
    has_checkpoints: ClassVar[bool] = False
    _given: ClassVar[_Given] = _Given()

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member reports to the leader."""
        reported = _Reported(cls._given.round, cls._given.units, cls.place, cls.stores())
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), msgspec.json.encode(reported))

    @classmethod
    def assign(
        cls, cluster: object, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return every member's assignment; it is called at the leader."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        partitions = {topic: sorted(cluster.partitions_for_topic(topic) or ()) for topic in topics}  # type: ignore[attr-defined]
        if unknown := [topic for topic in topics if not partitions[topic]]:
            log.warning("Kafka knows no partitions of %s: assigned once it does", ", ".join(unknown))
        reported = {name: _read(member.user_data, _of_member) for name, member in members.items()}
        units = max((1 + max(some) for some in partitions.values() if some), default=0)
        given = share(
            units, {name: Member(one.round, one.units, one.stores) for name, one in reported.items()}
        )
        newest = 1 + max(one.round for one in reported.values())
        places = sorted({one.place for one in reported.values() if one.place})
        # where nothing can be given, everybody keeps the claim to what it had
        claims = {
            name: _Given(newest, mine, places)
            if units
            else _Given(reported[name].round, reported[name].units, places)
            for name, mine in given.items()
        }
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
        """Remember what this member was assigned, and warn if its stores may be lost with its disk."""
        before, cls._given = cls._given.places, _read(assignment.user_data, _of_leader)
        places = cls._given.places
        if len(places) > 1 and places != before and not cls.has_checkpoints:
            log.warning(
                "the workers of this group keep their stores in different places (%s), and no"
                " ALSOBOUGHT_CHECKPOINT_URL is set: a worker that gets a unit whose store is elsewhere must"
                " count it from the beginning of the topics, and after a week it cannot, as pair-deltas is"
                " gone by then. Set ALSOBOUGHT_CHECKPOINT_URL, for all workers, to a folder or an object"
                " store that all of them reach",
                ", ".join(places),
            )
