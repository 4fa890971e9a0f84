"""Queries to a worker never read a machine while the cycle changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from faust.types import TP

from state.customers.machine import CustomerMachine
from state.storage.store import MemoryStore
from streams.kafka.lease import Lease
from streams.kinds import BOUGHT, LISTED
from streams.queries import Queries
from streams.settings import Settings
from streams.stores.opening import Stores
from streams.tasks.context import Context
from streams.tasks.customers import CustomerTask
from streams.tasks.items import ItemTask
from streams.tasks.task import Task
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import as_event, purchases
from tests.streams.pipeline import EmptyTopics

WAIT_S = 10.0


@dataclass
class _Open:
    """A stand-in for `Tasks` with the open tasks."""

    tasks: list[Task]
    listed: Any = LISTED

    def all(self) -> list[Task]:
        """Return every open task."""
        return self.tasks


@dataclass
class _Request:
    match_info: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)


def _open(root: Path) -> _Open:
    """Open a partition of customers and one of items that have counted some purchases."""
    context = Context(
        Settings.model_validate({"data_dir": root}), None, 1,  # type: ignore[arg-type]
        Stores(root / "state", None, lambda _topic: ""), Lease(3600), EmptyTopics(),  # type: ignore[arg-type]
        lambda _tp: True,
    )  # fmt: skip
    customers = CustomerTask(TP(PURCHASES.name, 0), context, BOUGHT)
    items = ItemTask(TP(PAIR_DELTAS.name, 0), context, BOUGHT)
    for task in (customers, items):
        task.saver = task.new_saver(MemoryStore())  # type: ignore[arg-type]
    machine: CustomerMachine = customers.machine
    for message in machine.apply(machine.batch(list(map(as_event, purchases(1, 5, 20, 100))))).deltas[0]:
        items.machine.apply(message)
    return _Open([customers, items])


@pytest.mark.parametrize(("handler", "name"), [("_related", "i1"), ("_item", "i1"), ("_customer", "c1")])
def test_a_question_waits_for_the_cycle(tmp_path: Path, handler: str, name: str) -> None:
    async def main() -> None:
        tasks = _open(tmp_path)
        queries = Queries(tasks, "127.0.0.1", 0, None)  # type: ignore[arg-type]
        ask: Callable[[Any], Awaitable[web.Response]] = getattr(queries, handler)
        async with tasks.tasks[0].lock:
            answer = asyncio.ensure_future(ask(_Request({"id": name})))
            await asyncio.sleep(0.05)
            assert not answer.done()
        async with asyncio.timeout(WAIT_S):
            published = msgspec.json.decode((await answer).text or "")
        assert name in (published.get("item_id"), published.get("customer_id"))
        assert published["position" if "position" in published else "buyers"] > 0

    asyncio.run(main())


def test_a_customer_that_no_recommender_holds_is_not_found(tmp_path: Path) -> None:
    async def main() -> None:
        queries = Queries(_open(tmp_path), "127.0.0.1", 0, None)  # type: ignore[arg-type]
        for ask, name in ((queries._related, "coal"), (queries._item, "coal"), (queries._customer, "eve")):
            with pytest.raises(web.HTTPNotFound) as caught:
                await ask(_Request({"id": name}))  # type: ignore[arg-type]
            assert name in (caught.value.text or "")

    asyncio.run(main())
