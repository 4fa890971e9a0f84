"""What becomes of a process whose rights in Kafka are taken away while it runs: it says which, and ends.

It ends as by SIGTERM, storing what it can, but with status 1. Whatever starts it again is told what is
missing by the check at the start, until the right is there again.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
from collections.abc import Iterable

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from streams.broker.errors import TopicsError
from streams.broker.topics_admin import check_rights
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import SecurityError
from streams.rights import Right

log = logging.getLogger("alsobought")

REFUSALS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""The errors with which Kafka refuses a request for want of a right."""


def reason_of(error: Exception, bootstrap: Bootstrap, rights: Iterable[Right]) -> str:
    """Return what is missing of the rights that this process needs, as Kafka says when it is asked."""
    try:
        check_rights(bootstrap, rights)
    except (TopicsError, SecurityError) as missing:
        return str(missing)
    return (
        f"Kafka at {bootstrap} refused a request for want of a right: {error}. Asked now, it names none that"
        " is missing: the right was given back, or it is Read on the group, of which Kafka says nothing"
        " while the group has no members."
    )


def end() -> None:
    """Let this process stop as by SIGTERM, and end with status 1."""
    atexit.register(os._exit, 1)
    os.kill(os.getpid(), signal.SIGTERM)
