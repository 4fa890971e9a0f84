"""Answer questions about a worker's state: a small HTTP service beside the consumers.

GET /related/ITEM?k=10  its list as of now, as the message on the topic, cut to k entries
GET /items/ITEM         counts and neighbours of an item that a partition of this worker owns
GET /customers/ID       a customer's history
GET /metrics            for Prometheus (`streams.metrics`)
GET /healthz, /readyz   whether it lives, and whether it counts all its partitions (`streams.health`)
POST /checkpoints       takes a checkpoint of every task of this worker; what they are and what they cost
The first three are of purchases, with ?kind=NAME of another kind; customers have histories of events alone.
404 where this worker does not hold it, 409 where no checkpoint url is set, 503 where one cannot be written
Each wants a right where tokens are set: see `streams.doors.rights`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from state.errors import StoreError
from state.items import row_layout as rl
from streams.doors.errors import Refused
from streams.doors.names import in_url
from streams.doors.policy import Doors, own_host
from streams.doors.rights import QUERIES
from streams.health import health_routes
from streams.http_metrics import HttpMetrics
from streams.kinds import BOUGHT
from streams.messages.schema import decode_related
from streams.metrics import TasksCollector
from streams.stores.checkpoints import CheckpointError, NoCheckpoints
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.task import Task
from streams.worker import Tasks

log = logging.getLogger("alsobought")

NEIGHBOURS = 1_000
STOP_S = 5.0
MOST_ASKED = 1 << 20
"""Bytes of a question: 1,000 customers and a filter."""


class Service:
    """Serves `routes` over HTTP, about the open tasks."""

    def __init__(self, tasks: Tasks, host: str, port: int, advertised: str | None) -> None:
        self.tasks = tasks
        self._host, self._port = host, port
        self._advertised = advertised
        self._runner: web.AppRunner | None = None

    role = "worker"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that are served."""
        return []

    async def start(self) -> str:
        """Start serving; return the base address."""
        doors = Doors.of(self.tasks.settings)
        doors.require_token(self._host, "ALSOBOUGHT_WEB_HOST")
        host = own_host(self._host, self._advertised)
        guard = doors.guard(self._host, host)
        metrics = HttpMetrics(self.role, TasksCollector(self.tasks))
        app = web.Application(
            middlewares=[metrics.middleware(), _in_words, guard.check], client_max_size=MOST_ASKED
        )
        app.add_routes([*health_routes(self.tasks.waits_for), metrics.route(), *self.routes()])
        app.on_response_prepare.append(_keep_private)
        guard.protect(app, QUERIES)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        port = self._runner.addresses[0][1]
        return f"http://{in_url(host)}:{port}"

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()


class Queries(Service):
    """Serves questions about a worker's state."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that are served."""
        return [
            web.get("/related/{id:[^/]+}", self._related),
            web.get("/items/{id:[^/]+}", self._item),
            web.get("/customers/{id:[^/]+}", self._customer),
            web.post("/checkpoints", self._checkpoints),
        ]

    def _of_kind(self, request: web.Request) -> list[Task]:
        """Return the open tasks of the kind of events that the request names."""
        name = request.query.get("kind", BOUGHT.name)
        for kind in self.tasks.listed:
            if kind.name == name:
                topics = kind.events.name, kind.deltas.name
                return [task for task in self.tasks.all() if task.tp.topic in topics]
        known = ", ".join(kind.name for kind in self.tasks.listed)
        raise web.HTTPBadRequest(text=f"kind {name!r} is none of {known}")

    async def _related(self, request: web.Request) -> web.Response:
        item_id = request.match_info["id"]
        try:
            k = int(request.query.get("k", "100"))
        except ValueError:
            raise web.HTTPBadRequest(text=f"k is {request.query['k']!r}; it must be a number") from None
        for task in self._of_kind(request):
            if isinstance(task, ItemTask):
                async with task.lock:
                    number = task.machine.items.get(item_id)
                    raw = None
                    if number is not None and task.machine.tables.row_of[number] >= 0:
                        raw = task.refresher.writer.message(number)
                if raw is not None:
                    message = decode_related(raw)
                    message.related = message.related[:k]
                    return _json(message)
        raise web.HTTPNotFound(text=f"no partition of this worker has a list for item {item_id}")

    async def _item(self, request: web.Request) -> web.Response:
        item_id = request.match_info["id"]
        for task in self._of_kind(request):
            if isinstance(task, ItemTask):
                async with task.lock:
                    found = item_state(task, item_id)
                if found is not None:
                    return _json(found)
        raise web.HTTPNotFound(text=f"no partition of this worker has item {item_id}")

    async def _customer(self, request: web.Request) -> web.Response:
        customer_id = request.match_info["id"]
        found: dict[str, Any] | None = None
        # a producer with another partitioner may have put the customer into any partition
        for task in self._of_kind(request):
            if isinstance(task, CustomerTask):
                async with task.lock:
                    if task.machine.customers.get(customer_id) is None:
                        continue
                    history, position = task.machine.history(customer_id), task.position
                if found is None or len(history) > found["items"]:
                    found = {
                        "customer_id": customer_id, "task": task.name, "position": position,
                        "items": len(history), "history": history,
                    }  # fmt: skip
        if found is not None:
            return _json(found)
        raise web.HTTPNotFound(text=f"no partition of this worker has customer {customer_id}")

    async def _checkpoints(self, _request: web.Request) -> web.Response:
        try:
            return _json(await self.tasks.checkpoint_now())
        except NoCheckpoints as error:
            raise web.HTTPConflict(text=str(error)) from error
        except (CheckpointError, StoreError) as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error


def item_state(task: ItemTask, item_id: str) -> dict[str, Any] | None:
    """Return what the state holds of an item, None if it is not this task's."""
    machine = task.machine
    number = machine.items.get(item_id)
    if number is None or machine.tables.row_of[number] < 0:
        return None
    tables = machine.tables
    row = int(tables.row_of[number])
    neighbours, after, before, _ = machine.neighbours(row)
    order = (after.astype(int) + before).argsort(kind="stable")[::-1][:NEIGHBOURS]
    head = tables.rows.heads[row]
    return {
        "item_id": item_id,
        "task": task.name,
        "position": task.position,
        "available": bool(tables.popularity.available[number]),
        "buyers": int(tables.sizes[row, 0].sum()),
        "recent_purchases": int(tables.popularity.recent[number]),
        "neighbours": int(head[rl.LIVE]),
        "pairs": int(head[rl.MASS]),
        "dropped_neighbours": int(head[rl.DROPPED]),
        "opportunity_nodes": machine.cells.nodes.tolist(),
        "buyers_at_nodes": machine.cells.at_nodes(tables.sizes[row]).round(6).tolist(),
        "most_together": [
            {
                "item_id": machine.items.id(int(neighbours[i])),
                "together": int(after[i]) + int(before[i]),
                "after": int(after[i]),
                "before": int(before[i]),
            }
            for i in order
        ],
    }


@web.middleware
async def _in_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer in words what is refused, and what goes wrong without its trace, which the log has."""
    try:
        return await handler(request)
    except Refused as error:
        text = f"{error.what} ({error.where}): {error.what_to_do}"
        return web.Response(status=error.status, text=text, headers=error.headers)
    except web.HTTPException:
        raise
    except Exception:
        log.exception("%s cannot be answered", ascii(request.path))
        return web.Response(status=500, text="an error of ours: see the log of this process")


async def _keep_private(_request: web.Request, response: web.StreamResponse) -> None:
    """Add headers: what is answered is of customers, and is neither kept on the way nor shown as a page."""
    response.headers.update({
        "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin", "Server": "alsobought",
    })  # fmt: skip


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
