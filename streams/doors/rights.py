"""Every endpoint, and the right that it wants: the one table of both, which the documentation is made from.

A right includes those before it. A process refuses to start with an endpoint that is not in its table.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Right(IntEnum):
    """What a token allows."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The right as it is written in settings and messages."""
        return self.name.lower()


class Door(NamedTuple):
    """An endpoint.

    Attributes
    ----------
    path : str
        As the router has it, with names in braces for what varies.
    right : Right
        What a token must allow, where tokens are set.
    cost : int
        How many requests it counts for in the rate of a client.
    answers : str
        What is there.
    """

    method: str
    path: str
    right: Right
    cost: int
    answers: str


NOWHERE = Door("", "", Right.NONE, 1, "nothing: the answer is an error")
"""What has no endpoint."""

ALWAYS_OPEN = frozenset({"/healthz", "/readyz"})
"""What an orchestrator asks, which has no token: these say whether a process works, and nothing of a shop."""


def _both(path: str, right: Right, cost: int, answers: str) -> list[Door]:
    """Return the two doors of a question about one id, which is in the path or a parameter."""
    return [Door("GET", f"{path}/{{id}}", right, cost, answers), Door("GET", path, right, cost, answers)]


API = (
    Door("GET", "/", Right.NONE, 1, "the page, without anything of a shop"),
    Door("GET", "/{file}", Right.NONE, 1, "its scripts, styles and pictures"),
    *_both("/api/related", Right.READ, 1, "the list of an item"),
    *_both("/api/counts", Right.READ, 10, "the same by raw counts"),
    *_both("/api/recommendations", Right.READ, 1, "what is published for a customer"),
    *_both("/api/recommend", Right.READ, 10, "the same computed now"),
    *_both("/api/buy-again", Right.READ, 10, "what is bought again, computed now"),
    *_both("/api/history", Right.READ, 10, "what a customer has"),
    Door("GET", "/api/bestsellers", Right.READ, 2, "bestsellers, or what rises"),
    Door("GET", "/api/search", Right.READ, 10, "items by title or id"),
    Door("GET", "/api/categories", Right.READ, 10, "every category"),
    Door("GET", "/api/quality", Right.READ, 10, "hit rates by day"),
    Door("GET", "/api/experiments", Right.READ, 10, "hit rates of the variants"),
    Door("GET", "/api/learner", Right.READ, 10, "weights and training steps"),
    Door("GET", "/api/status", Right.READ, 2, "how far every partition is"),
    Door("GET", "/api/live", Right.READ, 10, "the pulse of the stream"),
    Door("POST", "/api/demo/purchases", Right.WRITE, 10, "buys an item, in a demo"),
    Door("GET", "/metrics", Right.READ, 50, "metrics for Prometheus"),
    Door("GET", "/{rest}", Right.NONE, 1, "nothing: 404"),
)
"""Of `alsobought serve`, and of the page of `alsobought up` and `alsobought demo`."""

QUERIES = (
    Door("GET", "/related/{id}", Right.READ, 1, "the list of an item, as of now"),
    Door("GET", "/items/{id}", Right.READ, 1, "counts and neighbours of an item"),
    Door("GET", "/customers/{id}", Right.READ, 1, "a customer's history"),
    Door("POST", "/recommendations", Right.READ, 1, "what customers should see now"),
    Door("POST", "/checkpoints", Right.ADMIN, 50, "takes a checkpoint of every task"),
    Door("GET", "/metrics", Right.READ, 50, "metrics for Prometheus"),
)
"""Of the query port: `/recommendations` of recommenders, `/metrics` of both, and all others of workers."""
