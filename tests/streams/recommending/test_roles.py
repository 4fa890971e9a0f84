"""Workers and recommenders run without each other; tests of hidden items, several recommenders, and deaths.

The tests share a Kafka and build on one another: the later ones change its contents.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.kafka.follower import read_all
from streams.messages.schema import (
    COUNTED,
    REPORTED,
    SETTLE,
    CatalogueItem,
    PopularityMessage,
    SettleMark,
    decode_popularity,
    encode,
)
from streams.topics import BESTSELLERS, ITEMS, POPULARITY, PURCHASES, RECOMMENDATIONS
from tests.events import DAY_MS, START_MS
from tests.streams.pipeline import PARTITIONS, Recommender, Wires, Worker, until
from tests.streams.recommending.shop import CATALOGUE, GONE, Shop, events

CUSTOMERS = 60
ALWAYS = {"instance": "one"}
SOON_S = 10.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def shop(new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return a shop whose recommender runs, without a worker."""
    home = tmp_path_factory.mktemp("roles")
    kafka = new_kafka()
    wires = Wires(kafka.bootstrap)
    recommender = Recommender(kafka.bootstrap, home / "data", **ALWAYS)
    shop = Shop(kafka, wires, home / "data", ALWAYS, None, recommender)
    try:
        yield shop
    finally:
        wires.close()
        shop.stop()


def served(shop: Shop) -> dict[str, int]:
    """Return the ends of their partitions by the recommenders' tasks."""
    return {f"{REPORTED}{PURCHASES.name}-{p}": end for p, end in shop.wires.ends(PURCHASES.name).items()}


def owners(shop: Shop) -> set[str]:
    """Return the addresses that recommenders report now."""
    shop.wires.poll_progress()
    return {task.worker for name, task in shop.wires.tasks.items() if name in served(shop)}


def offering(shop: Shop, item_id: str) -> list[str]:
    """Return the keys of the published messages that offer an item."""
    return [
        key
        for spec in (RECOMMENDATIONS, BESTSELLERS)
        for key, message in shop.wires.newest(spec).items()
        if any(entry["item_id"] == item_id for entry in message["items"])
    ]


def popularity(shop: Shop) -> dict[str, PopularityMessage]:
    newest = {record.key: record.value for record in shop.wires.read(POPULARITY.name)}
    return {k.decode(): decode_popularity(v) for k, v in newest.items() if v and not k.startswith(b"\t")}


def hide(shop: Shop, item_id: str, *, available: bool = False) -> None:
    message = CatalogueItem(**{**json.loads(encode(CATALOGUE[item_id])), "available": available})
    shop.wires.publish(ITEMS.name, [(item_id.encode(), encode(message))])


def test_a_recommender_that_starts_before_any_list(shop: Shop) -> None:
    """It reads the events, has nothing to offer, and continues once a worker has counted them."""
    shop.publish(events(51, CUSTOMERS, 500, days=30))
    until(lambda: shop.wires.reached("recommended", served(shop)), "the events, read alone")
    assert all(not message["items"] or message["kind"] for message in shop.recommendations().values())
    ends = shop.wires.ends(RECOMMENDATIONS.name)
    shop.worker = Worker(shop.kafka.bootstrap, shop.data, **ALWAYS)
    shop.wires.publish(ITEMS.name, [(name.encode(), encode(message)) for name, message in CATALOGUE.items()])
    shop.wires.drain()

    def all_have() -> bool:
        newest = shop.recommendations()
        return newest.keys() >= shop.histories().keys() and all(
            message["items"] for message in newest.values()
        )

    until(all_have, "something for everybody")
    assert shop.wires.ends(RECOMMENDATIONS.name) != ends


def test_a_worker_alone_counts_and_publishes_popularity(shop: Shop) -> None:
    shop.recommender.stop()
    ends = shop.wires.ends(RECOMMENDATIONS.name)
    shop.publish(events(52, CUSTOMERS, 500, start_ms=START_MS + 30 * DAY_MS, days=30))
    shop.wires.drain()
    assert shop.wires.ends(RECOMMENDATIONS.name) == ends
    lists, found = shop.wires.lists(), popularity(shop)
    buyers = {item: n for item, n in shop.oracle.buyers().items() if n}
    assert {item: message.buyers for item, message in found.items() if message.buyers} == buyers
    assert {item: lists[item]["buyers"] for item in lists} == {item: buyers[item] for item in lists}
    newest = max(message.as_of for message in found.values()) // DAY_MS
    recent: Counter[str] = Counter()
    for item, message in found.items():
        first = (message.newest_day - type(message.newest_day)(1970, 1, 1)).days
        recent[item] += sum(n for i, n in enumerate(message.purchases) if first - i > newest - 14)
    assert {item: n for item, n in recent.items() if n} == dict(+Counter(shop.oracle.recent()))
    assert {item for item, message in found.items() if not message.available} == GONE & found.keys()
    # a mark among the records, as drain writes it, is no reason to publish anything again; but each partition
    # says for this settling, too, how far it is
    before = shop.wires.ends(POPULARITY.name)
    for partition in range(PARTITIONS):
        shop.wires.producer.send(
            POPULARITY.name, key=SETTLE, value=encode(SettleMark(1)), partition=partition
        )
    shop.wires.producer.flush()
    shop.wires.drain()
    rows = list(read_all(shop.kafka.bootstrap, POPULARITY))
    for partition, end in before.items():
        added = {row.key for row in rows if row.partition == partition and row.offset >= end}
        assert added == {SETTLE, COUNTED}


def test_a_recommender_that_comes_back_goes_on(shop: Shop) -> None:
    shop.restart()
    shop.settle()
    message = shop.recommendations()
    assert message.keys() >= shop.histories().keys()


def test_records_by_others_while_nobody_owned_the_partition_are_published_anew(shop: Shop) -> None:
    """A process that stood still, and had records on its way to Kafka, does this."""
    customer, partition = next(
        (record.key, record.partition) for record in shop.wires.read(RECOMMENDATIONS.name) if record.value
    )
    shop.recommender.stop(signal.SIGKILL)
    shop.wires.producer.send(RECOMMENDATIONS.name, key=customer, value=None, partition=partition).get(30)
    assert customer.decode() not in shop.recommendations()
    shop.restart()
    until(lambda: customer.decode() in shop.recommendations(), "the recommendations again")


def test_no_published_message_offers_a_hidden_item(shop: Shop) -> None:
    offered = Counter(e["item_id"] for message in shop.recommendations().values() for e in message["items"])
    (item, count), (other, _) = offered.most_common(2)
    assert count > 5
    held = {
        key.encode()
        for key, message in shop.recommendations().items()
        if item in {entry["item_id"] for entry in message["items"]}
    }
    ends, begin = shop.wires.ends(RECOMMENDATIONS.name), time.monotonic()
    hide(shop, item)
    until(lambda: not offering(shop, item), f"nothing that offers {item}", SOON_S)
    assert time.monotonic() - begin < SOON_S
    published = [r.key for r in shop.wires.read(RECOMMENDATIONS.name) if r.offset >= ends[r.partition]]
    assert held <= {*published}
    whose = {key.partition(b"\t")[0] for key in published}  # a customer's profiles are published together
    # the customers to whom it was offered, and nobody else
    assert whose == {key.partition(b"\t")[0] for key in held}
    assert len(published) <= 2 * len({*published})
    # it is hidden while no recommender runs, so published messages are searched
    shop.recommender.stop(signal.SIGKILL)
    hide(shop, other)
    assert offering(shop, other)
    shop.restart()
    until(lambda: not offering(shop, other), f"nothing that offers {other}")
    for name in (item, other):
        hide(shop, name, available=True)
    shop.publish(events(53, CUSTOMERS, 300, start_ms=START_MS + 60 * DAY_MS, days=2))
    shop.settle()
    until(lambda: offering(shop, item), "the item offered again")


def test_two_recommenders_share_the_customers_and_take_over(shop: Shop) -> None:
    bootstrap = shop.kafka.bootstrap
    second = Recommender(bootstrap, shop.data.parent / "other", instance="two")
    try:
        until(lambda: len(owners(shop)) == 2, "both recommenders")
        shop.publish(flown := events(54, CUSTOMERS, 400, start_ms=START_MS + 63 * DAY_MS, days=3))
        shop.settle()
        check_flown(shop, flown)

        ends = shop.wires.ends(RECOMMENDATIONS.name)
        shop.publish(flown := events(55, CUSTOMERS, 400, start_ms=START_MS + 67 * DAY_MS, days=3))
        until(lambda: shop.wires.ends(RECOMMENDATIONS.name) != ends, "the first recommendations")
        second.stop(signal.SIGKILL)
        until(lambda: len(owners(shop)) == 1, "one of them alone")
        shop.settle()
        check_flown(shop, flown, ends)
    finally:
        if second.process.poll() is None:
            second.stop()


def test_one_that_stood_still_goes_on(shop: Shop) -> None:
    """It stands still for longer than the session timeout, and another takes over meanwhile."""
    second = Recommender(shop.kafka.bootstrap, shop.data.parent / "other", instance="two")
    try:
        until(lambda: len(owners(shop)) == 2, "both recommenders")
        ends = shop.wires.ends(RECOMMENDATIONS.name)
        shop.publish(flown := events(56, CUSTOMERS, 300, start_ms=START_MS + 71 * DAY_MS, days=3))
        shop.recommender.process.send_signal(signal.SIGSTOP)
        until(lambda: shop.wires.reached("recommended", served(shop)), "all by the other")
        check_flown(shop, flown, ends)
        shop.recommender.process.send_signal(signal.SIGCONT)
        until(lambda: len(owners(shop)) == 2, "both again")
        shop.publish(flown := events(57, CUSTOMERS, 300, start_ms=START_MS + 75 * DAY_MS, days=3))
        shop.settle()
        check_flown(shop, flown)
    finally:
        shop.recommender.process.send_signal(signal.SIGCONT)
        second.stop()


def check_flown(shop: Shop, flown: list[Any], ends: dict[int, int] | None = None) -> None:
    """Check that, since these ends, everybody with these events got recommendations by their histories."""
    records = shop.wires.read(RECOMMENDATIONS.name)
    since = {r.key.decode() for r in records if ends is None or r.offset >= ends[r.partition]}
    histories, message = shop.histories(), shop.recommendations()
    assert {event.customer_id for event in flown} <= since
    assert message.keys() >= histories.keys()
    for customer in {event.customer_id for event in flown}:
        owned = {bought.item for bought in histories[customer]}
        assert message[customer]["items"]
        for entry in message[customer]["items"]:
            assert (entry["item_id"] in owned) == (entry["source"] == "buy-again")
            assert entry["item_id"] not in GONE
