"""Whether Kafka admits this process: tried with a connection before a client is made.

Clients try again for their whole timeout, whatever is wrong, and then say that nobody answers. A certificate
or a password does not become right by waiting: what is wrong is said at once, with the setting to correct.
"""

from __future__ import annotations

import asyncio
import ssl

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import NotAdmitted, TokenUnavailable
from streams.connections.security import OAUTH, PLAIN_TEXT, PREFIX, Security
from streams.process.threads import run_apart

CLOSE_S = 5.0
"""How long a connection that was tried may take to close, before its event loop ends."""


async def trouble_at(bootstrap: Bootstrap, timeout_s: float) -> str:
    """Return why no server can be reached; empty if one can be reached and admits this process.

    A server without security that ends the connection counts as one that cannot be reached: it may be
    starting.

    Raises
    ------
    NotAdmitted
        A server can be reached and refuses this process, or is not the one it should be.
    TokenUnavailable
        There is no token to show.
    """
    troubles = []
    for server in bootstrap.addresses:
        try:
            await _try(bootstrap, server, timeout_s)
        except TokenUnavailable:
            raise
        except TimeoutError:
            troubles.append(f"{server}: no answer within {timeout_s:g} s")
        except (ssl.SSLError, KafkaError, ConnectionResetError) as error:
            refusal = _refusal(bootstrap.security, server, error)
            if bootstrap.security != PLAIN_TEXT:
                raise NotAdmitted(refusal) from error
            troubles.append(refusal.removesuffix("."))
        except ValueError:
            troubles.append(f"{server!r} is not host:port")
        except OSError as error:
            troubles.append(f"{server}: {error.strerror or error}")
        else:
            return ""
    return "; ".join(troubles)


async def _try(bootstrap: Bootstrap, server: str, timeout_s: float) -> None:
    """Connect to a server and ask it for the brokers: a refused token shows only in that it names none."""
    host, _, port = server.rpartition(":")
    connection = clients.connection(bootstrap, host.strip("[]"), int(port), timeout_s)
    try:
        await connection.connect()
        if not (await connection.send(MetadataRequest([]))).brokers:
            raise KafkaConnectionError("it names no brokers")
    finally:
        closed = connection.close()
        if connection._protocol is not None:  # there was something to close
            await asyncio.wait({closed}, timeout=CLOSE_S)


def wait_for_trouble(bootstrap: Bootstrap, timeout_s: float) -> str:
    """Do the same, and wait for the answer."""
    return run_apart(trouble_at(bootstrap, timeout_s))


def _refusal(security: Security, server: str, error: Exception) -> str:
    """Return what a server's refusal means and what to do."""
    who = f" of {security.principal}" if security.principal else ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate that Kafka at {server} shows is not accepted: {error.verify_message}. Set"
            f" {PREFIX}CA_FILE to the certificate of the authority that signed it, and name the server as"
            " its certificate does."
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"Kafka at {server} does not speak TLS as this process does: {error.reason or error}. Set"
            f" {PREFIX}SECURITY_PROTOCOL to what its listener has, or name another port."
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return (
            f"Kafka at {server} does not know {security.mechanism}: {error}. Set {PREFIX}SASL_MECHANISM to"
            " one that its listener has."
        )
    if isinstance(error, SaslAuthenticationFailed):
        correct = f"{PREFIX}USERNAME and its password"
        return f"Kafka at {server} refuses the credentials{who} ({security.mechanism}): correct {correct}."
    if security.mechanism == OAUTH and isinstance(error, KafkaConnectionError):
        return (
            f"Kafka at {server} ends the connection when it is shown the token: it may have expired, or be of"
            f" another issuer or audience. Have a new one written to {PREFIX}TOKEN_FILE, or correct"
            f" {PREFIX}TOKEN_URL and _TOKEN_SCOPE."
        )
    return (
        f"Kafka at {server} ends the connection: its listener may have another protocol than"
        f" {PREFIX}SECURITY_PROTOCOL={security.protocol}, or want a certificate of this process, signed by an"
        f" authority that it knows ({PREFIX}CERTIFICATE_FILE)."
    )
