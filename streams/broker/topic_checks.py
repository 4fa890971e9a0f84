"""How topics in Kafka differ from our specifications, if they were made by hand or by another program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.broker.admin import TIMEOUT_S, admin_client
from streams.broker.topics_admin import configs_of, describe
from streams.connections.bootstrap import Bootstrap
from streams.topics import DAY_MS, TopicSpec

USUAL_BYTES = 1_048_576
"""Largest message of a topic that says nothing else, in Kafka and in our specifications."""


@dataclass(frozen=True)
class Difference:
    """One entry of a topic's configuration that is not as it should be.

    Attributes
    ----------
    why
        What follows from it, as the end of a sentence.
    breaks
        Whether counts are lost or workers stop because of it; otherwise it is only worth knowing.
    """

    topic: str
    entry: str
    value: str
    wanted: str
    why: str
    breaks: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.entry} is {self.value} and should be {self.wanted}: {self.why}"


def differences(
    bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S
) -> list[Difference]:
    """Compare those of the topics that exist with their specifications, in the order given.

    Longer retention and larger messages than ours are as good. Partitions are not compared here: commands
    and workers refuse topics that differ in them.

    Raises
    ------
    KafkaUnreachable
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        names = {topic["name"] for topic in describe(admin, bootstrap, wanted)}
        if not names:
            return []
        configs = configs_of(admin, bootstrap, names)
    found: list[Difference] = []
    for spec in wanted:
        if spec.name in names:
            config = {entry: setting["value"] for entry, setting in configs[spec.name].items()}
            found += _compared(spec, config)
    return found


def _compared(spec: TopicSpec, config: Mapping[str, str]) -> Iterable[Difference]:
    def differs(entry: str, why: str, *, wanted: str = "", breaks: bool = False) -> Difference:
        return Difference(spec.name, entry, config[entry], wanted or spec.config[entry], why, breaks)

    if config["cleanup.policy"] != spec.cleanup:
        why = (
            "compaction keeps only the newest record of a key, and what is counted would go with the others"
            if spec.cleanup == "delete"
            else "what was published last under a key would be deleted while it still holds"
        )
        yield differs("cleanup.policy", why, breaks=True)
    if int(config["max.message.bytes"]) < spec.max_message_bytes:
        yield differs(
            "max.message.bytes",
            "Kafka would refuse the largest messages, and their writer would stop",
            breaks=spec.max_message_bytes > USUAL_BYTES,
        )
    if spec.cleanup == "delete":
        if _shorter(int(config["retention.ms"]), spec.retention_ms):
            days = int(config["retention.ms"]) / DAY_MS
            yield differs(
                "retention.ms",
                f"records are deleted after {days:.3g} days, and a worker whose store and checkpoints are"
                " older cannot continue from them",
            )
        if int(config["retention.bytes"]) >= 0:
            yield differs(
                "retention.bytes", "a partition that grows beyond it loses its oldest records", wanted="-1"
            )
    if config["message.timestamp.type"] != spec.config["message.timestamp.type"]:
        yield differs(
            "message.timestamp.type",
            "records carry the times that producers give them: Kafka deletes records by these, and event"
            " times can only be compared with the workers' clocks",
        )


def _shorter(retention_ms: int, wanted_ms: int) -> bool:
    return retention_ms >= 0 and (wanted_ms < 0 or retention_ms < wanted_ms)


def change_commands(bootstrap: Bootstrap, found: Iterable[Difference]) -> list[str]:
    """Return the commands of Kafka's own tool that set what differs, one for each topic.

    >>> change_commands("kafka:9092", [Difference("items", "cleanup.policy", "delete", "compact", "", True)])
    ['kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name items --add-config cleanup.policy=compact']
    """  # noqa: E501
    entries: dict[str, list[str]] = {}
    for one in found:
        entries.setdefault(one.topic, []).append(f"{one.entry}={one.wanted}")
    return [
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic}"
        f" --add-config {','.join(some)}"
        for topic, some in entries.items()
    ]
