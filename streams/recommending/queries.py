"""Answer questions about customers: a small HTTP service of the recommender, beside the consumer.

POST /recommendations   what customers of its partitions should see now: see `asking`
"""

from __future__ import annotations

from typing import cast

from aiohttp import web

from streams.queries import Service
from streams.recommending.asking import answer
from streams.recommending.tasks import RecommenderTasks


class RecommenderQueries(Service):
    """Serves questions about the customers of the open tasks."""

    role = "recommender"

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that are served."""
        return [web.post("/recommendations", self._recommendations)]

    async def _recommendations(self, request: web.Request) -> web.Response:
        return await answer(cast("RecommenderTasks", self.tasks), request)
