"""What this process may do on topics and groups, as Kafka itself says."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    NotCoordinatorError,
    TopicAuthorizationFailedError,
)

from streams.broker.errors import RightsMissing
from streams.connections.bootstrap import Bootstrap
from streams.rights import Right

STARTING = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)
COORDINATOR_S = 30.0
LOOK_S = 0.2


def require_rights(admin: Any, bootstrap: Bootstrap, rights: Iterable[Right]) -> None:
    """Return if this process has the rights, as far as Kafka tells.

    Kafka tells nothing of topics and groups that do not exist; of these only the right to know of them is
    checked.

    Raises
    ------
    RightsMissing
        It names each right that is missing.
    """
    wanted = list(rights)
    topics = [right for right in wanted if right.resource == "topic"]
    allowed = _on_topics(admin, {right.name for right in topics})
    missing = [right for right in topics if not _may(right, allowed[right.name])]
    for group in {right.name for right in wanted if right.resource == "group"}:
        operations = _on_group(admin, group)
        missing += [
            right
            for right in wanted
            if right.resource == "group" and right.name == group and not _may(right, operations)
        ]
    if missing:
        raise RightsMissing(bootstrap, missing)


def _may(right: Right, operations: set[str] | None) -> bool:
    """Return whether a right is among operations; None stands for operations that Kafka does not tell."""
    return operations is None or right.operation.upper() in {name.replace("_", "") for name in operations}


def _on_topics(admin: Any, names: Iterable[str]) -> dict[str, set[str] | None]:
    """Return what may be done on each topic, None where Kafka does not tell."""
    found: dict[str, set[str] | None] = {}
    for topic in admin.describe_topics(sorted(names)):
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            found[topic["name"]] = set()
        else:
            found[topic["name"]] = set(topic.get("authorized_operations") or ()) or None
    return found


def _on_group(admin: Any, group: str) -> set[str] | None:
    """Return what may be done with a group, None where Kafka does not tell."""
    deadline = time.monotonic() + COORDINATOR_S
    while True:
        try:
            described = admin.describe_groups([group])[group]
        except GroupAuthorizationFailedError:
            return set()
        except STARTING:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_S)
            continue
        if GroupAuthorizationFailedError.__name__ in str(described["error"]):
            return set()
        return set(described.get("authorized_operations") or ()) or None
