"""Tests of asking the recommender that has a customer, in whichever partition the events are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from serving.owners import ANSWER_S, Owners
from serving.read_model import ReadModel
from streams.doors.policy import Doors
from streams.kinds import LISTED
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED, Progress
from streams.recommending.messages import Recommendations
from streams.topics import PURCHASES
from tests.serving.shop import FakeRecommender

PARTITIONS = 3
CUSTOMER = "ann"
OWN = partition_for(CUSTOMER.encode(), PARTITIONS)
QUESTION: dict[str, object] = {"kind": None, "k": 3, "shelf": "all", "profile": None, "filter": {}}


@pytest.fixture
def recommenders() -> Iterator[list[FakeRecommender]]:
    """Start a recommender for each partition, that of the customer's id first."""
    some = [FakeRecommender() for _ in range(PARTITIONS)]
    yield some
    for recommender in some:
        recommender.stop()


def ask(addresses: list[str]) -> Recommendations | None:
    """Return the answer when these hold the partitions, beginning with the customer's."""
    model = ReadModel(LISTED)
    for n, address in enumerate(addresses):
        task = f"{REPORTED}{PURCHASES.name}-{(OWN + n) % PARTITIONS}"
        model.tasks[task] = Progress(task=task, worker=address, applied=0, stored=0)

    async def main() -> Recommendations | None:
        owners = Owners(model, PARTITIONS, Doors().caller(ANSWER_S))
        try:
            return await owners.recommend(CUSTOMER, dict(QUESTION))
        finally:
            await owners.close()

    return asyncio.run(main())


def test_a_known_customer_is_looked_for_only_in_the_ids_partition(
    recommenders: list[FakeRecommender],
) -> None:
    published = ask([recommender.address for recommender in recommenders])
    assert published is not None
    assert published.customer_id == CUSTOMER
    assert [len(recommender.asked) for recommender in recommenders] == [1, 0, 0]


def test_a_customer_unknown_there_is_looked_for_everywhere(recommenders: list[FakeRecommender]) -> None:
    own, other, _ = recommenders
    own.strangers = other.strangers = (CUSTOMER,)
    published = ask([recommender.address for recommender in recommenders])
    assert published is not None
    here = [[question.get("here", False) for question in recommender.asked] for recommender in recommenders]
    assert here == [[False], [True], [True]]


def test_the_own_recommender_answers_for_unknown_customers_even_if_others_are_away(
    recommenders: list[FakeRecommender],
) -> None:
    for recommender in recommenders:
        recommender.strangers = (CUSTOMER,)
    own, other, _ = (recommender.address for recommender in recommenders)
    published = ask([own, other, "http://127.0.0.1:1"])
    assert published is not None
    assert [len(recommender.asked) for recommender in recommenders] == [1, 1, 0]
