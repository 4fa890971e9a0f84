"""Ask the recommenders what customers should see now."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from alsobought.clients import call, newest_progress
from alsobought.options import CommandError
from streams.connections.bootstrap import Bootstrap
from streams.doors.errors import CallError
from streams.kafka.follower import partitions_of
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED
from streams.topics import PURCHASES

ANSWER_S = 60.0
PATIENCE_S = 30.0  # one that has just started has lists and catalogue to read
AGAIN_S = 0.2


class Recommenders:
    """The recommenders, by the partitions of customers that they hold.

    Raises
    ------
    CommandError
        No recommender holds a customer's partition, or it does not answer.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions_of(bootstrap, PURCHASES)
        self._addresses = self._now()

    def _now(self) -> dict[int, str]:
        found = newest_progress(self._bootstrap)
        tasks = {p: found.get(f"{REPORTED}{PURCHASES.name}-{p}") for p in range(self._partitions)}
        return {p: progress.worker for p, progress in tasks.items() if progress is not None}

    def recommend(self, question: Mapping[str, Any], customers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the answer for each customer to a question of `POST /recommendations`.

        A customer who is not known to the recommender of the id's partition may be known to another: see the
        producers' guide.
        """
        by_partition: dict[int, list[str]] = defaultdict(list)
        for customer in dict.fromkeys(customers):
            by_partition[partition_for(customer.encode(), self._partitions)].append(customer)
        answers: dict[str, dict[str, Any]] = {}
        for partition, some in by_partition.items():
            reply = self._ask(partition, {**question, "customers": some})
            answers |= dict(zip(some, reply["recommendations"], strict=True))
            strangers = [name for name, known in zip(some, reply["known"], strict=True) if not known]
            answers |= self._known_elsewhere(partition, question, strangers)
        return answers

    def _known_elsewhere(
        self, partition: int, question: Mapping[str, Any], customers: list[str]
    ) -> dict[str, dict[str, Any]]:
        """Return the answers for customers who are known to other
        recommenders than that of this partition.
        """
        answers: dict[str, dict[str, Any]] = {}
        asked = {self._addresses[partition]}
        for other in range(self._partitions):
            left = [name for name in customers if name not in answers]
            if not left:
                break
            if self._addresses.get(other) not in asked:
                reply = self._ask(other, {**question, "customers": left, "here": True})
                asked.add(self._addresses[other])
                some = zip(left, reply["recommendations"], reply["known"], strict=True)
                answers |= {name: answer for name, answer, known in some if known}
        return answers

    def _ask(self, partition: int, question: dict[str, Any]) -> dict[str, list[Any]]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            address = self._addresses.get(partition)
            trouble = f"no recommender has reported to hold {PURCHASES.name}-{partition}"
            if address is not None:
                try:
                    answer = call(
                        ANSWER_S, "POST", address, "recommendations", body=json.dumps(question).encode()
                    )
                    if answer.status == 200:
                        found: dict[str, list[Any]] = json.loads(answer.body)
                        return found
                    reply = answer.body.decode(errors="replace")
                    if answer.status == 400:
                        raise CommandError(reply)
                    trouble = f"the recommender at {address} says: {reply}"
                except (CallError, ValueError) as error:
                    trouble = f"the recommender at {address} does not answer ({error})"
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{trouble}. Start one with `alsobought up` or `alsobought recommender`; see its log."
                )
            time.sleep(AGAIN_S)
            self._addresses = self._now()
