"""Create our topics on any Kafka, and describe topics and groups. No other module administers Kafka."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    RetriableError,
    TopicAlreadyExistsError,
    for_code,
)

from streams.broker.errors import KafkaUnreachable, PartitionsDiffer, TopicsMissing, TopicsRefused
from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.topics import TopicSpec

TIMEOUT_S = 5.0
"""How long a broker may take to answer a first request before it counts as absent."""

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
    KafkaUnreachable, PartitionsDiffer, TopicsRefused
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        existing = {topic["name"]: len(topic["partitions"]) for topic in describe(admin, wanted)}
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
        admin.wait_for_topics(list(missing))
        now = {topic["name"]: len(topic["partitions"]) for topic in describe(admin, wanted)}
        _refuse_other_counts(now, partitions, bootstrap)
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
        found = {topic["name"]: topic for topic in describe(admin, wanted)}
        if not found:
            return []
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
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


def require_topics(bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S) -> None:
    """Return if all of the topics exist, with equally many partitions.

    Raises
    ------
    KafkaUnreachable, TopicsMissing, PartitionsDiffer
    """
    wanted = list(specs)
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        counts = {topic["name"]: len(topic["partitions"]) for topic in describe(admin, wanted)}
    if missing := [spec.name for spec in wanted if spec.name not in counts]:
        raise TopicsMissing(
            f"Kafka at {bootstrap} lacks the topics {', '.join(missing)}: create them with"
            " `alsobought topics create`."
        )
    _refuse_other_counts(counts, counts[wanted[0].name], bootstrap)


def topic_ids(
    bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S
) -> dict[str, str]:
    """Return the ids Kafka gave those of the topics that exist, by name.

    Raises
    ------
    KafkaUnreachable
    """
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        return {topic["name"]: str(topic["topic_id"]) for topic in describe(admin, list(specs))}


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
    raise _unreachable(bootstrap, f"it does not know the group {group} yet: {trouble}")


@contextlib.contextmanager
def admin_client(
    bootstrap: Bootstrap, *, timeout_s: float = TIMEOUT_S, connect_timeout_s: float | None = None
) -> Iterator[Any]:
    """Open kafka-python's admin client; whatever goes wrong in reaching Kafka is a KafkaUnreachable.

    The ports are tried first, for `connect_timeout_s` (by default `timeout_s`): a client made while they are
    closed would wait its whole timeout and leave a thread behind.
    """
    deadline = time.monotonic() + (timeout_s if connect_timeout_s is None else connect_timeout_s)
    while trouble := _connect_trouble(bootstrap.addresses, timeout_s):
        if time.monotonic() >= deadline:
            raise _unreachable(bootstrap, trouble)
        time.sleep(0.2)
    timeout_ms = int(timeout_s * 1000)
    try:
        # Requests may take longer than the first answer: a broker creates topics at its disk's pace.
        client = clients.admin(bootstrap, bootstrap_timeout_ms=timeout_ms, request_timeout_ms=30_000)
        try:
            yield client
        finally:
            client.close()
    except RetriableError as error:
        raise _unreachable(bootstrap, str(error)) from error
    except KafkaError as error:
        raise TopicsRefused(
            f"Kafka at {bootstrap} refused a request about its topics: {error}. If it guards its topics,"
            " ask its keeper for the right to create and describe ours."
        ) from error


def _connect_trouble(servers: Sequence[str], timeout_s: float) -> str:
    """Return why no server can be connected to; empty if one can."""
    troubles = []
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s):
                return ""
        except ValueError:
            troubles.append(f"{server!r} is not host:port")
        except OSError as error:
            troubles.append(f"{server}: {error.strerror or error}")
    return "; ".join(troubles)


def _unreachable(bootstrap: Bootstrap, trouble: str) -> KafkaUnreachable:
    return KafkaUnreachable(
        f"no Kafka answers at {bootstrap} ({trouble}). Start it (`alsobought broker run` runs one here), or"
        " set ALSOBOUGHT_KAFKA to where it is."
    )


def describe(admin: Any, specs: Sequence[TopicSpec]) -> list[dict[str, Any]]:
    """Return Kafka's description of those of the topics that exist."""
    described: list[dict[str, Any]] = admin.describe_topics([spec.name for spec in specs])
    return [topic for topic in described if topic["error_code"] == 0]


def _refuse_other_counts(existing: dict[str, int], partitions: int, bootstrap: Bootstrap) -> None:
    other = {name: count for name, count in existing.items() if count != partitions}
    if other:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(other.items()))
        raise PartitionsDiffer(
            f"all our topics must have the same number of partitions, {partitions} as asked for; but on Kafka"
            f" at {bootstrap}: {listed}. Set ALSOBOUGHT_PARTITIONS to that number if all have it; else delete"
            " the topics that differ (with what is in them) and create them again."
        )
