"""The connection with which the modules of this folder, and no others, administer Kafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError, RetriableError

from streams.broker.errors import KafkaUnreachable, TopicsRefused
from streams.connections import clients
from streams.connections.admission import wait_for_trouble
from streams.connections.bootstrap import Bootstrap

TIMEOUT_S = 5.0
"""How long a broker's port may stay closed before it counts as absent."""

ANSWER_S = 10.0
"""How long a broker with an open port may take to answer a first request."""

REQUEST_MS = 30_000
"""How long it may take for any other request, and until topics that it made are ready."""

LOOK_S = 0.2


@contextlib.contextmanager
def admin_client(bootstrap: Bootstrap, *, timeout_s: float = TIMEOUT_S) -> Iterator[Any]:
    """Open kafka-python's admin client; whatever goes wrong in reaching Kafka is a KafkaUnreachable.

    If Kafka is reached and does not admit this process, it raises NotAdmitted or TokenUnavailable.

    The ports are tried first, for `timeout_s`: a client made while they are closed would wait its whole
    timeout and leave a thread behind. An open port has `ANSWER_S` to answer: a broker that is there may be
    busy.
    """
    deadline = time.monotonic() + timeout_s
    while trouble := wait_for_trouble(bootstrap, ANSWER_S):
        if time.monotonic() >= deadline:
            raise unreachable(bootstrap, trouble)
        time.sleep(LOOK_S)
    try:
        client = clients.admin(
            bootstrap, bootstrap_timeout_ms=int(ANSWER_S * 1000), request_timeout_ms=REQUEST_MS
        )
        try:
            yield client
        finally:
            client.close()
    except RetriableError as error:
        raise unreachable(bootstrap, str(error)) from error
    except KafkaError as error:
        raise TopicsRefused(
            f"Kafka at {bootstrap} refused a request about its topics: {error}. See its log for the reason."
        ) from error


def unreachable(bootstrap: Bootstrap, trouble: str) -> KafkaUnreachable:
    """Return the error of a Kafka that does not answer, with what was the trouble and what to do."""
    return KafkaUnreachable(
        f"no Kafka answers at {bootstrap} ({trouble}). Start it (`alsobought broker run` runs one here), or"
        " set ALSOBOUGHT_KAFKA to where it is."
    )
