"""Asking the worker that has a customer, wherever a producer has put the customer's events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from serving.owners import Owners
from serving.read_model import ReadModel
from streams.kinds import LISTED
from streams.messages import Progress
from streams.partitioning import partition_for
from streams.recommending.messages import Recommendations
from streams.topics import PURCHASES
from tests.serving.shop import FakeWorker

PARTITIONS = 3
CUSTOMER = "ann"
OWN = partition_for(CUSTOMER.encode(), PARTITIONS)
QUESTION: dict[str, object] = {"kind": None, "k": 3, "shelf": "all", "profile": None, "filter": {}}


@pytest.fixture
def workers() -> Iterator[list[FakeWorker]]:
    """One for each partition, that of the customer's id first."""
    some = [FakeWorker() for _ in range(PARTITIONS)]
    yield some
    for worker in some:
        worker.stop()


def ask(addresses: list[str]) -> Recommendations | None:
    """The answer, where these hold the partitions from the customer's on."""
    model = ReadModel(LISTED)
    for n, address in enumerate(addresses):
        task = f"{PURCHASES.name}-{(OWN + n) % PARTITIONS}"
        model.tasks[task] = Progress(task=task, worker=address, applied=0, stored=0)

    async def main() -> Recommendations | None:
        owners = Owners(model, PARTITIONS)
        try:
            return await owners.recommend(CUSTOMER, dict(QUESTION))
        finally:
            await owners.close()

    return asyncio.run(main())


def test_who_is_known_where_the_id_belongs_is_asked_about_there_alone(workers: list[FakeWorker]) -> None:
    told = ask([worker.address for worker in workers])
    assert told is not None
    assert told.customer_id == CUSTOMER
    assert [len(worker.asked) for worker in workers] == [1, 0, 0]


def test_who_is_not_known_there_is_asked_about_everywhere(workers: list[FakeWorker]) -> None:
    own, other, _ = workers
    own.strangers = other.strangers = (CUSTOMER,)
    told = ask([worker.address for worker in workers])
    assert told is not None
    assert [[question.get("here", False) for question in worker.asked] for worker in workers] == [
        [False], [True], [True],
    ]  # fmt: skip


def test_whom_nobody_knows_the_own_worker_answers_for_also_if_others_are_away(
    workers: list[FakeWorker],
) -> None:
    for worker in workers:
        worker.strangers = (CUSTOMER,)
    own, other, _ = (worker.address for worker in workers)
    told = ask([own, other, "http://127.0.0.1:1"])
    assert told is not None
    assert [len(worker.asked) for worker in workers] == [1, 1, 0]
