"""`POST /recommendations` of a recommender: what customers of its partitions should see now."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from recommending.catalogue import Filter
from streams.messages.partitioning import partition_for

if TYPE_CHECKING:
    from streams.recommending.task import RecommenderTask
    from streams.recommending.tasks import RecommenderTasks


class AskedFilter(Struct, forbid_unknown_fields=True):
    """The filter in a question: which items may be offered."""

    categories: list[str] = []
    brands: list[str] = []
    lowest_price: float | None = None
    highest_price: float | None = None
    only: list[str] = []
    without: list[str] = []


class Question(Struct, forbid_unknown_fields=True):
    """The question. Without a kind, it is about the kind of each customer's newest event."""

    customers: Annotated[list[str], Meta(max_length=1_000)]
    kind: str | None = None
    k: Annotated[int, Meta(ge=1, le=100)] = 6
    shelf: Literal["all", "new", "again"] = "all"
    profile: str | None = None
    filter: AskedFilter = msgspec.field(default_factory=AskedFilter)
    here: Annotated[
        bool, Meta(description="only of customers who have something in a partition of this worker")
    ] = False


_decode = msgspec.json.Decoder(Question).decode


async def answer(tasks: RecommenderTasks, request: web.Request) -> web.Response:
    """Answer with {"recommendations": [...], "known": [...]}, in the order of the question.

    A customer is known who has something in any partition of this recommender: a producer with another
    partitioner than ours may have put the customer anywhere. A customer who is not known in the partition of
    the id may be known to another recommender. That one is asked with `here`; with it, the answer is null for
    an unknown customer.
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
        task, is_known = await _task(tasks, asked.kind, customer_id, here=asked.here)
        known.append(is_known)
        if task is None:
            found.append(None)
        else:
            found.append(await task.ask(customer_id, asked.k, asked.shelf, wanted, asked.profile))
    return web.Response(
        body=msgspec.json.encode({"recommendations": found, "known": known}),
        content_type="application/json",
    )


async def _task(
    tasks: RecommenderTasks, kind: str | None, customer_id: str, *, here: bool
) -> tuple[RecommenderTask | None, bool]:
    """Return the task that recommends to a customer, and whether the customer is known to it.

    Without a kind it is that of the customer's newest event.
    """
    own = partition_for(customer_id.encode(), tasks.partitions)
    mine = await _newest(tasks, kind, own, customer_id)
    if mine is not None and mine.known:
        return mine.ready_task(), True
    for partition in range(tasks.partitions):
        other = None if partition == own else await _newest(tasks, kind, partition, customer_id)
        if other is not None and other.known:
            return other.ready_task(), True
    if here:
        return None, False
    if not tasks.recommenders(own):
        raise web.HTTPConflict(text=f"customer {customer_id!r} is in partition {own}: another recommender's")
    if mine is None:
        raise _not_yet()
    return mine.ready_task(), False


class _Found(NamedTuple):
    """The task of the partition that has a customer's newest event, and whether there is any event.

    For a customer without one it is the task of the kind with the most events of late.
    """

    task: RecommenderTask
    known: bool
    ready: bool

    def ready_task(self) -> RecommenderTask:
        """Return the task, once every task of the partition can recommend."""
        if not self.ready:
            raise _not_yet()
        return self.task


def _not_yet() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text="lists and catalogue are being read: ask again in a moment")


async def _newest(
    tasks: RecommenderTasks, kind: str | None, partition: int, customer_id: str
) -> _Found | None:
    """Return what is known of a customer in a partition; None if no task of the kind is open here for it."""
    some = [task for name, task in tasks.recommenders(partition).items() if kind in (None, name)]
    if not some:
        return None
    newest = [(await task.newest(customer_id), task) for task in some]
    (last_ms, _), task = max(newest, key=itemgetter(0))
    return _Found(task, last_ms > 0, all(task.ready for task in some))
