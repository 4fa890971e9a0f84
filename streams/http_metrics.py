"""Metrics of a process that serves HTTP: its requests, and what Python and the system know of the process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version

import prometheus_client
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

METRICS = "/metrics"
REQUEST_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
NO_PATH = "(none)"
STREAM = "text/event-stream"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class HttpMetrics:
    """The metrics of a process: those of `collector`, of its HTTP requests, and of its memory and CPU.

    Parameters
    ----------
    role
        Worker, recommender or server.
    """

    def __init__(self, role: str, collector: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        about = Gauge(
            "alsobought_build_info",
            "1; the labels say what runs",
            ["version", "role"],
            registry=self._registry,
        )
        about.labels(own_version(), role).set(1)
        self._requests = Counter(
            "alsobought_http_requests", "HTTP requests that were answered", ["path", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "alsobought_http_request_seconds", "time to answer an HTTP request, streams of events excluded",
            ["path"], buckets=REQUEST_S, registry=self._registry,
        )  # fmt: skip

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def route(self) -> web.RouteDef:
        """Return the route that Prometheus asks."""

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(body=self.exposition(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

        return web.get(METRICS, metrics)

    def middleware(self) -> Middleware:
        """Return the middleware that counts requests; it must be the first, to see every answer."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            begin, status, stream = time.perf_counter(), 500, False
            try:
                response = await handler(request)
                status, stream = response.status, response.content_type == STREAM
                return response
            except web.HTTPException as error:
                status = error.status
                raise
            finally:
                resource = request.match_info.route.resource
                path = NO_PATH if resource is None else resource.canonical
                self._requests.labels(path, str(status)).inc()
                if not stream:
                    self._seconds.labels(path).observe(time.perf_counter() - begin)

        return count


def own_version() -> str:
    """Return the version of this package; "unknown" where it is not installed."""
    try:
        return version("alsobought")
    except PackageNotFoundError:
        return "unknown"
