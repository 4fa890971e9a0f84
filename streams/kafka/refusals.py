"""What becomes of a process whose rights in Kafka are taken away while it runs: it says which, and ends.

It ends as by SIGTERM, storing what it can, but with status 1. Whatever starts it again is told what is
missing by the check at the start, until the right is there again.

A refusal has many faces: of a fetch it is an error of its own, of a question for offsets aiokafka makes a
timeout. So after any error of Kafka's it is asked what this process may do.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
from collections.abc import Iterable

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from streams.broker.errors import KafkaUnreachable, RightsMissing, TopicsError
from streams.broker.topics_admin import check_rights
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import SecurityError
from streams.rights import Operation, Right

REFUSALS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""The errors with which Kafka refuses a request for want of a right."""


async def require_on_topics(bootstrap: Bootstrap, operation: Operation, topics: Iterable[str]) -> None:
    """Return if this process may do something with all of the topics, or if Kafka cannot be asked.

    Raises
    ------
    RightsMissing
    """
    rights = [Right("topic", topic, operation) for topic in topics]
    with contextlib.suppress(KafkaUnreachable, SecurityError):
        await asyncio.to_thread(check_rights, bootstrap, rights, timeout_s=0)


def lost_right(error: Exception, bootstrap: Bootstrap, rights: Iterable[Right]) -> str:
    """Return what an error says of the rights that this process needs; empty if it is not for want of one."""
    if not isinstance(error, KafkaError | RightsMissing):
        return ""
    try:
        check_rights(bootstrap, rights, timeout_s=0)
    except RightsMissing as missing:
        return str(missing)
    except (TopicsError, SecurityError):  # nobody can be asked
        return ""
    if isinstance(error, REFUSALS):
        return (
            f"Kafka at {bootstrap} refused a request for want of a right: {error}. Asked now, it names none"
            " that is missing: the right was given back, or it is Read on the group, of which Kafka says"
            " nothing while the group has no members."
        )
    return ""


def end() -> None:
    """Let this process stop as by SIGTERM, and end with status 1."""
    atexit.register(os._exit, 1)
    os.kill(os.getpid(), signal.SIGTERM)
