"""Which task a partition of each topic gets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from faust.types import TP

from streams.kinds import CrossKind, EventKind, Kind
from streams.tasks.catalogue import CatalogueTask
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.task import Task
from streams.tasks.watched_bought import CrossingTask
from streams.topics import ITEMS

if TYPE_CHECKING:
    from streams.tasks.context import Context


def makers_of(
    kinds: tuple[Kind, ...], opened: Callable[[TP], Task | None]
) -> dict[str, Callable[[TP, Context], Task]]:
    """Return what makes the tasks of each topic.

    `opened` returns the open task of a partition, which watched-then-bought asks for its customers.
    """
    makers: dict[str, Callable[[TP, Context], Task]] = {ITEMS.name: partial(CatalogueTask, kinds=kinds)}
    for kind in kinds:
        makers[kind.deltas.name] = partial(ItemTask, kind=kind)
        if isinstance(kind, EventKind):
            makers[kind.events.name] = partial(CustomerTask, kind=kind)
        elif isinstance(kind, CrossKind):
            makers[kind.events.name] = partial(CrossingTask, kind=kind, opened=opened)
    return makers
