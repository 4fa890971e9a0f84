"""The HTTP API behind a socket, over a small shop's records and a recommender that answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from functools import cache

from aiohttp import web

from serving.api import Api
from serving.live import Live
from serving.owners import ANSWER_S, Owners
from serving.read_model import ReadModel
from streams.doors.policy import Doors
from streams.kinds import LISTED
from tests.serving.shop import NOW_MS, PARTITIONS, FakeRecommender, messages

TIMEOUT_S, PATIENCE_S = 20.0, 0.5
HOST = b"\r\nHost: 127.0.0.1\r\n"
HEALTH = b"GET /healthz HTTP/1.1" + HOST + b"Connection: close\r\n\r\n"
PATHS = (
    b"/api/related/tea?k=5", b"/api/related?id=tea&kind=watched", b"/api/counts/tea?k=3",
    b"/api/bestsellers?category=drinks&trending=0&k=2", b"/api/recommendations/ann?profile=kids",
    b"/api/recommend/ann?shelf=new&category=drinks&lowest_price=0.5&highest_price=9&only=tea&without=jam",
    b"/api/buy-again/ann?k=2", b"/api/history/ann?k=2", b"/api/search?q=jam%20str&k=3", b"/api/categories",
    b"/api/quality?kind=bought", b"/api/experiments", b"/api/learner", b"/api/status", b"/metrics",
    b"/healthz",
    b"/readyz", b"/", b"/page.js", b"/api/live?item=tea&customer=ann&since=5",
)  # fmt: skip
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def requests() -> Iterator[bytes]:
    """Yield whole requests."""
    for path in PATHS:
        yield b"GET " + path + b" HTTP/1.1" + HOST + b"Connection: close\r\n\r\n"
    more = b"Authorization: Bearer abc\r\nLast-Event-ID: 17\r\nOrigin: http://127.0.0.1\r\n"
    yield b"GET /api/live HTTP/1.1" + HOST + more + b"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    yield b"POST /api/related/tea HTTP/1.1" + HOST + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    yield b"HEAD / HTTP/1.0\r\n\r\n"
    yield b"GET /api/related/" + b"%C3%A9" * 40 + b"%ED%A0%80 HTTP/1.1" + HOST + b"Connection: close\r\n\r\n"


class Service:
    """The API in a thread of its own."""

    def __init__(self) -> None:
        self._recommender = FakeRecommender()
        model = ReadModel(LISTED)
        for m in messages(self._recommender.address):
            model.take(m.topic, m.key.encode(), m.value, NOW_MS)
        model.ready = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._start(model), self._loop).result(TIMEOUT_S)

    async def _start(self, model: ReadModel) -> int:
        doors = Doors()
        self._owners = Owners(model, PARTITIONS, doors.caller(ANSWER_S))
        self._live = Live(model)
        app = Api(model, self._owners, self._live, doors.guard("127.0.0.1")).application()
        app.on_shutdown.append(self._live.close)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._owners.close()

    def stop(self) -> None:
        """Stop it."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._recommender.stop()

    def ask(self, raw: bytes, patience_s: float) -> bytes:
        """Send bytes and an empty line; return the first line and headers of what comes within a while."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(raw + b"\r\n\r\n")
            found = b""
            s.settimeout(patience_s)  # the server may well wait for the rest of what is no whole request
            with contextlib.suppress(ConnectionError, TimeoutError):
                while b"\r\n\r\n" not in found and (some := s.recv(1 << 16)):
                    found += some
            return found


@cache
def service() -> Service:
    """Return the one service of this process; whoever asks for it stops it."""
    return Service()


def take_request(raw: bytes) -> str:
    """Send a request, and look that it is answered or refused, and that the next one is answered."""
    answer = service().ask(raw, PATIENCE_S)
    found = _STATUS.match(answer)
    status = int(found[1]) if found else 0
    assert status < 500 or status in (503, 504), answer[:300]
    if not status:
        health = service().ask(HEALTH, TIMEOUT_S)
        assert b" 200 " in health[:20], health[:100]
    return f"status {status}" if status else "no answer, as it is no whole request"
