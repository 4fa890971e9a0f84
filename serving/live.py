"""`/api/live`: server-sent events, encoded once for all who listen.

    event: history    once, at the beginning: the pulses of the last minutes, oldest first
    event: pulse      twice a second: a sample of each kind, and some of the items whose lists have changed
    event: item       the list of a watched item has changed: {"kind", "item_id"}
    event: customer   the recommendations of a watched customer have changed: {"kind", "customer_id"}
    event: dropped    the last one to a listener that reads too slowly, or when the server stops

The format is that of the HTML standard, section 9.2 (server-sent events). A listener that lags more than
`WAITING` messages behind is dropped: what is sent is only of interest while it is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from serving.errors import ApiError
from serving.pulse import Pulse, pick_changed
from serving.read_model import ReadModel

TICK_S = 0.5
KEPT = 600
WAITING = 16
LISTENERS = 1_000
WATCHED = 64

TOO_SLOW = {"what": "this listener read too slowly", "what_to_do": "connect again"}
STOPPING = {"what": "the server stops", "what_to_do": "connect again later"}


def message(event: str, content: Any) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    return b"event: " + event.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"


class Listener:
    """One who listens: what waits to be sent, and what is watched.

    Parameters
    ----------
    kind
        Name of the kind of lists and recommendations that are watched.
    items, customers
        Ids of those that are watched.
    """

    def __init__(self, kind: str, items: Iterable[str], customers: Iterable[str]) -> None:
        self.kind = kind
        self.watched = {"item": frozenset(items), "customer": frozenset(customers)}
        self.closed: dict[str, str] | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None

    def put(self, sent: bytes) -> None:
        """Have it sent, or close the listener if too much waits already."""
        try:
            self._waiting.put_nowait(sent)
        except asyncio.QueueFull:
            self.close(TOO_SLOW)

    def close(self, why: dict[str, str]) -> None:
        """End it with a word."""
        if self.closed is None:
            self.closed = why
            if self._task is not None:
                self._task.cancel()

    async def send(self, response: web.StreamResponse) -> None:
        """Send what is put until the listener goes or is closed."""
        self._task = asyncio.create_task(self._send(response))
        if self.closed is not None:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _send(self, response: web.StreamResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(await self._waiting.get())


class Live:
    """Everybody who listens to a read model.

    Attributes
    ----------
    encoded : int
        How many messages were encoded so far.
    """

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._pulses = {name: Pulse(model, of) for name, of in model.kinds.items()}
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listeners: set[Listener] = set()
        self.encoded = 0

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def run(self) -> None:
        """Send a pulse every `TICK_S` until cancelled."""
        due = time.monotonic()
        while True:
            due = max(due + TICK_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self.tick(time.time(), time.monotonic())

    def tick(self, now_s: float, clock_s: float) -> None:
        """Take a sample and have it sent.

        Parameters
        ----------
        now_s
            The time, s since 1970.
        clock_s
            The same of a clock that only goes forward.
        """
        model = self._model
        sample = {
            "at_ms": int(now_s * 1000),
            "ready": model.ready,
            "kinds": [pulse.sample(clock_s) for pulse in self._pulses.values()],
        }
        self._kept.append(sample)
        changed = {name: of.take_changed() for name, of in model.kinds.items()}
        served = {name: of.take_served() for name, of in model.kinds.items()}
        if not self._listeners:
            return
        picked = {name: pick_changed(model, model.kinds[name], items) for name, items in changed.items()}
        self._send(self._encode("pulse", sample | {"changed": picked}), self._listeners)
        self._notify("item", changed)
        self._notify("customer", served)

    def _notify(self, what: str, changed: dict[str, set[str]]) -> None:
        """Send which of those that are watched have changed, each encoded once."""
        watching: dict[tuple[str, str], list[Listener]] = {}
        for listener in self._listeners:
            for one in listener.watched[what] & changed[listener.kind]:
                watching.setdefault((listener.kind, one), []).append(listener)
        for (kind, one), listeners in watching.items():
            self._send(self._encode(what, {"kind": kind, f"{what}_id": one}), listeners)

    def _encode(self, event: str, content: Any) -> bytes:
        self.encoded += 1
        return message(event, content)

    def _send(self, sent: bytes, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            listener.put(sent)

    async def listen(
        self, request: web.Request, kind: str, items: list[str], customers: list[str]
    ) -> web.StreamResponse:
        """Answer a request with the stream, until the listener goes, is too slow, or the server stops.

        Raises
        ------
        ApiError
            So many listen, or so much is to be watched, that it is refused.
        """
        if len(self._listeners) >= LISTENERS:
            raise ApiError(
                503, f"{LISTENERS:,} listen already", where="this server",
                what_to_do="close one, or start another server with `alsobought serve`",
            )  # fmt: skip
        if (watched := len(items) + len(customers)) > WATCHED:
            raise ApiError(
                400, f"{watched} ids are to be watched; at most {WATCHED} can be",
                where="parameters item and customer", what_to_do="watch fewer, or open a second stream",
            )  # fmt: skip
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        try:
            await response.prepare(request)
        except ConnectionError:  # the listener has gone already
            return response
        listener = Listener(kind, items, customers)
        listener.put(self._encode("history", list(self._kept)))
        self._listeners.add(listener)
        try:
            await listener.send(response)
        finally:
            self._listeners.discard(listener)
        if listener.closed is not None and request.transport is not None:
            # Not `response.write`, which would wait until the listener has read what is before it.
            request.transport.write(_chunk(message("dropped", listener.closed)))
            request.transport.close()
        return response

    async def close(self, _application: web.Application) -> None:
        """End all streams, as the server stops."""
        for listener in list(self._listeners):
            listener.close(STOPPING)


def _chunk(content: bytes) -> bytes:
    """Return the last chunks of an HTTP/1.1 body that is sent in chunks."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n0\r\n\r\n"
