"""`POST /recommendations` of a worker: what customers of its partitions should see, as of now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from state.recommending.catalogue import Filter
from streams.partitioning import partition_for

if TYPE_CHECKING:
    from streams.recommending.unit import Unit
    from streams.worker import Tasks


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


async def answer(tasks: Tasks, request: web.Request) -> web.Response:
    """Answer with {"recommendations": [...], "known": [...]}, in the order asked for.

    Known are customers who have something in a partition of this worker, whichever that is: a producer with
    another partitioner than ours may have put them anywhere. Who is not known in the partition of the id may
    be known to another worker, which is asked with `here`; with it the answer is null for who is not known.
    """
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
    known: list[bool] = []
    synchronised: set[int] = set()
    for customer_id in asked.customers:
        unit, is_known = _unit(tasks, asked.kind, customer_id, here=asked.here)
        known.append(is_known)
        if unit is None:
            found.append(None)
            continue
        if id(unit) not in synchronised:
            synchronised.add(id(unit))
            await unit.synchronise()
        found.append(await unit.ask(customer_id, asked.k, asked.shelf, wanted, asked.profile))
    return web.Response(
        body=msgspec.json.encode({"recommendations": found, "known": known}),
        content_type="application/json",
    )


def _unit(tasks: Tasks, kind: str | None, customer_id: str, *, here: bool) -> tuple[Unit | None, bool]:
    """The unit that recommends to a customer, and whether the customer is known to it.

    Without a kind it is that of the customer's newest event.
    """
    own = partition_for(customer_id.encode(), tasks.partitions)
    mine = _units(tasks, kind, own)
    if mine and any(unit.newest(customer_id)[0] for unit in mine):
        return _newest(mine, customer_id), True
    for partition in range(tasks.partitions):
        units = [] if partition == own else _units(tasks, kind, partition)
        if any(unit.newest(customer_id)[0] for unit in units):
            return _newest(units, customer_id), True
    if here:
        return None, False
    if not tasks.units(own):
        raise web.HTTPConflict(text=f"customer {customer_id!r} is in partition {own}: another worker's")
    return _newest(mine, customer_id), False


def _units(tasks: Tasks, kind: str | None, partition: int) -> list[Unit]:
    return [unit for name, unit in tasks.units(partition).items() if kind in (None, name)]


def _newest(units: list[Unit], customer_id: str) -> Unit:
    if not units or not all(unit.ready for unit in units):
        raise web.HTTPServiceUnavailable(text="lists and catalogue are being read: ask again in a moment")
    # of those who have no events anywhere, the kind with the most of late
    return max(units, key=lambda unit: unit.newest(customer_id))
