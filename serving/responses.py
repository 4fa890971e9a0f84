"""What all responses of the API and the page have in common: JSON, errors, and headers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from serving.errors import ApiError
from streams.doors.errors import Refused

log = logging.getLogger("alsobought")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return errors as JSON."""
    try:
        return await handler(request)
    except (ApiError, Refused) as error:
        content = {"what": error.what, "where": error.where, "what_to_do": error.what_to_do}
        response = json_response(content, status=error.status)
        if isinstance(error, Refused):
            response.headers.update(error.headers)
        return response
    except web.HTTPException as error:
        if error.status < 400:
            raise
        content = {
            "what": error.reason,
            "where": request.path,
            "what_to_do": "see docs/guide/page-and-api.md for paths, methods and sizes",
        }
        return json_response(content, status=error.status)
    except Exception:
        log.exception("%s cannot be answered", ascii(request.path))
        content = {"what": "an error of ours", "where": request.path, "what_to_do": "see this server's log"}
        return json_response(content, status=500)


SAFE = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "alsobought",
}
"""The page loads nothing from elsewhere, runs only our scripts, and is nowhere shown or read by another."""


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add headers; the page is always the newest, and what is answered about customers is kept nowhere."""
    response.headers.update(SAFE)
    response.headers["Cache-Control"] = "no-cache" if isinstance(response, web.FileResponse) else "no-store"


def json_response(value: Any, status: int = 200) -> web.Response:
    """Return a response with a value as JSON."""
    return as_it_is(msgspec.json.encode(value), status)


def as_it_is(body: bytes, status: int = 200) -> web.Response:
    """Return a response with JSON that is encoded already."""
    return web.Response(body=body, content_type="application/json", status=status)
