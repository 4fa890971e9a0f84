"""The HTTP API: JSON, and GET for all but a purchase in a demo.

/api/related/ITEM?kind&k                              what goes with an item
/api/counts/ITEM?kind&k                               the same by raw counts, as the worker has them now
/api/bestsellers?kind&category&trending&k             what sells, or rises, in two weeks
/api/recommendations/CUSTOMER?kind&profile&k          what is published for a customer
/api/recommend/CUSTOMER?kind&profile&k&shelf&category&brand&lowest_price&highest_price&only&without
                                                      the same computed now, filtered; unknown customers too
/api/buy-again/CUSTOMER?kind&profile&k                what is due to be bought again, computed now
                                                      (also /api/related?id=ITEM, and so on)
/api/history/CUSTOMER?kind&k                          what a customer has bought, the newest first
/api/search?q&kind&k                                  items by words of the title, or the beginning of the id
/api/categories?kind
/api/quality?kind, /api/experiments?kind, /api/learner?kind
/api/status                                           how far everything is
/api/live?kind&item&customer&since                    the pulse of the stream, as server-sent events
POST /api/demo/purchases                              buys an item, where a demo is served
/metrics                                              for Prometheus
/healthz, /readyz                                     whether it lives, and has read everything
/                                                     the page
Which right each wants, where tokens are set, is in `streams.doors.rights`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from serving import answers, statistics
from serving.buying import Buyer
from serving.errors import ApiError
from serving.kept_answers import KeptAnswers
from serving.kind_model import KindModel
from serving.live import Live, Watched
from serving.metrics import ModelCollector
from serving.owners import Owners
from serving.parameters import Parameters
from serving.read_model import ReadModel
from serving.responses import add_headers, as_it_is, errors_as_json, json_response
from serving.searching import Search
from streams.doors.guard import Guard
from streams.doors.rights import API
from streams.health import health_routes
from streams.http_metrics import HttpMetrics
from streams.kinds import BOUGHT

PAGE = Path(__file__).parent / "page"
BEST, SHOWN, NEWEST = 20, 6, 20
MOST_NOW = 100  # that a worker computes
MOST_ASKED = 64 << 10
"""Bytes of a request's body: an order of the demo has some hundred."""
FILTERS = ("category", "brand", "lowest_price", "highest_price", "only", "without")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[Parameters], Any]


class Api:
    """Answers from a read model, and for what is computed now from the workers.

    Parameters
    ----------
    guard
        Who may ask.
    buyer
        Who publishes purchases that are made on the page; None: none can be made.
    """

    def __init__(
        self, model: ReadModel, owners: Owners, live: Live, guard: Guard, buyer: Buyer | None = None
    ) -> None:
        self._model, self._owners, self._live, self._buyer = model, owners, live, buyer
        self._guard = guard
        self._searching, self._answers = Search(model), KeptAnswers(model)

    def application(self) -> web.Application:
        """Return the application, with all paths."""
        metrics = HttpMetrics("server", ModelCollector(self._model))
        app = web.Application(
            middlewares=[metrics.middleware(), errors_as_json, self._guard.check], client_max_size=MOST_ASKED
        )
        app.add_routes([
            *(web.get(path, self._related) for path in _with_id("/api/related")),
            self._get("/api/bestsellers", self._bestsellers, "kind", "category", "trending", "k"),
            *(web.get(path, self._published) for path in _with_id("/api/recommendations")),
            web.get("/api/search", self._search),
            self._get("/api/categories", self._categories, "kind"),
            self._get("/api/quality", lambda p: statistics.quality(self._kind(p)), "kind"),
            self._get("/api/experiments", lambda p: statistics.experiments(self._kind(p)), "kind"),
            self._get("/api/learner", lambda p: statistics.learner(self._kind(p)), "kind"),
            *(web.get(path, self._recommend) for path in _with_id("/api/recommend")),
            *(web.get(path, self._buy_again) for path in _with_id("/api/buy-again")),
            *(web.get(path, self._counts) for path in _with_id("/api/counts")),
            *(web.get(path, self._history) for path in _with_id("/api/history")),
            web.get("/api/status", self._status),
            web.get("/api/live", self._listen),
            *([web.post("/api/demo/purchases", self._buy)] if self._buyer is not None else []),
            metrics.route(),
            *health_routes(self._waits_for),
            web.get("/", _page("index.html")),
            web.get(f"/{{file:{'|'.join(re.escape(path.name) for path in PAGE.iterdir())}}}", _page()),
            web.get("/{rest:.*}", _no_such_path),
        ])  # fmt: skip
        app.on_response_prepare.append(add_headers)
        self._guard.protect(app, API)
        return app

    def _get(self, path: str, answer: Answer, *known: str) -> web.RouteDef:
        async def handle(request: web.Request) -> web.Response:
            parameters = Parameters(request, known)
            self._await_model()
            return json_response(answer(parameters))

        return web.get(path, handle)

    def _waits_for(self) -> list[str]:
        read, of = self._model.loaded
        return [] if self._model.ready else [f"published records are still being read: {read:,} of {of:,}"]

    def _await_model(self) -> None:
        if not self._model.ready:
            read, of = self._model.loaded
            raise ApiError(
                503, f"published records are still being read: {read:,} of {of:,}", where="this server",
                what_to_do="ask again in a moment; if it stays, see whether Kafka runs",
            )  # fmt: skip

    def _kind(self, parameters: Parameters) -> KindModel:
        name = parameters.kind(self._model.of_events, BOUGHT.name)
        return self._model.kinds[name or BOUGHT.name]

    def _listed(self, parameters: Parameters) -> KindModel:
        name = parameters.kind(self._model.kinds, BOUGHT.name)
        return self._model.kinds[name or BOUGHT.name]

    async def _related(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("id", "kind", "k"))
        self._await_model()
        return as_it_is(self._answers.related(self._listed(p), p.id(), p.k(BEST)))

    def _bestsellers(self, p: Parameters) -> Any:
        of, trending = self._kind(p), p.flag("trending")
        return answers.sellers(self._model, of, p.text("category"), p.k(BEST), trending=trending)

    async def _published(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("id", "kind", "profile", "k"))
        self._await_model()
        return as_it_is(self._answers.published(self._kind(p), p.id(), p.text("profile"), p.k(BEST)))

    def _categories(self, p: Parameters) -> Any:
        of = self._kind(p)
        return {"kind": of.kind.name, "categories": answers.categories(self._model, of)}

    async def _recommend(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("id", "kind", "profile", "k", "shelf", *FILTERS))
        return await self._now(p, p.shelf())

    async def _buy_again(self, request: web.Request) -> web.Response:
        return await self._now(Parameters(request, ("id", "kind", "profile", "k")), "again")

    async def _now(self, p: Parameters, shelf: str) -> web.Response:
        customer_id, k = p.id(), p.k(SHOWN, MOST_NOW)
        question = {
            "kind": p.kind(self._model.of_events, None), "k": k, "shelf": shelf, "profile": p.text("profile"),
            "filter": {
                "categories": p.texts("category"), "brands": p.texts("brand"),
                "lowest_price": p.price("lowest_price"), "highest_price": p.price("highest_price"),
                "only": p.texts("only"), "without": p.texts("without"),
            },
        }  # fmt: skip
        self._await_model()
        content = await self._owners.recommend(customer_id, question)
        if content is None:
            raise ApiError(
                404, f"there is nothing to recommend to {customer_id!r}",
                where="the recommender that was asked",
                what_to_do="correct the id; one that has just started may need a few seconds",
            )  # fmt: skip
        return json_response({**answers.recommendations(self._model, content, k), "shelf": shelf})

    async def _search(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("q", "kind", "k"))
        of, q, k = self._listed(p), p.query("q"), p.k(BEST)
        self._await_model()
        matches = await self._searching.find(of, q, k + 1)
        return json_response(answers.found(self._model, of, q, matches, k))

    async def _counts(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("id", "kind", "k"))
        item_id, of, k = p.id(), self._listed(p), p.k(BEST)
        self._await_model()
        most = await self._owners.most_together(item_id, of.kind)
        if most is None:
            raise ApiError(
                404, f"nothing is counted of an item {item_id!r}", where=of.kind.deltas.name,
                what_to_do="correct the id, or find it with /api/search?q=",
            )  # fmt: skip
        return json_response(answers.counts(self._model, of, item_id, most[:k]))

    async def _history(self, request: web.Request) -> web.Response:
        p = Parameters(request, ("id", "kind", "k"))
        customer_id, of, k = p.id(), self._kind(p), p.k(NEWEST)
        self._await_model()
        history = await self._owners.history(customer_id, of.kind)
        if history is None:
            raise ApiError(
                404, f"nobody is known as {customer_id!r}", where=of.kind.events.name,
                what_to_do="correct the id; the first event of a customer makes it known",
            )  # fmt: skip
        return json_response(answers.history(self._model, of, customer_id, history, k))

    async def _status(self, request: web.Request) -> web.Response:
        Parameters(request, ())
        return json_response({**answers.status(self._model), "can_buy": self._buyer is not None})

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        p = Parameters(request, ("kind", "item", "customer", "since"))
        items, customers = frozenset(p.texts("item")), frozenset(p.texts("customer"))
        watched = Watched(self._listed(p).kind.name, items, customers)
        return await self._live.listen(request, watched, p.since(request.headers.get("Last-Event-ID")))

    async def _buy(self, request: web.Request) -> web.Response:
        assert self._buyer is not None
        self._await_model()
        return json_response(await self._buyer.buy(request, self._model))


def _with_id(path: str) -> tuple[str, str]:
    """Return the paths of a question about one id: one with an id that is not . or .., and one for any id.

    The second takes the id as the parameter `id`.
    """
    return f"{path}/{{id:[^/]+}}", path


def _page(name: str | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / (name or request.match_info["file"]))

    return handle


async def _no_such_path(request: web.Request) -> web.Response:
    raise ApiError(
        404, f"there is no {request.path}", where="the path", what_to_do="see docs/guide/page-and-api.md"
    )
