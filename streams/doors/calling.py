"""Calls workers and recommenders at the addresses that they report on a topic.

Whoever may write to the topic could name any address. So it is looked at before it is called: it is http or
https, a host and a port, and nothing else; and each address that the host's name has is one that may be
called. A name is looked up once, and what is connected to is what was looked at. No redirect is followed, and
an answer has a bound.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from streams.doors.errors import AddressRefused, AnswerRefused, NoAnswer, NotInTime
from streams.doors.names import Hosts, address_of
from streams.process.threads import run_apart

MOST_ANSWERED = 64 << 20
"""Bytes of an answer, unless more are asked for."""

_BASE = re.compile(
    r"https?://(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>[0-9]{1,5}))?"
)
ALLOW = "allow its host by ALSOBOUGHT_WORKER_HOSTS, or find out who wrote it to the topic progress"


class Answer(NamedTuple):
    """What was answered.

    Attributes
    ----------
    status : int
        The HTTP status, which is no redirect.
    """

    status: int
    body: bytes


def check_address(address: str, hosts: Hosts) -> None:
    """Look at an address as it is written.

    Raises
    ------
    AddressRefused
        It is not http://HOST:PORT, or is an IP address that may not be called.
    """
    match = _BASE.fullmatch(address)
    if match is None or not 0 < int(match["port"] or 80) < 65_536:
        raise AddressRefused(f"{address[:200]!a} is not http://HOST:PORT: {ALLOW}")
    literal = address_of(match["six"] or match["name"])
    if literal is None and match["six"]:
        raise AddressRefused(f"{address[:200]!a} is not http://HOST:PORT: {ALLOW}")
    if literal is not None and not hosts.has_address(literal):
        raise AddressRefused(f"{address!a} is not among the addresses that may be called: {ALLOW}")


class _Resolver(AbstractResolver):
    """Looks names up, and leaves out what may not be called."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts, self._resolver = hosts, ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Return the addresses of a name that may be called."""
        found = await self._resolver.resolve(host, port, family)  # type: ignore[arg-type]
        if self._hosts.has_name(host):
            return found
        allowed = [one for one in found if self._may_be_called(one["host"])]
        if not allowed:
            raise AddressRefused(
                f"{host!a} is at {', '.join(one['host'] for one in found)}, which is not among the addresses"
                f" that may be called: {ALLOW}"
            )
        return allowed

    def _may_be_called(self, text: str) -> bool:
        address = address_of(text)
        return address is not None and self._hosts.has_address(address)

    async def close(self) -> None:
        """Close it."""
        await self._resolver.close()


class Caller:
    """Calls other processes of ours; it must be closed.

    Parameters
    ----------
    hosts
        Which may be called.
    token
        That is shown to them.
    timeout_s
        How long an answer may take.
    most_bytes
        How many bytes it may have.
    """

    def __init__(
        self, hosts: Hosts, token: str | None, timeout_s: float, most_bytes: int = MOST_ANSWERED
    ) -> None:
        self._hosts, self._timeout_s, self._most = hosts, timeout_s, most_bytes
        self._headers = {"Accept-Encoding": "identity"}  # what is compressed has no bound
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self, method: str, address: str, *path: str, query: str = "", body: bytes | None = None
    ) -> Answer:
        """Call an address.

        Parameters
        ----------
        path
            Its parts, which may have any characters.
        query
            What follows the question mark, encoded.
        body
            JSON.

        Raises
        ------
        CallError
        """
        check_address(address, self._hosts)
        url = "/".join([address, *(quote(part, safe="") for part in path)]) + (f"?{query}" if query else "")
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._opened().request(
                method, yarl.URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer:
                if 300 <= answer.status < 400:
                    raise AnswerRefused(f"it redirects ({answer.status}), which is not followed")
                return Answer(answer.status, await self._read(answer))
        except TimeoutError as error:
            raise NotInTime(f"no answer in {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"it cannot be asked: {error}") from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for some in answer.content.iter_any():
            body += some
            if len(body) > self._most:
                answer.close()
                raise AnswerRefused(f"its answer has more than {self._most:,} bytes")
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Resolver(self._hosts)),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s), headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            )  # fmt: skip
        return self._session


def call_now(
    caller: Caller, method: str, address: str, *path: str, query: str = "", body: bytes | None = None
) -> Answer:
    """Do the same as `Caller.call` with a caller of this call alone, and wait for the answer."""

    async def call() -> Answer:
        try:
            return await caller.call(method, address, *path, query=query, body=body)
        finally:
            await caller.close()

    return run_apart(call())
