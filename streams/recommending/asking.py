"""`POST /recommendations` of a recommender: what customers of its partitions should see, as of now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from state.recommending.catalogue import Filter
from streams.partitioning import partition_for

if TYPE_CHECKING:
    from streams.recommending.task import RecommenderTask
    from streams.recommending.tasks import RecommenderTasks


class AskedFilter(Struct, forbid_unknown_fields=True):
    """Which items may be offered."""

    categories: list[str] = []
    brands: list[str] = []
    lowest_price: float | None = None
    highest_price: float | None = None
    only: list[str] = []
    without: list[str] = []


class Asked(Struct, forbid_unknown_fields=True):
    """The question. Without a kind it is that of each customer's newest event."""

    customers: Annotated[list[str], Meta(max_length=1_000)]
    kind: str | None = None
    k: Annotated[int, Meta(ge=1, le=100)] = 6
    shelf: Literal["all", "new", "again"] = "all"
    profile: str | None = None
    filter: AskedFilter = msgspec.field(default_factory=AskedFilter)


_decode = msgspec.json.Decoder(Asked).decode


async def answer(tasks: RecommenderTasks, request: web.Request) -> web.Response:
    """Answer with {"recommendations": [...]}, in the order asked for."""
    try:
        asked = _decode(await request.read())
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=f"this is no question for recommendations: {error}") from None
    kinds = [kind.name for kind in tasks.kinds]
    if asked.kind is not None and asked.kind not in kinds:
        raise web.HTTPBadRequest(text=f"there is no kind of events {asked.kind!r}, but {', '.join(kinds)}")
    f = asked.filter
    wanted = Filter(
        frozenset(f.categories), frozenset(f.brands), f.lowest_price, f.highest_price, frozenset(f.only),
        frozenset(f.without),
    )  # fmt: skip
    found: list[Any] = []
    for customer_id in asked.customers:
        task = _task(tasks, asked.kind, customer_id)
        found.append(await task.ask(customer_id, asked.k, asked.shelf, wanted, asked.profile))
    return web.Response(body=msgspec.json.encode({"recommendations": found}), content_type="application/json")


def _task(tasks: RecommenderTasks, kind: str | None, customer_id: str) -> RecommenderTask:
    """The task that recommends to a customer; without a kind that of the customer's newest event."""
    partition = partition_for(customer_id.encode(), tasks.partitions)
    found = tasks.recommenders(partition)
    if not found:
        raise web.HTTPConflict(
            text=f"customer {customer_id!r} is in partition {partition}: another recommender's"
        )
    if kind is not None:
        found = {name: task for name, task in found.items() if name == kind}
    if not found or not all(task.ready for task in found.values()):
        raise web.HTTPServiceUnavailable(text="lists and catalogue are being read: ask again in a moment")
    # of those who have no events anywhere, the kind with the most of late
    return max(found.values(), key=lambda task: task.newest(customer_id))
