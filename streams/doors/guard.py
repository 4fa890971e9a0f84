"""Checks each request before it is answered: where it comes from, who asks, and how often."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from streams.doors.errors import Refused
from streams.doors.names import KEPT, OwnNames, address_of
from streams.doors.rates import Rates
from streams.doors.rights import ALWAYS_OPEN, NOWHERE, Door, Right
from streams.doors.tokens import Known, Tokens

log = logging.getLogger("alsobought.doors")

WRONG_TOKEN = 50
"""For how many requests one with a wrong token counts."""

SAID_S = 10.0
READING = ("GET", "HEAD")
HERE = (None, "same-origin", "none")
BEARER = "Bearer "

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Lets requests through, or refuses them.

    Parameters
    ----------
    tokens
        Who may ask; without any, everybody may who reaches the server.
    names
        The names by which the server is asked.
    rates
        How much of each client is answered where tokens are set. A client is the name of a token, or else an
        address; in IPv6 the network that a customer of a provider has, which is of 64 bits.
    """

    def __init__(self, tokens: Tokens, names: OwnNames, rates: Rates) -> None:
        self._tokens, self._names, self._rates = tokens, names, rates
        self._doors: dict[web.AbstractRoute, Door] = {}
        self._said_at = -SAID_S
        self._unsaid = 0

    def protect(self, application: web.Application, table: Iterable[Door]) -> None:
        """Check what comes to the routes of an application by a table.

        Raises
        ------
        ValueError
            A route is not in the table.
        """
        doors = {(door.method, door.path): door for door in table}
        for route in application.router.routes():
            method, path = route.method, route.resource.canonical if route.resource else ""
            method = "GET" if method == "HEAD" else method
            door = doors.get((method, path))
            if door is None and path in ALWAYS_OPEN:
                door = Door(method, path, Right.NONE, 1, "")
            if door is None:
                raise ValueError(f"{method} {path} wants no right: add it to streams/doors/rights.py")
            self._doors[route] = door

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or raise `Refused`. What wants the right `admin` is in the log."""
        door = self._doors.get(request.match_info.route, NOWHERE)
        self._check_origin(request)
        asking = self._who(request)
        self._check_rate(request, door, asking)
        if asking is None and door.right is not Right.NONE and self._tokens:
            raise self._unknown(request, door)
        if asking is not None and asking.right < door.right:
            self._say("%s asked for %s, for which its token is not enough", asking.name, request.path)
            raise Refused(
                403, f"the token {asking.name} has the right {asking.right.word}, and this wants"
                f" {door.right.word}", where="header Authorization",
                what_to_do=f"ask with a token of the right {door.right.word}",
            )  # fmt: skip
        if door.right < Right.ADMIN:
            return await handler(request)
        return await self._log(request, handler, asking)

    def _check_origin(self, request: web.Request) -> None:
        """Refuse what a page of another site has a browser send."""
        headers = request.headers
        host = headers.get("Host")
        if host is None:
            if request.version >= HttpVersion11:
                raise Refused(
                    400, "the header Host is missing", where="header Host", what_to_do="send it, as HTTP/1.1"
                )
        elif not self._names.known(host):
            raise Refused(
                421, f"{host[:100]!r} is no name of this server", where="header Host",
                what_to_do="ask by the address that the server printed, or add the name to"
                " ALSOBOUGHT_ALLOWED_HOSTS",
            )  # fmt: skip
        origin = None if request.method in READING else headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or (
            headers.get("Sec-Fetch-Site") not in HERE and headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise Refused(
                403, "a page of another site may not ask this server", where="headers Origin, Sec-Fetch-Site",
                what_to_do="open the page of this server, or ask from a program",
            )  # fmt: skip

    def _who(self, request: web.Request) -> Known | None:
        """Return the token that a request shows, if it is known."""
        if not self._tokens:
            return None
        shown = request.headers.get("Authorization", "")
        return self._tokens.find(shown[len(BEARER) :].strip()) if shown.startswith(BEARER) else None

    def _check_rate(self, request: web.Request, door: Door, asking: Known | None) -> None:
        """Refuse what is too much for one client; without tokens all clients are on this machine."""
        if not self._tokens:
            return
        if asking is not None:
            client, cost = f"token {asking.name}", door.cost
        else:
            client, cost = _network_of(request.remote or ""), door.cost
            if "Authorization" in request.headers:
                cost = WRONG_TOKEN
        wait_s = self._rates.take(client, cost)
        if wait_s > 0:
            raise Refused(
                429, "this client asks too often", where=client,
                what_to_do=f"ask again after {wait_s:.1f} s, less often, or raise ALSOBOUGHT_REQUESTS_PER_S"
                " of the server",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )  # fmt: skip

    def _unknown(self, request: web.Request, door: Door) -> Refused:
        shown = "Authorization" in request.headers
        if shown:
            self._say("%s asked for %s with a token that is not known", request.remote, request.path)
        return Refused(
            401, "the token is not known" if shown else "a token is wanted", where="header Authorization",
            what_to_do=f"send `Authorization: Bearer TOKEN` with a token of the right {door.right.word}, as"
            " commands and `alsobought serve` do with that of ALSOBOUGHT_TOKEN; `alsobought token make` makes"
            " one",
            headers={"WWW-Authenticate": "Bearer"},
        )  # fmt: skip

    def _say(self, text: str, *about: object) -> None:
        """Log a refusal, but not a flood of them."""
        now = time.monotonic()
        if now - self._said_at < SAID_S:
            self._unsaid += 1
            return
        log.warning(f"{text}; %d others were refused unsaid", *(ascii(one) for one in about), self._unsaid)
        self._said_at, self._unsaid = now, 0

    async def _log(self, request: web.Request, handler: Handler, asking: Known | None) -> web.StreamResponse:
        """Answer, and log who did what, and what came of it; the time is the record's."""
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            who = "somebody without a token" if asking is None else f"the token {asking.name}"
            log.log(
                ACT, "%s, from %s: %s %s: %d", who, ascii(request.remote), request.method,
                ascii(request.path), status,
            )  # fmt: skip


ACT = logging.WARNING
"""The level of what an administrator did: it is to be seen at every setting but `error`."""


@lru_cache(KEPT)
def _network_of(remote: str) -> str:
    """Return the name of the client at an address."""
    address = address_of(remote.partition("%")[0])
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address or remote)


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether a log record is of an error of ours, and not of a request that is no HTTP.

    Such a request is answered with 400. Anybody who reaches the server could fill the log with stack traces.
    """
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


logging.getLogger("aiohttp.server").addFilter(_is_ours)
