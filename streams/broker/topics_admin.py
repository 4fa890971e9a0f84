"""Create our topics on any Kafka, and describe topics and groups."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    CoordinatorNotAvailableError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streams.broker.admin import REQUEST_MS, TIMEOUT_S, admin_client, unreachable
from streams.broker.errors import (
    PartitionsDiffer,
    RightsMissing,
    TopicsMissing,
    TopicsRefused,
)
from streams.broker.rights_check import require_rights
from streams.connections.bootstrap import Bootstrap
from streams.rights import Right
from streams.topics import TopicSpec

COORDINATOR_S = 30.0
"""How long Kafka may take after its start to know the groups."""

LOOK_S = 0.2


@dataclass(frozen=True)
class TopicState:
    """A topic as Kafka has it; `retention_ms` -1 keeps records for ever, None where it does not apply."""

    name: str
    partitions: int
    replication: int
    cleanup: str
    retention_ms: int | None


def create_topics(
    bootstrap: Bootstrap,
    specs: Iterable[TopicSpec],
    partitions: int,
    replication: int,
    *,
    timeout_s: float = TIMEOUT_S,
) -> list[str]:
    """Create the topics that do not exist yet and return their names; existing ones are left alone.

    Our topics must have equally many partitions: partition i of one is worked on with partition i of another.

    Raises
    ------
    KafkaUnreachable, PartitionsDiffer, TopicsRefused, RightsMissing
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        existing = _counts(admin, bootstrap, wanted)
        _refuse_other_counts(existing, partitions, bootstrap)
        missing = {
            spec.name: {
                "num_partitions": partitions,
                "replication_factor": replication,
                "configs": spec.config,
            }
            for spec in wanted
            if spec.name not in existing
        }
        if not missing:
            return []
        answer = admin.create_topics(missing, raise_errors=False)
        if refused := [t for t in answer["topics"] if t["error_code"] == TopicAuthorizationFailedError.errno]:
            raise RightsMissing(bootstrap, [Right("topic", topic["name"], "Create") for topic in refused])
        created = []
        for topic in answer["topics"]:
            error = for_code(topic["error_code"])
            if topic["error_code"] == 0:
                created.append(topic["name"])
            elif error is not TopicAlreadyExistsError:  # another program was quicker: as good
                raise TopicsRefused(
                    f"Kafka at {bootstrap} refused to create the topic {topic['name']} with {partitions}"
                    f" partitions and {replication} replicas: {topic['error_message'] or error.__name__}."
                    " Repair that (ALSOBOUGHT_REPLICATION cannot exceed the number of brokers) and try again."
                )
        admin.wait_for_topics(list(missing), timeout_ms=REQUEST_MS)
        _refuse_other_counts(_counts(admin, bootstrap, wanted), partitions, bootstrap)
        return created


def list_topics(
    bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S
) -> list[TopicState]:
    """Describe those of the topics that exist, in the order given.

    Raises
    ------
    KafkaUnreachable
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        found = {topic["name"]: topic for topic in describe(admin, bootstrap, wanted)}
        if not found:
            return []
        configs = configs_of(admin, bootstrap, found)
    states = []
    for spec in wanted:
        if spec.name in found:
            topic, config = found[spec.name], configs[spec.name]
            cleanup = config["cleanup.policy"]["value"]
            states.append(
                TopicState(
                    name=spec.name,
                    partitions=len(topic["partitions"]),
                    replication=len(topic["partitions"][0]["replica_nodes"]),
                    cleanup=cleanup,
                    retention_ms=int(config["retention.ms"]["value"]) if "delete" in cleanup else None,
                )
            )
    return states


def require_topics(
    bootstrap: Bootstrap,
    specs: Iterable[TopicSpec],
    rights: Iterable[Right] = (),
    *,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Return if this process has the rights, and all of the topics exist, with equally many partitions.

    Raises
    ------
    KafkaUnreachable, RightsMissing, TopicsMissing, PartitionsDiffer
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        require_rights(admin, bootstrap, rights)
        counts = _counts(admin, bootstrap, wanted)
    if missing := [spec.name for spec in wanted if spec.name not in counts]:
        raise TopicsMissing(
            f"Kafka at {bootstrap} lacks the topics {', '.join(missing)}: create them with"
            " `alsobought topics create`."
        )
    _refuse_other_counts(counts, counts[wanted[0].name], bootstrap)


def partition_counts(
    bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S
) -> dict[str, int]:
    """Return how many partitions those of the topics have that exist, by name.

    Raises
    ------
    KafkaUnreachable, RightsMissing
    """
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        return _counts(admin, bootstrap, list(specs))


def check_rights(bootstrap: Bootstrap, rights: Iterable[Right], *, timeout_s: float = TIMEOUT_S) -> None:
    """Return if this process has the rights; `timeout_s` as for `admin_client`.

    Raises
    ------
    KafkaUnreachable, RightsMissing
    """
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        require_rights(admin, bootstrap, rights)


def topic_ids(
    bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S
) -> dict[str, str]:
    """Return the ids Kafka gave those of the topics that exist, by name.

    Raises
    ------
    KafkaUnreachable
    """
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        found = describe(admin, bootstrap, list(specs))
        return {topic["name"]: str(topic["topic_id"]) for topic in found}


def group_members(bootstrap: Bootstrap, group: str, *, timeout_s: float = COORDINATOR_S) -> list[str]:
    """Return the client and host of every member of a consumer group; one that has died stays for a while.

    Raises
    ------
    KafkaUnreachable
        Also when Kafka does not know its groups in time, as just after its start.
    """
    deadline = time.monotonic() + timeout_s
    trouble = ""
    with admin_client(bootstrap) as admin:
        require_rights(admin, bootstrap, [Right("group", group, "Describe")])
        while time.monotonic() < deadline:
            try:
                described = admin.describe_groups([group])[group]
            except CoordinatorNotAvailableError as error:
                trouble = str(error)
            else:
                if described["group_state"]:  # Dead is one that nobody has heard of
                    return [
                        f"{member['group_instance_id'] or member['client_id']} at"
                        f" {member['client_host'].lstrip('/')}"
                        for member in described["members"]
                    ]
                trouble = described["error"]
            time.sleep(LOOK_S)
    raise unreachable(bootstrap, f"it does not know the group {group} yet: {trouble}")


def describe(admin: Any, bootstrap: Bootstrap, specs: Sequence[TopicSpec]) -> list[dict[str, Any]]:
    """Return Kafka's description of those of the topics that exist; raise RightsMissing."""
    described: list[dict[str, Any]] = admin.describe_topics([spec.name for spec in specs])
    denied = [t["name"] for t in described if t["error_code"] == TopicAuthorizationFailedError.errno]
    if denied:
        raise RightsMissing(bootstrap, [Right("topic", name, "Describe") for name in denied])
    return [topic for topic in described if topic["error_code"] == 0]


def configs_of(admin: Any, bootstrap: Bootstrap, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the configuration of topics by name and entry; raise RightsMissing."""
    sorted_names = sorted(names)
    require_rights(admin, bootstrap, [Right("topic", name, "DescribeConfigs") for name in sorted_names])
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted_names]
    configs: dict[str, dict[str, Any]] = admin.describe_configs(resources, config_filter="all")["topic"]
    return configs


def _counts(admin: Any, bootstrap: Bootstrap, specs: Sequence[TopicSpec]) -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in describe(admin, bootstrap, specs)}


def _refuse_other_counts(existing: dict[str, int], partitions: int, bootstrap: Bootstrap) -> None:
    other = {name: count for name, count in existing.items() if count != partitions}
    if other:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(other.items()))
        raise PartitionsDiffer(
            f"all our topics must have the same number of partitions, {partitions} as asked for; but on Kafka"
            f" at {bootstrap}: {listed}. Set ALSOBOUGHT_PARTITIONS to that number if all have it; else delete"
            " the topics that differ (with what is in them) and create them again."
        )
