"""Tests of the API over a real Kafka with hand-made messages."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from serving.server import CannotServe, Server, ServerThread
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import BOUGHT, LISTED
from streams.messages.schema import REPORTED, Progress
from streams.recommending.messages import Recommended
from tests.serving import shop as made
from tests.serving.conftest import Shop, get
from tests.serving.shop import NASTY, NOW_MS, Message, a_list, message, offered
from tests.streams.pipeline import PARTITIONS, until


def test_related(shop: Shop) -> None:
    published = shop.ask("/api/related/tea", k=2)
    assert {name: published[name] for name in ("item_id", "title", "kind", "buyers", "as_of", "price")} == {
        "item_id": "tea", "title": NASTY, "kind": "bought", "buyers": 41, "as_of": NOW_MS, "price": 0.5,
    }  # fmt: skip
    first, second = published["related"]
    assert first == {
        "item_id": "milk", "title": "Milk, 1 l", "category": "drinks", "brand": "Assam & Co", "price": 1.5,
        "available": True, "score": 9.0, "together": 20, "after": 10, "recent": 7.5, "expected": 3.25,
    }  # fmt: skip
    assert second["item_id"] == "jam"
    third = shop.ask("/api/related/tea")["related"][2]
    assert (third["item_id"], third["title"], third["available"]) == ("unlisted", None, None)
    assert shop.ask("/api/related/tea", kind="watched")["related"][0]["item_id"] == "bread"
    then_bought = shop.ask("/api/related/tea", kind="watched-bought")
    assert (then_bought["buyers"], then_bought["related"][0]["item_id"]) == (12, "milk")
    assert shop.ask("/api/search", kind="watched-bought", q="tea")["items"][0]["buyers"] == 12
    assert shop.ask("/api/related/a%2Fb%20c")["title"] == "Odd Ünit jam"
    assert shop.ask("/api/related/bread")["related"] == []  # this item is in the catalogue and has no list


ODD_IDS = (
    "..", ".", "...", "a/../b", "/", "//", "?", "a?k=2", "#", "%", "%2F", "%25", "a b", "+", "&=;", "{x}",
    "'", '"', "<b>", "\\", "~", "*", "😀", "é", "日本", "a,b", "null", "0",
)  # fmt: skip


def test_ids_of_any_printable_characters(shop: Shop) -> None:
    shop.publish(a_list(BOUGHT, odd, n + 2, "tea") for n, odd in enumerate(ODD_IDS))
    shop.publish(offered(BOUGHT, odd, None, Recommended(odd, 1.0, [], "bestseller")) for odd in ODD_IDS)
    until(lambda: shop.ask_any("/api/recommendations", id=ODD_IDS[-1])[0] == 200, "the last of them")
    for n, odd in enumerate(ODD_IDS):
        in_path = urllib.parse.quote(odd, safe="")
        for published in (shop.ask(f"/api/related/{in_path}"), shop.ask("/api/related", id=odd)):
            assert (published["item_id"], published["buyers"]) == (odd, n + 2)
        for published in (
            shop.ask(f"/api/recommendations/{in_path}"),
            shop.ask("/api/recommendations", id=odd),
        ):
            assert (published["customer_id"], published["items"][0]["item_id"]) == (odd, odd)
        for path in ("recommend", "buy-again"):
            assert shop.ask(f"/api/{path}/{in_path}")["customer_id"] == odd
            assert shop.ask(f"/api/{path}", id=odd)["customer_id"] == odd
            assert shop.recommender.asked[-1]["customers"] == [odd]
    shop.publish(message(BOUGHT.lists.name, odd, None) for odd in ODD_IDS)
    shop.publish(message(BOUGHT.recommendations.name, odd, None) for odd in ODD_IDS)
    until(lambda: shop.ask_any("/api/recommendations", id=ODD_IDS[-1])[0] == 404, "its end")


def test_bestsellers(shop: Shop) -> None:
    published = shop.ask("/api/bestsellers", k=2)
    assert [(i["item_id"], i["purchases"], i["rise"]) for i in published["items"]] == [
        ("milk", 50, None), ("tea", 49, None),
    ]  # fmt: skip
    drinks = shop.ask("/api/bestsellers", category="drinks")
    assert [i["title"] for i in drinks["items"]] == ["Milk, 1 l", NASTY]
    assert shop.ask("/api/bestsellers", category="food")["items"] == []
    rising = shop.ask("/api/bestsellers", category="food", trending=1)
    assert rising["items"][0]["rise"] == 4.5
    assert shop.ask("/api/bestsellers", kind="watched")["items"] == []
    assert shop.ask("/api/categories")["categories"] == ["drinks", "food"]


def test_published_recommendations(shop: Shop) -> None:
    published = shop.ask("/api/recommendations/ann", k=1)
    assert (published["variant"], published["profile_id"], published["profiles"]) == ("test", None, ["kids"])
    (jam,) = published["items"]
    assert (jam["title"], jam["source"]) == ("Strawberry jam", "related")
    assert jam["because"] == [
        {"item_id": "tea", "title": NASTY}, {"item_id": "milk", "title": "Milk, 1 l"},
    ]  # fmt: skip
    kids = shop.ask("/api/recommendations/ann", profile="kids")
    assert [i["item_id"] for i in kids["items"]] == ["milk"]
    status, published = shop.ask_any("/api/recommendations/ann", profile="pets")
    assert (status, published["where"]) == (404, "recommendations")
    assert published["what_to_do"] == "take one of the profiles kids"


def test_computed_now_asks_the_owner(shop: Shop) -> None:
    shop.recommender.asked.clear()
    published = shop.ask("/api/buy-again/ann", k=3)
    assert (published["shelf"], published["items"][0]["source"]) == ("again", "buy-again")
    assert published["items"][0]["because"] == [{"item_id": "milk", "title": "Milk, 1 l"}]
    shop.ask(
        "/api/recommend/bob", kind="bought", shelf="new", profile="kids", category=["drinks", "food"],
        brand="Assam & Co", lowest_price="1", highest_price="9.5", without=["jam", "tea"],
    )  # fmt: skip
    no_filter: dict[str, Any] = {
        "categories": [], "brands": [], "lowest_price": None, "highest_price": None, "only": [],
        "without": [],
    }  # fmt: skip
    assert shop.recommender.asked == [
        {
            "kind": None, "customers": ["ann"], "k": 3, "shelf": "again", "profile": None,
            "filter": no_filter,
        },
        {
            "kind": "bought", "customers": ["bob"], "k": 6, "shelf": "new", "profile": "kids",
            "filter": {
                "categories": ["drinks", "food"], "brands": ["Assam & Co"], "lowest_price": 1.0,
                "highest_price": 9.5, "only": [], "without": ["jam", "tea"],
            },
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("customer", "status", "what"),
    [
        ("nobody", 404, "there is nothing to recommend to 'nobody'"),
        ("starting", 503, "the lists are still being read"),
        ("refused", 400, "k is too large"),
        ("odd", 503, "its answer is not understood"),
    ],
)
def test_an_owner_that_does_not_answer(shop: Shop, customer: str, status: int, what: str) -> None:
    found, published = shop.ask_any(f"/api/recommend/{customer}")
    assert found == status
    assert published["what"].startswith(what)
    assert published["where"].startswith("the recommender")


def test_a_history_is_its_workers(shop: Shop) -> None:
    answer = shop.ask("/api/history/ann", k=2)
    assert (answer["kind"], answer["distinct"]) == ("bought", 3)
    assert [(item["item_id"], item["title"], item["days"]) for item in answer["items"]] == [
        ("unlisted", None, 3), ("tea", NASTY, 2),
    ]  # fmt: skip
    assert {"path": "/customers/ann?kind=bought"} in shop.recommender.asked
    status, refused = shop.ask_any("/api/history/a%2Fb%20c")
    assert (status, refused["what"]) == (404, "nobody is known as 'a/b c'")
    assert {"path": "/customers/a%2Fb%20c?kind=bought"} in shop.recommender.asked
    status, refused = shop.ask_any("/api/history/ann", kind="watched")  # its worker is away
    assert (status, refused["where"]) == (503, "the worker at http://worker")


def test_raw_counts_are_their_workers(shop: Shop) -> None:
    answer = shop.ask("/api/counts/tea")
    assert (answer["item_id"], answer["buyers"]) == ("tea", 41)
    assert [(item["title"], item["together"]) for item in answer["items"]] == [
        ("Wholemeal bread", 33), ("Milk, 1 l", 20),
    ]  # fmt: skip
    assert len(shop.ask("/api/counts/tea", k=1)["items"]) == 1
    status, refused = shop.ask_any("/api/counts/nothing")
    assert (status, refused["what"]) == (404, "nothing is counted of an item 'nothing'")


def test_quality_experiments_and_learner(shop: Shop) -> None:
    assert [t["algorithm"] for t in shop.ask("/api/quality")["totals"]] == ["all", "bestsellers", "ours"]
    assert shop.ask("/api/experiments")["variants"][1]["significant"] is True
    assert shop.ask("/api/learner")["rankers"]["new"]["cases"] == 400.0
    assert shop.ask("/api/quality", kind="watched")["totals"] == []


def test_status(shop: Shop) -> None:
    published = until(lambda: (t := shop.ask("/api/status"))["tasks"][0]["end"] is not None and t, "the ends")
    tasks = {t["task"]: t for t in published["tasks"]}
    assert len(tasks) == 14 + 4  # those of workers, and those of recommenders
    assert tasks["items-0"]["end"] + tasks["items-1"]["end"] == 6
    assert (tasks["watches-0"]["lag"], tasks["watches-0"]["unlisted"]) == (0, None)
    assert tasks["watches-0"]["latency_p99_ms"] is None
    served = tasks["recommender/watches-0"]
    assert (served["lag"], served["unserved"], tasks["watches-0"]["unserved"]) == (0, 0, None)
    purchases = tasks["recommender/purchases-0"]
    assert (purchases["end"], purchases["lag"]) == (tasks["purchases-0"]["end"], 0)
    assert published["missing"] == []
    assert published["items"] == 6
    assert published["kinds"][2] == {
        "kind": "watched-bought", "events": "first-events",
        "word": None, "lists": 1, "recommendations": 0,
    }  # fmt: skip
    assert published["kinds"][0] == {
        "kind": "bought", "events": "purchases",
        "word": "purchase", "lists": 4, "recommendations": 2,
    }  # fmt: skip


def test_later_records_are_seen(shop: Shop) -> None:
    shop.publish([made.a_list(BOUGHT, "new", 5, "milk")])
    until(lambda: shop.ask_any("/api/related/new")[0] == 200, "the new list")
    shop.publish([Message(BOUGHT.lists.name, "new", None)])
    until(lambda: shop.ask_any("/api/related/new")[0] == 404, "the tombstone")


def test_an_owner_that_is_away(shop: Shop) -> None:
    def report(worker: str) -> list[Message]:
        tasks = [f"{REPORTED}watches-{p}" for p in range(made.PARTITIONS)]
        published = Progress(task="", worker=worker, applied=7, stored=5, recommended=6)
        return [message("progress", name, replace(published, task=name)) for name in tasks]

    shop.publish(report("http://127.0.0.1:9"))
    question = {"kind": "watched"}
    try:
        until(lambda: shop.ask_any("/api/recommend/ann", **question)[0] == 503, "the other address")
        _, published = shop.ask_any("/api/recommend/ann", **question)
        assert published["where"] == "the recommender at http://127.0.0.1:9"
        assert "alsobought recommender" in published["what_to_do"]
    finally:
        shop.publish(report(shop.recommender.address))
    until(lambda: shop.ask_any("/api/recommend/ann", **question)[0] == 200, "the address again")


def test_the_page_loads_only_from_here(shop: Shop) -> None:
    status, body, headers = get(f"{shop.address}/")
    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert b"://" not in body
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    for name in ("app.js", "style.css", "icon.svg"):
        assert get(f"{shop.address}/{name}")[0] == 200
    assert get(f"{shop.address}/../api.py")[0] == 404


def test_an_empty_system(new_kafka: Callable[[], EmbeddedKafka], shop: Shop) -> None:
    bootstrap = new_kafka().bootstrap
    thread = ServerThread(Server(bootstrap, LISTED, "127.0.0.1", 0))
    empty = Shop(bootstrap, thread.start(), shop.recommender, shop.producer)
    try:
        until(lambda: empty.ask("/api/status")["ready"], "the read model")
        assert empty.ask("/api/search")["items"] == []
        status, published = empty.ask_any("/api/recommend/ann")
        assert status == 503
        assert published["what"].startswith("no recommender has reported to hold purchases-")
        until(lambda: len(empty.ask("/api/status")["missing"]) == (7 + 2) * PARTITIONS, "the ends")
    finally:
        thread.stop()


def test_a_port_that_is_taken(shop: Shop) -> None:
    port = int(shop.address.rpartition(":")[2])
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", port))
    with pytest.raises(CannotServe, match=f"cannot listen on 127.0.0.1:{port}: .*another port"):
        thread.start()


def test_questions_wait_for_the_read_model(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None:
        pass

    monkeypatch.setattr("serving.follower.ModelFollower._look_whether_ready", never)
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0))
    loading = Shop(shop.bootstrap, thread.start(), shop.recommender, shop.producer)
    try:
        for path in ("/api/related/tea", "/api/search", "/api/quality", "/api/recommend/ann"):
            status, published = loading.ask_any(path)
            assert (status, published["where"]) == (503, "this server")
        assert loading.ask("/api/status")["ready"] is False
        assert b"alsobought_ready 0.0" in get(f"{loading.address}/metrics")[1]
    finally:
        thread.stop()
