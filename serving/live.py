"""`/api/live`: server-sent events, encoded once for all who listen.

    event: history    at the beginning: the pulses of the last minutes, oldest first; to who has heard some
                      before, those that are newer
    event: story      the steps of a demo so far: [{"title", "link"}]
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
from typing import Any, NamedTuple

import msgspec
from aiohttp import HttpVersion11, web

from serving.errors import ApiError
from serving.pulse import Pulse, by_topic, pick_changed
from serving.read_model import ReadModel

TICK_S = 0.5
KEPT = 600
WAITING = 16
LISTENERS = 1_000
WATCHED = 64

TOO_SLOW = {"what": "this listener read too slowly", "what_to_do": "connect again"}
STOPPING = {"what": "the server stops", "what_to_do": "connect again later"}


class Watched(NamedTuple):
    """What a listener wants to hear of beside the pulses.

    Attributes
    ----------
    kind : str
        Name of the kind of lists and recommendations.
    items, customers : frozenset[str]
        Ids.
    """

    kind: str
    items: frozenset[str]
    customers: frozenset[str]


def message(event: str, content: bytes, at_ms: int | None = None) -> bytes:
    """Return a server-sent event of JSON, which has no line breaks of its own.

    With a time it has that as its id, which a browser names when it connects again.
    """
    number = b"" if at_ms is None else b"id: %d\n" % at_ms
    return b"event: " + event.encode() + b"\n" + number + b"data: " + content + b"\n\n"


class Listener:
    """One who listens: what waits to be sent, and what is watched."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
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
        """End it, for a reason."""
        if self.closed is None:
            self.closed = why
            if self._task is not None:
                self._task.cancel()

    async def send(self, response: web.StreamResponse) -> None:
        """Send what is put until the listener goes or is closed."""
        task = self._task = asyncio.create_task(self._send(response))
        if self.closed is not None:
            task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if not task.cancelled():
            task.result()  # raises what went wrong

    async def _send(self, response: web.StreamResponse) -> None:
        with contextlib.suppress(ConnectionError):  # the listener has gone
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
        self._pulses = [Pulse(model, of) for of in model.kinds.values()]
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._story: list[dict[str, str]] = []
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
        kinds, at_ms, tasks = self._model.kinds, int(now_s * 1000), by_topic(self._model)
        samples = [pulse.sample(clock_s, tasks) for pulse in self._pulses]
        sample = {"at_ms": at_ms, "ready": self._model.ready, "kinds": samples}
        self._kept.append((at_ms, msgspec.json.encode(sample)))
        changed = {name: of.take_changed() for name, of in kinds.items()}
        served = {name: of.take_served() for name, of in kinds.items()}
        if not self._listeners:
            return
        picked = {name: pick_changed(self._model, kinds[name], items) for name, items in changed.items()}
        self._send(self._encode("pulse", sample | {"changed": picked}, at_ms), self._listeners)
        watching: dict[tuple[str, str, str], list[Listener]] = {}
        for listener in self._listeners:
            kind, items, customers = listener.watched
            for item_id in items & changed[kind]:
                watching.setdefault(("item", kind, item_id), []).append(listener)
            for customer_id in customers & served[kind]:
                watching.setdefault(("customer", kind, customer_id), []).append(listener)
        for (what, kind, one), listeners in watching.items():
            self._send(self._encode(what, {"kind": kind, f"{what}_id": one}), listeners)

    def add_step(self, title: str, link: str) -> None:
        """Add a step to the story of a demo, with the place on the page where it is to be seen."""
        self._story.append({"title": title, "link": link})
        self._send(self._encode("story", self._story), self._listeners)

    def _encode(self, event: str, content: Any, at_ms: int | None = None) -> bytes:
        self.encoded += 1
        return message(event, msgspec.json.encode(content), at_ms)

    def _send(self, sent: bytes, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            listener.put(sent)

    def _history(self, since_ms: int) -> bytes:
        """Return the pulses after a time, which were encoded when they were sent."""
        newer = b",".join(sample for at_ms, sample in self._kept if at_ms > since_ms)
        return message("history", b"[" + newer + b"]")

    async def listen(self, request: web.Request, watched: Watched, since_ms: int = 0) -> web.StreamResponse:
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
        if (ids := len(watched.items) + len(watched.customers)) > WATCHED:
            raise ApiError(
                400, f"{ids} ids are to be watched; at most {WATCHED} can be",
                where="parameters item and customer", what_to_do="watch fewer, or open a second stream",
            )  # fmt: skip
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        try:
            await response.prepare(request)
        except ConnectionError:  # the listener has gone already
            return response
        listener = Listener(watched)
        listener.put(self._history(since_ms))
        if self._story:
            listener.put(self._encode("story", self._story))
        self._listeners.add(listener)
        try:
            await listener.send(response)
        finally:
            self._listeners.discard(listener)
        if listener.closed is not None and request.transport is not None:
            # Not `response.write`, which would wait until the listener has read what is before it.
            last = message("dropped", msgspec.json.encode(listener.closed))
            request.transport.write(_chunk(last) if request.version >= HttpVersion11 else last)
            request.transport.close()
        return response

    async def close(self, _application: web.Application) -> None:
        """End all streams, as the server stops."""
        for listener in list(self._listeners):
            listener.close(STOPPING)


def _chunk(content: bytes) -> bytes:
    """Return the last chunks of an HTTP/1.1 body that is sent in chunks."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n0\r\n\r\n"
