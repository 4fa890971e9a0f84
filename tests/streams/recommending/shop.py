"""A shop with profiles, categories, prices and unavailable items, on a real Kafka with real processes.

Helpers of test_recommending.py, test_models_pipeline.py and tests/alsobought/test_recommend_commands.py.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from state.customers.events import Event
from streams.broker.embedded import EmbeddedKafka
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED, CatalogueItem, EventMessage, encode
from streams.topics import ITEMS, PURCHASES, QUALITY, RANKER, RECOMMENDATIONS
from tests.events import as_event, purchases
from tests.oracles.counts import Bought, Oracle
from tests.streams.pipeline import PARTITIONS, Recommender, Wires, Worker, until
from tests.streams.test_pipeline import WINDOW, keyed

ITEM_COUNT = 80
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def number(name: str) -> int:
    """Return the number in "c12" or "i12"."""
    return int(name[1:])


def entry(item_id: str) -> CatalogueItem:
    """Return the catalogue's record of an item; every ninth is unavailable."""
    n = number(item_id)
    return CatalogueItem(
        item_id=item_id, title=f"Title {n}", category=f"group {n % 4}", price=float(n), available=n % 9 != 4
    )


CATALOGUE = {name: entry(name) for name in (f"i{n}" for n in range(ITEM_COUNT))}
GONE = {name for name, item in CATALOGUE.items() if not item.available}


def events(seed: int, customers: int, count: int, **more: Any) -> list[EventMessage]:
    """Return purchases; every third customer is an account of two profiles. Seeds share no event ids."""
    made = []
    for n, event in enumerate(purchases(seed, customers, ITEM_COUNT, count, **more)):
        profile = None if number(event.customer_id) % 3 else f"p{n % 2}"
        made.append(msgspec.structs.replace(event, event_id=f"{seed}-{n}", profile_id=profile))
    return made


@dataclass
class Shop:
    """A running shop, with what was published to it."""

    kafka: EmbeddedKafka
    wires: Wires
    data: Path
    settings: dict[str, str]
    worker: Worker | None
    recommender: Recommender
    log: list[EventMessage] = field(default_factory=list)

    def publish(self, some: Sequence[EventMessage]) -> None:
        """Publish events and remember them."""
        self.log += some
        self.wires.publish(PURCHASES.name, keyed(some))

    def settle(self) -> None:
        """Wait until everything is counted and listed, and recommendations follow from it."""
        self.wires.drain()
        ends = {f"{REPORTED}{PURCHASES.name}-{p}": end for p, end in self.wires.ends(PURCHASES.name).items()}
        until(lambda: self.wires.reached("recommended", ends), "recommendations")

    def restart(self, **settings: str) -> None:
        """Start another recommender, once the last one has died."""
        self.wires.tasks.clear()
        self.recommender = Recommender(self.kafka.bootstrap, self.data, **self.settings, **settings)

    def stop(self) -> None:
        """End the recommender and the worker."""
        for one in filter(None, (self.recommender, self.worker)):
            try:
                if one.process.poll() is None:
                    one.stop()
            finally:
                one.process.kill()  # a process that hangs must not outlive the test
                one.process.wait()

    @property
    def oracle(self) -> Oracle:
        """Return the oracle over what was published."""
        return Oracle(WINDOW).feed(map(with_profile, self.log))

    def histories(self) -> dict[str, list[Bought]]:
        """Return the histories that are not empty."""
        return {customer: history for customer, history in self.oracle.histories.items() if history}

    def recommendations(self) -> dict[str, dict[str, Any]]:
        """Return the newest message of every key."""
        return self.wires.newest(RECOMMENDATIONS)

    def rankers(self, since: Mapping[int, int] | None = None) -> dict[str, dict[str, Any]]:
        """Return the newest rankers of purchases by key, of those published from some offsets on."""
        read = self.wires.read(RANKER.name)
        records = [r for r in read if since is None or r.offset >= since[r.partition]]
        published = {record.key.decode(): json.loads(record.value) for record in records}
        return {key: value for key, value in published.items() if value["kind"] == "bought"}

    def cases(self) -> dict[str, tuple[int, int]]:
        """Return the cases and hits of every published hit rate."""
        messages = self.wires.newest(QUALITY)
        return {key: (published["cases"], published["hits"]) for key, published in messages.items()}

    def ask(self, *customers: str, **more: Any) -> list[dict[str, Any]]:
        """Return the answers of the recommender."""
        status, reported = self.post(json.dumps({"customers": customers, **more}).encode(), customers[0])
        assert status == 200, reported
        answers: list[dict[str, Any]] = json.loads(reported)["recommendations"]
        assert [answer["customer_id"] for answer in answers] == list(customers)
        return answers

    def post(self, body: bytes, customer: str = "c0") -> tuple[int, str]:
        """Return status and text of an answer to any question, once the recommender is ready."""
        task = f"{REPORTED}{PURCHASES.name}-{partition_for(customer.encode(), PARTITIONS)}"

        def answered() -> tuple[int, str] | None:
            self.wires.poll_progress()
            if task not in self.wires.tasks:
                return None
            url = f"{self.wires.tasks[task].worker}/recommendations"
            try:
                with _opener.open(urllib.request.Request(url, body, method="POST"), timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return None if error.code == 503 else (error.code, error.read().decode())

        reported: tuple[int, str] = until(answered, "the recommender's answer")
        return reported


def with_profile(message: EventMessage) -> Event:
    """Return an event with its profile, as the oracle takes it."""
    return replace(as_event(message), profile_id=message.profile_id)


def check(message: dict[str, Any], history: Iterable[Bought]) -> None:
    """Check that recommendations follow from these purchases."""
    owned = {bought.item for bought in history}
    items = message["items"]
    assert len(items) <= 20
    names = [entry["item_id"] for entry in items]
    assert len(set(names)) == len(names)
    assert GONE.isdisjoint(names)
    scores = [entry["score"] for entry in items]
    assert scores == sorted(scores, reverse=True)
    for entry in items:
        assert set(entry["because"]) <= owned
        assert (entry["item_id"] in owned) == (entry["source"] == "buy-again")
        if entry["source"] == "buy-again":
            assert entry["because"] == [entry["item_id"]]
        elif entry["source"] == "bestseller":
            assert entry["because"] == []


def items_of(answer: dict[str, Any]) -> list[str]:
    """Return the items of an answer, the best first."""
    return [entry["item_id"] for entry in answer["items"]]


@contextlib.contextmanager
def opened(kafka: EmbeddedKafka, data: Path, **settings: str) -> Iterator[Shop]:
    """Open a shop with its catalogue on a new Kafka, with a running worker and recommender."""
    wires = Wires(kafka.bootstrap)
    always = {"instance": "one"}  # so that a killed process can be started again at once
    shop = Shop(
        kafka, wires, data, always, Worker(kafka.bootstrap, data, **always, **settings),
        Recommender(kafka.bootstrap, data, **always, **settings),
    )  # fmt: skip
    try:
        wires.publish(ITEMS.name, [(name.encode(), encode(item)) for name, item in CATALOGUE.items()])
        wires.drain()
        yield shop
    finally:
        wires.close()
        shop.stop()
