"""Whether a process lives and whether it does its work, as those who run it ask over HTTP.

GET /healthz   200 while the process answers
GET /readyz    200 when it does its work, 503 before; `waits_for` says what is missing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

LIVES, READY = "/healthz", "/readyz"


def health_routes(waits_for: Callable[[], Sequence[str]]) -> list[web.RouteDef]:
    """Return the routes of a process; `waits_for` returns what it waits for before it does its work."""

    async def lives(_request: web.Request) -> web.Response:
        return _json({"lives": True}, 200)

    async def ready(_request: web.Request) -> web.Response:
        missing = waits_for()
        return _json({"ready": not missing, "waits_for": missing}, 503 if missing else 200)

    return [web.get(LIVES, lives), web.get(READY, ready)]


def _json(value: object, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)
