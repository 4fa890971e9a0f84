"""The doors of a process, as its settings make them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from streams.doors.calling import MOST_ANSWERED, Caller
from streams.doors.errors import OpenDoor, TokensUnusable
from streams.doors.guard import Guard
from streams.doors.names import LOOPBACK, PRIVATE, Hosts, OwnNames, is_loopback
from streams.doors.rates import Rates
from streams.doors.tokens import Tokens, looks_like_a_token, read_file, read_known
from streams.settings import Settings

ANYWHERE = ("0.0.0.0", "::", "")
"""Hosts to listen on that are no address to be called at."""


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]


def own_host(host: str, advertised: str | None) -> str:
    """Return the host by which others reach what listens on `host`."""
    return advertised or (socket.gethostname() if host in ANYWHERE else host)


@dataclass(frozen=True)
class Doors:
    """Who may ask this process, and whom it asks.

    Attributes
    ----------
    tokens
        Who may ask.
    token
        That this process shows to others.
    names
        Names of this server beside those that it listens on.
    called
        What may be called.
    requests_per_s
        How many requests of a client are answered where tokens are set.
    """

    tokens: Tokens = field(default_factory=Tokens)
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    called: Hosts = field(default_factory=lambda: Hosts([*LOOPBACK, *PRIVATE]))
    requests_per_s: int = 10_000

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the doors of some settings.

        Raises
        ------
        TokensUnusable, HostsUnusable
        """
        known = read_known(settings.tokens or "", "ALSOBOUGHT_TOKENS")
        if (path := settings.tokens_file) is not None:
            of_file = read_known(read_file(path, "ALSOBOUGHT_TOKENS_FILE"), f"ALSOBOUGHT_TOKENS_FILE={path}")
            if not of_file:
                raise TokensUnusable(
                    f"ALSOBOUGHT_TOKENS_FILE={path} has no token in it: add one with `alsobought token make`,"
                    " or unset it."
                )
            known += of_file
        called = _entries(settings.worker_hosts) or [*LOOPBACK, *PRIVATE]
        names = _entries(settings.allowed_hosts)
        Hosts(names, "ALSOBOUGHT_ALLOWED_HOSTS")
        return cls(
            Tokens(known), token_of(settings), tuple(names), Hosts(called, "ALSOBOUGHT_WORKER_HOSTS"),
            settings.requests_per_s,
        )  # fmt: skip

    def require_token(self, host: str, setting: str) -> None:
        """Raise OpenDoor if others reach what listens on `host` and no token is set."""
        if not self.tokens and not is_loopback(host):
            raise OpenDoor(
                f"{setting} is {host or 'every address'}, which others reach, and no token is set: customers'"
                " histories would be open to them. Make a token with `alsobought token make NAME --right"
                " read`, and set its hash by ALSOBOUGHT_TOKENS or ALSOBOUGHT_TOKENS_FILE; or listen on"
                " 127.0.0.1."
            )

    def guard(self, host: str, *also: str) -> Guard:
        """Return the guard of what listens on `host`, and is reached by other names, too."""
        names: Iterable[str] = ("localhost", own_host(host, None), *also, *self.names)
        return Guard(self.tokens, OwnNames(Hosts(names)), Rates(self.requests_per_s))

    def caller(self, timeout_s: float, most_bytes: int = MOST_ANSWERED) -> Caller:
        """Return what calls other processes."""
        return Caller(self.called, self.token, timeout_s, most_bytes)


def token_of(settings: Settings) -> str | None:
    """Return the token that a process shows to others; raises TokensUnusable."""
    where, token = "ALSOBOUGHT_TOKEN", settings.token.get_secret_value() if settings.token else None
    if token is None and settings.token_file is not None:
        where = f"ALSOBOUGHT_TOKEN_FILE={settings.token_file}"
        token = read_file(settings.token_file, "ALSOBOUGHT_TOKEN_FILE").strip()
    if token is not None and not looks_like_a_token(token):
        raise TokensUnusable(f"{where} is no token: take what `alsobought token make` printed, or unset it.")
    return token
