"""What a Kafka says of itself and of what its user may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.broker.admin import TIMEOUT_S, admin_client
from streams.broker.topics_admin import describe
from streams.connections.bootstrap import Bootstrap
from streams.topics import TopicSpec


@dataclass(frozen=True)
class Inspected:
    """A Kafka, as its user sees it.

    Attributes
    ----------
    version : tuple[int, int]
        The newest release whose protocol it speaks in full; its own may be newer.
    brokers : int
        How many brokers there are.
    rights : dict[str, frozenset[str]]
        For each topic that exists and may be described, what the user may do, such as READ and WRITE.
    """

    version: tuple[int, int]
    brokers: int
    rights: dict[str, frozenset[str]]


def inspect(bootstrap: Bootstrap, specs: Iterable[TopicSpec], *, timeout_s: float = TIMEOUT_S) -> Inspected:
    """Ask a Kafka about itself and our topics.

    Raises
    ------
    KafkaUnreachable, TopicsRefused
    """
    with admin_client(bootstrap, timeout_s=timeout_s) as admin:
        brokers = admin.describe_cluster()["brokers"]
        major, minor, *_ = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
        topics = describe(admin, bootstrap, list(specs))
    rights = {topic["name"]: frozenset(topic["authorized_operations"] or ()) for topic in topics}
    return Inspected((major, minor), len(brokers), rights)
