"""Tests of recommendations through a real Kafka and a real worker: messages, questions, erasure, sudden
death.

The tests share the shop and build on one another: the later ones change it.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from recommending.experiments import parse, variant_of
from recommending.features import FEATURES
from recommending.starting_weights import new_rankers
from streams.broker.embedded import EmbeddedKafka
from streams.kafka.follower import read_all
from streams.kinds import BOUGHT, topics_of_kinds
from streams.messages.schema import EventMessage
from streams.topics import BESTSELLERS, QUALITY, RANKER, RECOMMENDATIONS
from tests.contracts.contract import contract, faults
from tests.events import DAY_MS, START_MS
from tests.streams.pipeline import until
from tests.streams.recommending.shop import (
    CATALOGUE,
    GONE,
    ITEM_COUNT,
    Shop,
    check,
    events,
    items_of,
    number,
    opened,
)  # fmt: skip

CUSTOMERS = 100
FIRST = 700
VARIANTS = "control=bestsellers:50,ours:50"
ACCOUNT, SINGLE = "c3", "c1"  # these are heavy buyers, one of them with two profiles
NEWCOMER = "nobody has seen me"

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def shop(new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(new_kafka(), tmp_path_factory.mktemp("shop")) as shop:
        bought = events(11, CUSTOMERS, 1_500, days=40)
        shop.publish(bought[:FIRST])
        shop.settle()  # the purchases of the other customers then find popular items
        shop.publish(bought[FIRST:])
        shop.settle()
        yield shop


def test_everybody_is_recommended_to(shop: Shop) -> None:
    histories, published = shop.histories(), shop.recommendations()
    expected = dict(histories)
    for customer, history in histories.items():
        for profile in {bought.profile for bought in history} - {None}:
            expected[f"{customer}\t{profile}"] = [b for b in history if b.profile == profile]
    assert published.keys() == expected.keys()
    assert sum("\t" in key for key in published) > 20
    for key, history in expected.items():
        customer, _, profile = key.partition("\t")
        message = published[key]
        assert (message["customer_id"], message.get("profile_id", "")) == (customer, profile)
        assert message["kind"] == "bought"
        assert "variant" not in message
        check(message, history)
    # the first customers, from before anything was counted, got recommendations once there were some
    until(lambda: all(m["items"] for m in shop.recommendations().values()), "something for everybody")
    assert {e["source"] for m in published.values() for e in m["items"]} >= {"related", "buy-again"}


def test_all_that_is_published_obeys_the_contract(shop: Shop) -> None:
    topics = [topic for topic in topics_of_kinds([BOUGHT]) if topic.name in contract()["x-topics"]]
    published = Counter[str]()
    for topic in topics:
        for row in read_all(shop.wires.bootstrap, topic):
            if row.value is not None and not (row.key or b"").startswith(b"\t"):
                assert faults(topic.name, row.value) == []
                published[topic.name] += 1
    nothing_wrong, nothing_trained = "dead-letters", "models"
    assert published.keys() == {topic.name for topic in topics} - {nothing_wrong, nothing_trained}


def test_bestsellers_are_the_oracles(shop: Shop) -> None:
    sold = Counter({item: n for item, n in shop.oracle.recent().items() if item not in GONE})

    def ranked(names: Iterable[str]) -> list[tuple[str, int]]:
        return sorted(((name, sold[name]) for name in names), key=lambda pair: (-pair[1], pair[0]))

    expected = {"all": ranked(sold)}
    for category in {published.category for published in CATALOGUE.values()}:
        expected[f"category:{category}"] = ranked(n for n in sold if CATALOGUE[n].category == category)

    def current() -> dict[str, list[tuple[str, int]]]:
        newest = shop.wires.newest(BESTSELLERS)
        return {
            key: [(e["item_id"], e["purchases"]) for e in published["items"]]
            for key, published in newest.items()
            if not key.startswith("trending")
        }

    until(lambda: current() == expected, "the bestsellers")
    rising = shop.wires.newest(BESTSELLERS)["trending"]
    assert rising["trending"] is True
    rises = [entry["rise"] for entry in rising["items"]]
    assert rises == sorted(rises, reverse=True)
    assert rises[-1] > 0
    assert GONE.isdisjoint(items_of(rising))


def test_shelves(shop: Shop) -> None:
    histories = shop.histories()
    owned = {customer: {b.item for b in histories[customer]} for customer in (ACCOUNT, SINGLE)}
    for shelf in ("new", "again", "all"):
        for answer in shop.ask(ACCOUNT, SINGLE, shelf=shelf, k=10):
            check(answer, histories[answer["customer_id"]])
            assert len(answer["items"]) == 10
            which = {item in owned[answer["customer_id"]] for item in items_of(answer)}
            assert which == {"new": {False}, "again": {True}, "all": which}[shelf]
    (several,) = shop.ask(ACCOUNT)
    assert len(several["items"]) == 6
    (of_profile,) = shop.ask(ACCOUNT, profile="p1", shelf="again", k=100)
    assert of_profile["profile_id"] == "p1"
    bought = {b.item for b in histories[ACCOUNT] if b.profile == "p1"} - GONE
    assert set(items_of(of_profile)) == bought < owned[ACCOUNT]


@pytest.mark.parametrize(
    ("filter_", "fits"),
    [
        ({"categories": ["group 1", "group 2"]}, lambda n: n % 4 in (1, 2)),
        ({"categories": ["nothing"]}, lambda n: False),
        ({"lowest_price": 10, "highest_price": 30}, lambda n: 10 <= n <= 30),
        ({"brands": ["nobody"]}, lambda n: False),
        ({"only": ["i3", "i5", "i7", "unheard of"]}, lambda n: n in (3, 5, 7)),
        ({"without": [f"i{n}" for n in range(0, ITEM_COUNT, 2)]}, lambda n: n % 2 == 1),
        ({"categories": ["group 1"], "lowest_price": 40, "without": ["i41"]},
         lambda n: n % 4 == 1 and n > 41),
    ],
    ids=lambda value: json.dumps(value)[:30] if isinstance(value, dict) else "",
)  # fmt: skip
def test_filters(shop: Shop, filter_: dict[str, Any], fits: Any) -> None:
    for answer in shop.ask(SINGLE, NEWCOMER, k=100, filter=filter_):
        found = set(items_of(answer))
        assert all(fits(number(item)) for item in found)
        offered = {item for item in shop.oracle.recent() if fits(number(item)) and item not in GONE}
        assert found >= offered  # there are so few items that all that sold of late are candidates


def test_a_newcomer_gets_bestsellers(shop: Shop) -> None:
    (answer,) = shop.ask(NEWCOMER)
    assert answer["kind"] == "bought"
    assert {entry["source"] for entry in answer["items"]} == {"bestseller"}
    assert all(entry["because"] == [] for entry in answer["items"])
    sold = shop.oracle.recent()
    assert set(items_of(answer)) <= sold.keys() - GONE
    assert len(answer["items"]) == 6
    (watched,) = shop.ask(NEWCOMER, kind="watched")
    assert (watched["kind"], watched["items"]) == ("watched", [])


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("{", "truncated"),
        ('{"customers": "c1"}', "$.customers"),
        ("{}", "customers"),
        ('{"customers": ["c1"], "k": 0}', "$.k"),
        ('{"customers": ["c1"], "k": 101}', "$.k"),
        ('{"customers": ["c1"], "shelf": "top"}', "$.shelf"),
        ('{"customers": ["c1"], "shelves": "all"}', "shelves"),
        ('{"customers": ["c1"], "filter": {"price": 3}}', "$.filter"),
        (json.dumps({"customers": ["c1"] * 1_001}), "$.customers"),
    ],
)
def test_a_bad_question_is_refused_with_a_reason(shop: Shop, question: str, reason: str) -> None:
    status, published = shop.post(question.encode())
    assert status == 400
    assert published.startswith("the body must be a question for recommendations as JSON: ")
    assert reason in published


def test_an_unknown_kind_is_refused_with_those_there_are(shop: Shop) -> None:
    status, published = shop.post(b'{"customers": ["c1"], "kind": "liked"}')
    assert (status, published) == (400, "kind must be one of bought, watched, but is 'liked'")


def test_an_erased_customer_is_no_longer_recommended_to(shop: Shop) -> None:
    keys = {ACCOUNT, f"{ACCOUNT}\tp0", f"{ACCOUNT}\tp1", SINGLE}
    before = shop.recommendations()
    assert keys <= before.keys()
    at = START_MS + 40 * DAY_MS
    shop.publish([EventMessage(customer_id=name, timestamp=at, type="forget") for name in (ACCOUNT, SINGLE)])
    shop.settle()
    newest = {record.key: record.value for record in shop.wires.read(RECOMMENDATIONS.name)}
    assert [newest[key.encode()] for key in sorted(keys)] == [None] * 4
    assert shop.recommendations().keys() == before.keys() - keys
    (answer,) = shop.ask(ACCOUNT)
    assert {entry["source"] for entry in answer["items"]} == {"bestseller"}


def test_after_a_sudden_death_it_goes_on(shop: Shop) -> None:
    """Weights are there again, and waiting customers are recommended to; an experiment runs from now on."""

    def trained() -> list[str]:
        return [key for key, state in shop.rankers().items() if state["rankers"]["all"]["cases"] > 0]

    until(lambda: len(trained()) == 4, "training steps of every partition")
    in_flight = events(12, CUSTOMERS, 600, start_ms=START_MS + 41 * DAY_MS, days=5)
    ends = shop.wires.ends(RECOMMENDATIONS.name)
    shop.publish(in_flight)
    until(lambda: shop.wires.ends(RECOMMENDATIONS.name) != ends, "the first recommendations")
    shop.recommender.stop(signal.SIGKILL)
    learnt, quality = shop.rankers(), shop.cases()
    published_until = shop.wires.ends(RANKER.name)

    shop.restart(variants=VARIANTS)
    shop.settle()
    after = shop.recommendations()
    since = {r.key.decode() for r in shop.wires.read(RECOMMENDATIONS.name) if r.offset >= ends[r.partition]}
    histories = shop.histories()
    flown = {event.customer_id for event in in_flight}
    assert flown <= since
    for customer in flown:
        assert after[customer]["items"]
        check(after[customer], histories[customer])
    assert after.keys() >= histories.keys()

    # nothing was learnt since, because a replay makes no training step
    until(lambda: len(shop.rankers(published_until)) == 4, "weights of every partition")
    for key, published in shop.rankers(published_until).items():
        for name, ranker in published["rankers"].items():
            assert ranker["cases"] >= learnt[key]["rankers"][name]["cases"]
            for feature, (weight, *_) in ranker["features"].items():
                known = [state["rankers"][name]["features"][feature][0] for state in learnt.values()]
                assert min(known) - 1e-9 <= weight <= max(known) + 1e-9
    starts = dict(zip(FEATURES, new_rankers()["all"].weights.tolist(), strict=True))
    weights = {f: values[0] for f, values in published["rankers"]["all"]["features"].items()}
    assert sum(abs(weights[name] - start) > 0.01 for name, start in starts.items()) > 3

    # customers who come back are cases again, also of the variants
    shop.publish(later := events(13, CUSTOMERS, 600, start_ms=START_MS + 47 * DAY_MS, days=2))
    shop.settle()
    variants, found, histories = parse(VARIANTS), shop.recommendations(), shop.histories()
    shown: Counter[str] = Counter()
    for customer in {event.customer_id for event in later}:
        variant = variant_of(variants, customer)
        assert variant is not None
        message = found[customer]
        assert message["variant"] == variant.name
        check(message, histories[customer])
        if variant.algorithm == "bestsellers":
            assert all(entry["source"] != "buy-again" for entry in message["items"])
        shown[variant.name] += 1
    assert shown.keys() == {"control", "ours"}

    def of_variants() -> set[str]:
        published = shop.wires.newest(QUALITY).values()
        return {q["variant"] for q in published if q["algorithm"] == "shown" and q["cases"] > 0}

    until(lambda: of_variants() == {"control", "ours"}, "cases of both variants")
    now = shop.cases()
    for key, (cases, hits) in quality.items():
        assert now[key][0] >= cases
        assert now[key][1] >= hits
    assert sum(cases for cases, _ in now.values()) > sum(cases for cases, _ in quality.values()) > 0
