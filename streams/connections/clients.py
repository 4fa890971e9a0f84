"""Makes every client of Kafka, so that all of them are secured alike and read alike.

consumer           aiokafka's consumer; it reads committed records only
producer           aiokafka's producer
blocking_producer  kafka-python's producer, for threads without an event loop
admin              kafka-python's admin client
connection         a single connection, to see what becomes of it

The records of an aborted transaction stay in the log, and a consumer that does not ask for committed records
gets them too. Records of a transaction that is still open are not read either: for such a consumer a
partition ends where the oldest open transaction began (Kafka's last stable offset). aiokafka has every codec
of Kafka, so that any topic can be read however its producers or its broker compress it; kafka-python's
consumer has not, and is not used.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiokafka.abc
import kafka.net.sasl.oauth
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import TopicAuthorizationFailedError
from kafka import KafkaAdminClient, KafkaProducer

from streams.connections.bootstrap import Bootstrap
from streams.connections.records import deliver_few_fields
from streams.connections.security import Security
from streams.connections.tokens import Tokens

ISOLATION = "read_committed"


def consumer(bootstrap: Bootstrap, **more: Any) -> Any:
    """Return aiokafka's consumer, not started; `more` are further settings of it."""
    return _Consumer(
        bootstrap_servers=bootstrap.addresses,
        isolation_level=ISOLATION,
        **_secured(bootstrap.security, _AsyncTokens),
        **more,
    )


def check_readable(consumer: Any) -> None:
    """Return if Kafka let a consumer know of its topics when it was last asked about them.

    A consumer fetches nothing of a topic that it may not know of, and would wait for ever without an error: a
    fetch is refused only if it is sent between the loss of the right and the next question about topics.

    Raises
    ------
    aiokafka.errors.TopicAuthorizationFailedError
        It names the topics of which this process may not know.
    """
    if denied := consumer._client.cluster.unauthorized_topics:
        raise TopicAuthorizationFailedError(", ".join(sorted(denied)))


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    async def getmany(self, *partitions: Any, **how: Any) -> Any:
        check_readable(self)
        return await super().getmany(*partitions, **how)


def producer(bootstrap: Bootstrap, **more: Any) -> Any:
    """Return aiokafka's producer, not started; `more` are further settings of it."""
    secured = _secured(bootstrap.security, _AsyncTokens)
    return AIOKafkaProducer(bootstrap_servers=bootstrap.addresses, **secured, **more)


def blocking_producer(bootstrap: Bootstrap, **more: Any) -> Any:
    """Return kafka-python's producer, connected; `more` are further settings of it."""
    secured = _secured(bootstrap.security, _BlockingTokens)
    return KafkaProducer(bootstrap_servers=bootstrap.addresses, **secured, **more)


def admin(bootstrap: Bootstrap, **more: Any) -> Any:
    """Return kafka-python's admin client, connected; `more` are further settings of it."""
    secured = _secured(bootstrap.security, _BlockingTokens)
    return KafkaAdminClient(bootstrap_servers=bootstrap.addresses, **secured, **more)


def connection(bootstrap: Bootstrap, host: str, port: int, timeout_s: float) -> Any:
    """Return a connection of aiokafka to one server, not connected; `timeout_s` is for each answer."""
    secured = _secured(bootstrap.security, _AsyncTokens)
    return AIOKafkaConnection(host, port, request_timeout_ms=int(timeout_s * 1000), **secured)


def _secured(security: Security, adapter: Any) -> dict[str, Any]:
    """Return the security as settings that both libraries know."""
    password = security.password
    return {
        "security_protocol": security.protocol,
        "ssl_context": security.context,
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": None if password is None else password.get_secret_value(),
        "sasl_oauth_token_provider": None if security.tokens is None else adapter(security.tokens),
    }


class _AsyncTokens(aiokafka.abc.AbstractTokenProvider):  # type: ignore[misc]
    """Tokens as aiokafka asks for them; an endpoint is asked in a thread, so that the loop goes on."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def token(self) -> str:
        """Return a token; raise TokenUnavailable."""
        return await asyncio.to_thread(self._tokens.token)


class _BlockingTokens(kafka.net.sasl.oauth.AbstractTokenProvider):  # type: ignore[misc]
    """Tokens as kafka-python asks for them, in its own thread."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self._tokens = tokens

    def token(self) -> str:
        """Return a token; raise TokenUnavailable."""
        return self._tokens.token()


def _shows_no_credentials(record: logging.LogRecord) -> bool:
    """Return whether a log record may be written: when debugging, both libraries log their credentials.

    They are in the settings of a client, in the requests of SASL, and in bytes as they are sent.
    """
    arguments = record.args if isinstance(record.args, tuple) else (record.args,)
    return "configuration" not in str(record.msg) and not any(
        isinstance(argument, bytes | bytearray) or "Sasl" in type(argument).__name__ for argument in arguments
    )


deliver_few_fields()
for _name in ("aiokafka.conn", "kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser"):
    logging.getLogger(_name).addFilter(_shows_no_credentials)
