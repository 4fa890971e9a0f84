"""Kafka: whether it answers, what its user may do, its topics, the producers' partitioners, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from alsobought.doctor.finding import Finding, Level
from streams.broker import jars
from streams.broker.inspection import inspect
from streams.broker.topic_checks import change_commands, differences
from streams.broker.topics_admin import require_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower, send
from streams.kinds import kinds_of, topics_of
from streams.messages.partitioning import partition_for
from streams.settings import Settings
from streams.topics import PROGRESS

SKEW_S, LARGE_SKEW_S = 1.0, 60.0
LOOKED_AT = 500  # of the newest events of each partition
NEEDED = ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
KNOCK = b"doctor"  # the key of an empty record of `progress`, which all readers ignore


def kafka(bootstrap: Bootstrap, settings: Settings) -> Iterator[Finding]:
    """Ask Kafka for its version, and for what its user may do."""
    found = inspect(bootstrap, topics_of(settings))
    tested = tuple(int(part) for part in jars.KAFKA_VERSION.split(".")[:2])
    speaks = ".".join(map(str, found.version))
    text = f"{bootstrap}, {found.brokers} broker(s), speaks the protocol of Kafka {speaks}"
    if found.version[0] < tested[0]:
        yield Finding(
            Level.WARNING, "kafka", text, f"this release is tested with Kafka {jars.KAFKA_VERSION}: upgrade"
        )
    else:
        yield Finding(Level.OK, "kafka", text)
    lacking = {
        name: ", ".join(right for right in NEEDED if right not in rights)
        for name, rights in found.rights.items()
        if not rights.issuperset(NEEDED)
    }
    if lacking:
        listed = "; ".join(f"{name}: {rights}" for name, rights in lacking.items())
        yield Finding(
            Level.WARNING, "rights", f"this user lacks {listed}",
            "a worker and a recommender need them; ask the keeper of Kafka for those that yours lacks",
        )  # fmt: skip
    elif found.rights:
        yield Finding(Level.OK, "rights", f"{', '.join(NEEDED)} on all {len(found.rights)} topics that exist")


def topics(bootstrap: Bootstrap, settings: Settings) -> Iterator[Finding]:
    """Compare the topics with what they must be."""
    specs = topics_of(settings)
    require_topics(bootstrap, specs)
    different = differences(bootstrap, specs)
    for one in different:
        level = Level.ERROR if one.breaks else Level.WARNING
        yield Finding(level, "topics", str(one), " ".join(change_commands(bootstrap, [one])))
    if not different:
        yield Finding(Level.OK, "topics", f"all {len(specs)} are there, with the settings they need")


def partitioner(bootstrap: Bootstrap, settings: Settings) -> Iterator[Finding]:
    """Compare the partitions of the newest events with those of their keys."""
    for kind in kinds_of(settings):
        with Follower(bootstrap, kind.events, back=LOOKED_AT) as follower:
            partitions = follower.partitions
            rows = [row for row in follower.past() if row.key is not None and row.value is not None]
        name = kind.events.name
        # an erasure is sent to every partition
        rows = [row for row in rows if b'"forget"' not in (row.value or b"")]
        places = [partition_for(row.key or b"", partitions) for row in rows]
        elsewhere = sum(row.partition != place for row, place in zip(rows, places, strict=True))
        if not rows:
            yield Finding(Level.OK, "partitioner", f"{name}: there are no events yet")
        elif elsewhere:
            yield Finding(
                Level.WARNING, "partitioner",
                f"{name}: {elsewhere} of the newest {len(rows)} events are in other partitions than those of"
                " their keys",
                "set the partitioner murmur2 in this producer: docs/guide/producers.md has the line",
            )  # fmt: skip
        else:
            yield Finding(
                Level.OK, "partitioner", f"{name}: the newest {len(rows)} events are where they belong"
            )


def clock(bootstrap: Bootstrap) -> Iterator[Finding]:
    """Compare the broker's clock with this machine's by a record that the broker dates."""
    before = time.time()
    (offset,) = send(bootstrap, PROGRESS, [(0, KNOCK, None)])
    after = time.time()
    with Follower(bootstrap, PROGRESS, back=LOOKED_AT) as follower:
        dated = [row for row in follower.past() if (row.partition, row.offset) == (0, offset)]
    if not dated or not dated[0].by_broker:
        yield Finding(
            Level.WARNING, "clock", "the broker's clock is not known, because it does not date records",
            "set message.timestamp.type=LogAppendTime on all topics, as `alsobought topics create` does",
        )  # fmt: skip
        return
    at = dated[0].timestamp_ms / 1000
    skew_s = at - after if at > after else min(0.0, at - before)
    if abs(skew_s) <= SKEW_S:
        yield Finding(Level.OK, "clock", "this machine and the broker agree within a second")
        return
    level = Level.ERROR if abs(skew_s) > LARGE_SKEW_S else Level.WARNING
    yield Finding(
        level, "clock",
        f"the broker's clock is {abs(skew_s):,.1f} s {'ahead of' if skew_s > 0 else 'behind'} ours",
        "let both machines keep their time by NTP; until then ages, latencies and lags are wrong by as much",
    )  # fmt: skip
