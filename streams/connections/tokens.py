"""Tokens for SASL's OAUTHBEARER, from a file or by OAuth 2.0's client credentials grant (RFC 6749, 4.4).

A client of Kafka asks for a token whenever it connects. A file is read each time, so whoever renews tokens
replaces the file. A token of an endpoint is kept until it is about to expire.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from streams.connections.errors import TokenUnavailable

ANSWER_S = 10.0
KEPT_SHARE = 0.8
"""A token is used for this share of its lifetime, so that none expires on its way."""

UNSAID_S = 60.0
"""The lifetime of a token whose endpoint does not say it."""

LARGEST_BYTES = 1 << 20


class Tokens(Protocol):
    """A source of tokens, called from any thread."""

    def token(self) -> str:
        """Return a token that is valid now; raise TokenUnavailable."""


class TokenFile:
    """Reads the token from a file, anew for each connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str:
        """Return what the file holds, without white space around it; raise TokenUnavailable."""
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise TokenUnavailable(
                f"the token in {self._path} (ALSOBOUGHT_KAFKA_TOKEN_FILE) cannot be read: {what}. Let this"
                " process read it, and have it renewed before it expires."
            ) from None
        if not token or len(token.split()) != 1:
            raise TokenUnavailable(
                f"{self._path} (ALSOBOUGHT_KAFKA_TOKEN_FILE) must hold one token and nothing else, but holds"
                f" {len(token.split())} words. Have the token written there again."
            )
        return token


class TokenEndpoint:
    """Asks an OpenID provider's token endpoint, and keeps the token until it is about to expire.

    Parameters
    ----------
    url
        The token endpoint.
    client_id, client_secret, scope
        What this process is known by there, and what it asks for.
    context
        Verifies the endpoint's certificate.
    clock
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: SecretStr,
        scope: str | None,
        context: ssl.SSLContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._id, self._secret, self._scope = url, client_id, client_secret, scope
        self._clock = clock
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)
        self._lock = threading.Lock()
        self._token = ""
        self._until = -1.0

    def token(self) -> str:
        """Return the kept token, or a new one if it is about to expire; raise TokenUnavailable."""
        with self._lock:
            asked = self._clock()
            if not self._token or asked >= self._until:
                self._token, lifetime_s = self._ask()
                self._until = asked + KEPT_SHARE * lifetime_s
            return self._token

    def _ask(self) -> tuple[str, float]:
        """Return a new token and its lifetime in seconds."""
        fields = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        quoted = (urllib.parse.quote(word, "") for word in (self._id, self._secret.get_secret_value()))
        request = urllib.request.Request(
            self._url,
            urllib.parse.urlencode(fields).encode(),
            {
                "Authorization": "Basic " + base64.b64encode(":".join(quoted).encode()).decode(),
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
        )
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                return _parsed(answer.read(LARGEST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                trouble = f"it answers {error.code}{_reason(error.read(LARGEST_BYTES))}"
        except urllib.error.URLError as error:
            trouble = str(error.reason)
        except OSError as error:
            trouble = str(error) or type(error).__name__
        except ValueError as error:
            trouble = str(error)
        raise TokenUnavailable(
            f"the token endpoint {self._url} gives no token to the client {self._id}: {trouble}. See to it,"
            " or correct ALSOBOUGHT_KAFKA_TOKEN_URL, _TOKEN_CLIENT_ID, _TOKEN_CLIENT_SECRET or _TOKEN_SCOPE."
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the client's secret to another address."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Return nothing: the answer is an error."""


def _parsed(answer: bytes) -> tuple[str, float]:
    """Return the token and its lifetime from the endpoint's answer; raise ValueError, showing neither."""
    try:
        found = json.loads(answer)
    except ValueError:
        raise ValueError("its answer is not JSON") from None
    token = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or len(token.split()) != 1:
        raise ValueError("its answer has no access_token")
    lifetime = found.get("expires_in", UNSAID_S)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
        raise ValueError("its expires_in is not a number of seconds")
    return token, float(lifetime)


def _reason(answer: bytes) -> str:
    """Return the error code of RFC 6749, 5.2, that an endpoint's refusal has; empty without one."""
    try:
        found = json.loads(answer)
    except ValueError:
        return ""
    code = found.get("error") if isinstance(found, dict) else None
    return f" ({code})" if isinstance(code, str) and code.replace("_", "").isalnum() else ""
