"""The assignment is sticky, balanced and co-partitioned, and old claims lose."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.kafka.assignment import Member, StickyUnits, share
from streams.kafka.transport import METADATA_AGE_MS
from streams.topics import ITEMS, PAIR_DELTAS, PURCHASES, TopicSpec

TOPICS = [PURCHASES.name, ITEMS.name, PAIR_DELTAS.name]


class _Cluster:
    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(self._partitions))


class _Member:
    """The state that `StickyUnits` keeps per process, for several members in one process."""

    def __init__(self) -> None:
        self.metadata = ConsumerProtocolMemberMetadata(0, TOPICS, b"")
        self.units: set[int] = set()

    def given(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        raw = ConsumerProtocolMemberAssignment.decode(assignment.encode())
        by_topic = {topic: set(partitions) for topic, partitions in raw.assignment}
        assert set(by_topic) == set(TOPICS)
        # each member has as many
        assert len({frozenset(partitions) for partitions in by_topic.values()}) == 1
        self.units = by_topic[PURCHASES.name]
        StickyUnits.on_assignment(raw)
        self.metadata = ConsumerProtocolMemberMetadata.decode(StickyUnits.metadata(TOPICS).encode())


def _rebalance(partitions: int, members: dict[str, _Member]) -> None:
    assigned = StickyUnits.assign(_Cluster(partitions), {name: m.metadata for name, m in members.items()})
    for name, member in members.items():
        member.given(assigned[name])


def test_joins_and_leaves_move_no_more_than_they_must() -> None:
    rng = random.Random(1)
    for partitions in (1, 2, 4, 7, 24):
        members = {"m0": _Member()}
        for step in range(1, 30):
            if len(members) > 1 and rng.random() < 0.5:
                del members[rng.choice(list(members))]
            else:
                members[f"m{step}"] = _Member()
            before = {name: member.units for name, member in members.items()}
            _rebalance(partitions, members)
            assert sorted(unit for m in members.values() for unit in m.units) == list(range(partitions))
            least, more = divmod(partitions, len(members))
            assert all(least <= len(m.units) <= least + bool(more) for m in members.values())
            for name, member in members.items():
                # whoever gave something away had more than its share, and whoever got something had less
                if before[name] - member.units:
                    assert len(before[name]) > len(member.units), (step, name)
                    assert member.units <= before[name]


def test_a_claim_from_an_older_round_loses() -> None:
    frozen, others = _Member(), {"b": _Member()}
    _rebalance(4, {"a": frozen, **others})
    claimed = set(frozen.units)
    _rebalance(4, others)
    others["c"] = _Member()
    _rebalance(4, others)
    before = {name: member.units for name, member in others.items()}
    _rebalance(4, {"a": frozen, **others})
    assert claimed
    for name, member in others.items():
        assert member.units <= before[name]
    assert len(frozen.units) == 1


def test_a_leader_that_hears_of_no_topics_moves_nothing() -> None:
    members = {name: _Member() for name in "abc"}
    _rebalance(8, members)
    del members["b"]
    _rebalance(8, members)
    members["d"] = _Member()
    before = {name: member.units for name, member in members.items()}
    _rebalance(0, members)
    assert all(not member.units for member in members.values())
    _rebalance(8, members)
    for name in "ac":
        assert members[name].units <= before[name]
    assert sorted(unit for m in members.values() for unit in m.units) == list(range(8))


def test_after_a_restart_of_all_every_host_gets_its_own_units() -> None:
    rng = random.Random(5)
    for units in (2, 5, 9, 24):
        members = {f"m{n}": Member(0, []) for n in range(3)}
        owned = share(units, members)
        assert sorted(unit for some in owned.values() for unit in some) == list(range(units))
        for _ in range(20):
            ended = {f"n{rng.random()}": name for name in members}  # members have new names after every start
            started = {
                new: Member(
                    0, [], {u: 1_000 + u if u in owned[old] else rng.randrange(900) for u in range(units)}
                )
                for new, old in ended.items()
            }  # each also has old stores of others' units
            given = share(units, started)
            assert {ended[new]: some for new, some in given.items()} == owned


def test_a_host_that_had_taken_over_for_a_moment_leaves_the_others_theirs() -> None:
    blue = Member(0, [], {0: 55, 1: 40, 2: 50, 3: 55})  # this one was stopped last, when it had all units
    red = Member(0, [], {2: 50, 3: 55})
    assert share(4, {"blue": blue, "red": red}) == {"blue": [0, 1], "red": [2, 3]}


def test_a_worker_that_started_alone_gives_back_units_that_are_farther_elsewhere() -> None:
    alone = Member(1, [0, 1, 2, 3], {0: 5, 1: 700, 2: 5, 3: 700})
    back = Member(0, [], {0: 900, 1: 300, 2: 900})
    assert share(4, {"alone": alone, "back": back}) == {"alone": [1, 3], "back": [0, 2]}


def test_a_unit_does_not_move_to_a_farther_store_while_nobody_has_too_many() -> None:
    members = {"a": Member(3, [0, 1], {0: 10, 1: 10}), "b": Member(3, [2, 3], {0: 90, 1: 90, 2: 1, 3: 1})}
    assert share(4, members) == {"a": [0, 1], "b": [2, 3]}


def test_a_member_says_when_others_keep_their_stores_elsewhere_and_there_are_no_checkpoints(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warned(*places: str) -> list[str]:
        members = {}
        for n, place in enumerate(places):
            monkeypatch.setattr(StickyUnits, "place", place)
            members[f"m{n}"] = ConsumerProtocolMemberMetadata.decode(StickyUnits.metadata(TOPICS).encode())
        caplog.clear()
        StickyUnits.on_assignment(StickyUnits.assign(_Cluster(2), members)["m0"])
        return [record.getMessage() for record in caplog.records]

    monkeypatch.setattr(StickyUnits, "_given", StickyUnits._given)
    assert warned("red:/data", "red:/data") == []
    (answer,) = warned("red:/data", "blue:/data")
    assert "(blue:/data, red:/data)" in answer
    assert "Set ALSOBOUGHT_CHECKPOINT_URL" in answer
    assert warned("blue:/data", "red:/data") == [], "once"
    monkeypatch.setattr(StickyUnits, "has_checkpoints", True)
    assert warned("red:/data", "blue:/data", "green:/data") == []


def test_members_that_report_nothing_are_served() -> None:
    given = share(3, {"x": Member(0, []), "y": Member(0, [99, -1])})
    assert sorted(given["x"] + given["y"]) == [0, 1, 2]
    rubbish = ConsumerProtocolMemberMetadata(0, TOPICS, b"\xff not ours")
    assigned = StickyUnits.assign(_Cluster(2), {"x": rubbish})
    assert len(assigned["x"].partitions()) == 6


class _Forgetful(StickyUnits):
    """A consumer whose broker has just started: at the first assignment the leader knows of no topics."""

    asked = 0

    @classmethod
    def assign(
        cls, cluster: object, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        cls.asked += 1
        if cls.asked == 1:
            cluster._partitions.clear()  # type: ignore[attr-defined]
        return super().assign(cluster, members)


def test_a_leader_that_heard_of_no_topics_assigns_them_when_it_does(broker: EmbeddedKafka) -> None:
    spec = TopicSpec("assigned-late", "k", "for this test", "delete")
    create_topics(broker.bootstrap, [spec], 2, 1)

    async def main() -> list[int]:
        consumer = AIOKafkaConsumer(
            spec.name, bootstrap_servers=broker.bootstrap.servers, group_id="assigned-late",
            partition_assignment_strategy=[_Forgetful], metadata_max_age_ms=METADATA_AGE_MS,
        )  # fmt: skip
        await consumer.start()
        try:
            assert not consumer.assignment()
            async with asyncio.timeout(30):
                while not consumer.assignment():
                    await consumer.getmany(timeout_ms=100)
            return sorted(tp.partition for tp in consumer.assignment())
        finally:
            await consumer.stop()

    assert asyncio.run(main()) == [0, 1]
    assert _Forgetful.asked == 2
