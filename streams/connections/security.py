"""How connections to Kafka are secured: TLS, and who this process is there.

    PLAINTEXT        neither
    SSL              TLS; with a certificate of its own (mutual TLS) the process is who the certificate says
    SASL_SSL         TLS, and a user with a password (PLAIN, SCRAM) or a token (OAUTHBEARER)
    SASL_PLAINTEXT   the same without TLS

The names are Kafka's. Secrets are pydantic's SecretStr, which shows asterisks.
"""

from __future__ import annotations

import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from streams.connections.errors import SecurityError
from streams.connections.tokens import TokenEndpoint, TokenFile, Tokens

if TYPE_CHECKING:
    from streams.settings import Settings

PREFIX = "ALSOBOUGHT_KAFKA_"
OAUTH = "OAUTHBEARER"
ANONYMOUS = "User:ANONYMOUS"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Security:
    """The security of connections to one Kafka.

    Attributes
    ----------
    protocol, mechanism
        Kafka's `security.protocol` and `sasl.mechanism`; the mechanism is None without SASL.
    context
        Verifies the brokers and has this process's certificate; None without TLS.
    username, password
        The user of PLAIN and SCRAM.
    tokens
        The source of tokens of OAUTHBEARER.
    principal
        What Kafka knows this process as; None if only Kafka can tell, from a certificate or a token.
    """

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    context: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: SecretStr | None = None
    tokens: Tokens | None = field(default=None, repr=False)
    principal: str | None = ANONYMOUS


PLAIN_TEXT = Security()
"""No security: how the local stack is reached."""

NAMES = tuple(
    f"kafka_{name}"
    for name in (
        "security_protocol", "ca_file", "certificate_file", "key_file", "key_password", "key_password_file",
        "sasl_mechanism", "username", "password", "password_file", "token_file", "token_url",
        "token_client_id", "token_client_secret", "token_client_secret_file", "token_scope",
    )
)  # fmt: skip
"""The settings of security."""

_TLS = NAMES[1:6]
_USER = ("kafka_username", "kafka_password", "kafka_password_file")
_TOKENS = NAMES[10:]


def security_of(settings: Settings) -> Security:
    """Return the security that the settings ask for; files are read now, but for tokens.

    Raises
    ------
    SecurityError
        Settings are missing or contradict one another, or a file cannot be used.
    """
    protocol = settings.kafka_security_protocol
    tls, sasl = "SSL" in protocol, "SASL" in protocol
    if not tls:
        _refuse(
            settings, _TLS, f"which {protocol} does not use", f"{PREFIX}SECURITY_PROTOCOL to SSL or SASL_SSL"
        )
    context = _context(settings) if tls else None
    if not sasl:
        unused = ("kafka_sasl_mechanism", *_USER, *_TOKENS)
        _refuse(settings, unused, f"which {protocol} does not use", f"{PREFIX}SECURITY_PROTOCOL to SASL_SSL")
        known = ANONYMOUS if settings.kafka_certificate_file is None else None
        return Security(protocol, context=context, principal=known)
    mechanism = settings.kafka_sasl_mechanism
    if mechanism is None:
        raise SecurityError(
            f"{PREFIX}SECURITY_PROTOCOL={protocol} needs {PREFIX}SASL_MECHANISM: set it to PLAIN,"
            " SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, as the listener of Kafka has it."
        )
    if mechanism == OAUTH:
        _refuse(settings, _USER, f"which {mechanism} does not use", f"{PREFIX}SASL_MECHANISM")
        return Security(protocol, mechanism, context, tokens=_tokens(settings), principal=None)
    _refuse(settings, _TOKENS, f"which {mechanism} does not use", f"{PREFIX}SASL_MECHANISM to OAUTHBEARER")
    user, password = settings.kafka_username, _secret(settings, "kafka_password")
    if not user or password is None:
        missing = "USERNAME" if not user else "PASSWORD_FILE or _PASSWORD"
        raise SecurityError(f"{PREFIX}SASL_MECHANISM={mechanism} needs a user: set {PREFIX}{missing}, too.")
    return Security(protocol, mechanism, context, user, password, principal=f"User:{user}")


def _refuse(settings: Settings, names: tuple[str, ...], why: str, instead: str) -> None:
    """Raise SecurityError if one of the settings is given, because it would silently have no effect."""
    if given := [name for name in names if getattr(settings, name) is not None]:
        listed = ", ".join(_variable(name) for name in given)
        raise SecurityError(f"{listed} is set, {why}. Set {instead}, or unset it.")


def _variable(name: str) -> str:
    return f"ALSOBOUGHT_{name.upper()}"


def _secret(settings: Settings, name: str) -> SecretStr | None:
    """Return a secret from its file or from the variable itself; None without either.

    Raises
    ------
    SecurityError
        Both are given, or the file cannot be read or is empty.
    """
    given: SecretStr | None = getattr(settings, name)
    path: Path | None = getattr(settings, f"{name}_file")
    if path is None:
        if given is not None and not given.get_secret_value():
            raise SecurityError(f"{_variable(name)} is empty: set it to the secret, or unset it.")
        return given
    if given is not None:
        raise SecurityError(f"{_variable(name)} and {_variable(name)}_FILE are both set: unset one of them.")
    text = _text(path, f"{_variable(name)}_FILE").rstrip("\r\n")
    if not text:
        raise SecurityError(f"{path} ({_variable(name)}_FILE) is empty: it must hold the secret.")
    return SecretStr(text)


def _text(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = error.strerror or "it cannot be opened"
    except UnicodeDecodeError:
        what = "it is not UTF-8"
    raise SecurityError(f"{path} ({variable}) cannot be read: {what}. Correct the path or its permissions.")


def _context(settings: Settings) -> ssl.SSLContext:
    """Return what verifies the brokers' certificates and names, and shows this process's certificate."""
    context = ssl.create_default_context(cadata=_authorities(settings))
    certificate, key = settings.kafka_certificate_file, settings.kafka_key_file
    if certificate is None:
        _refuse(
            settings, ("kafka_key_file", "kafka_key_password", "kafka_key_password_file"),
            "but no certificate is", f"{PREFIX}CERTIFICATE_FILE, too",
        )  # fmt: skip
        return context
    password = _secret(settings, "kafka_key_password")
    _text(certificate, f"{PREFIX}CERTIFICATE_FILE")
    if key is not None:
        _text(key, f"{PREFIX}KEY_FILE")
    try:
        # always a password: without one OpenSSL would ask for it on the terminal, and wait
        context.load_cert_chain(certificate, key, lambda: password.get_secret_value() if password else " ")
    except (ssl.SSLError, ValueError):
        raise SecurityError(
            f"{certificate} ({PREFIX}CERTIFICATE_FILE) and {key or 'its key'} ({PREFIX}KEY_FILE) cannot be"
            " used: they must be a certificate in PEM with those that lead to its authority, and its"
            f" private key in PEM; if the key is encrypted, {PREFIX}KEY_PASSWORD_FILE or _KEY_PASSWORD must"
            " be its password."
        ) from None
    return context


def _authorities(settings: Settings) -> str | None:
    """Return the certificates of the authorities that may have signed the brokers'; None: the system's."""
    path = settings.kafka_ca_file
    if path is None:
        return None
    text = _text(path, f"{PREFIX}CA_FILE")
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise SecurityError(
            f"{path} ({PREFIX}CA_FILE) must hold certificates of authorities in PEM, and does not."
        ) from None
    return text


def _tokens(settings: Settings) -> Tokens:
    """Return the source of tokens."""
    url, client = settings.kafka_token_url, settings.kafka_token_client_id
    secret = _secret(settings, "kafka_token_client_secret")
    if settings.kafka_token_file is not None:
        _refuse(settings, _TOKENS[1:], "beside a file of tokens", f"{PREFIX}TOKEN_FILE alone")
        return TokenFile(settings.kafka_token_file)
    if url is None or client is None or secret is None:
        raise SecurityError(
            f"{PREFIX}SASL_MECHANISM={OAUTH} needs a source of tokens: set {PREFIX}TOKEN_FILE; or"
            f" {PREFIX}TOKEN_URL, _TOKEN_CLIENT_ID, and _TOKEN_CLIENT_SECRET_FILE or _TOKEN_CLIENT_SECRET."
        )
    parts = urllib.parse.urlsplit(url)
    local = parts.hostname in LOOPBACK
    if (
        not parts.hostname
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and local))
    ):
        raise SecurityError(
            f"{PREFIX}TOKEN_URL must be an address of https without user and password, because the client's"
            " secret is sent there."
        )
    context = ssl.create_default_context()
    if (authorities := _authorities(settings)) is not None:
        context.load_verify_locations(cadata=authorities)
    return TokenEndpoint(url, client, secret, settings.kafka_token_scope, context)
