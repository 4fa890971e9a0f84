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
    here: Annotated[
        bool, Meta(description="only of customers who have something in a partition of this worker")
    ] = False


_decode = msgspec.json.Decoder(Asked).decode


async def answer(tasks: RecommenderTasks, request: web.Request) -> web.Response:
    """Answer with {"recommendations": [...], "known": [...]}, in the order asked for.

    Known are customers who have something in a partition of this recommender, whichever that is: a producer
    with another partitioner than ours may have put them anywhere. Who is not known in the partition of the id
    may be known to another recommender, which is asked with `here`; with it the answer is null for who is not
    known.
    """
    try:
        asked = _decode(await request.read())
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(
            text=f"the body must be a question for recommendations as JSON: {error}"
        ) from None
    kinds = [kind.name for kind in tasks.kinds]
    if asked.kind is not None and asked.kind not in kinds:
        raise web.HTTPBadRequest(text=f"kind must be one of {', '.join(kinds)}, but is {asked.kind!r}")
    f = asked.filter
    wanted = Filter(
        frozenset(f.categories), frozenset(f.brands), f.lowest_price, f.highest_price, frozenset(f.only),
        frozenset(f.without),
    )  # fmt: skip
    found: list[Any] = []
    known: list[bool] = []
    for customer_id in asked.customers:
        task, is_known = _task(tasks, asked.kind, customer_id, here=asked.here)
        known.append(is_known)
        if task is None:
            found.append(None)
        else:
            found.append(await task.ask(customer_id, asked.k, asked.shelf, wanted, asked.profile))
    return web.Response(
        body=msgspec.json.encode({"recommendations": found, "known": known}),
        content_type="application/json",
    )


def _task(
    tasks: RecommenderTasks, kind: str | None, customer_id: str, *, here: bool
) -> tuple[RecommenderTask | None, bool]:
    """The task that recommends to a customer, and whether the customer is known to it.

    Without a kind it is that of the customer's newest event.
    """
    own = partition_for(customer_id.encode(), tasks.partitions)
    mine = _tasks(tasks, kind, own)
    if mine and any(task.newest(customer_id)[0] for task in mine):
        return _newest(mine, customer_id), True
    for partition in range(tasks.partitions):
        others = [] if partition == own else _tasks(tasks, kind, partition)
        if any(task.newest(customer_id)[0] for task in others):
            return _newest(others, customer_id), True
    if here:
        return None, False
    if not tasks.recommenders(own):
        raise web.HTTPConflict(text=f"customer {customer_id!r} is in partition {own}: another recommender's")
    return _newest(mine, customer_id), False


def _tasks(tasks: RecommenderTasks, kind: str | None, partition: int) -> list[RecommenderTask]:
    return [task for name, task in tasks.recommenders(partition).items() if kind in (None, name)]


def _newest(some: list[RecommenderTask], customer_id: str) -> RecommenderTask:
    if not some or not all(task.ready for task in some):
        raise web.HTTPServiceUnavailable(text="lists and catalogue are being read: ask again in a moment")
    # of those who have no events anywhere, the kind with the most of late
    return max(some, key=lambda task: task.newest(customer_id))
