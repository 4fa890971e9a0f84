"""Tests of the read model without Kafka: from records to the state that they give."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from serving import answers, statistics
from serving.errors import ApiError
from serving.kept_answers import KeptAnswers
from serving.kind_model import KindModel
from serving.metrics import ModelCollector
from serving.read_model import ReadModel
from serving.searching import Search
from streams.http_metrics import HttpMetrics
from streams.kinds import BOUGHT, LISTED, WATCHED
from streams.messages.schema import CatalogueItem, encode
from streams.recommending.messages import Recommended
from tests.serving import shop
from tests.serving.shop import Message


def take(model: ReadModel, *messages: Message) -> None:
    for topic, key, value in messages:
        model.take(topic, key.encode(), value, 0)


def search(model: ReadModel, of: KindModel, q: str, k: int) -> Any:
    """Return the answer of /api/search."""
    return answers.found(model, of, q, asyncio.run(Search(model).find(of, q, k + 1)), k)


def model_of(*extra: Message) -> ReadModel:
    model = ReadModel(LISTED)
    for m in (*shop.messages("http://recommender"), *extra):
        model.take(m.topic, m.key.encode(), m.value, shop.NOW_MS)
    model.ready = True
    return model


def test_the_newest_message_of_a_key_holds() -> None:
    model = model_of(shop.a_list(BOUGHT, "tea", 42, "bread"))
    bought = model.kinds["bought"]
    found = answers.related(model, bought, "tea", 10)
    assert (found["buyers"], [e["item_id"] for e in found["related"]]) == (42, ["bread"])
    assert answers.related(model, model.kinds["watched"], "tea", 10)["buyers"] == 7
    assert answers.related(model, model.kinds["watched-bought"], "tea", 10)["buyers"] == 12


def test_tombstones_take_back() -> None:
    gone = [
        Message(BOUGHT.lists.name, "tea", None), Message(BOUGHT.bestsellers.name, "all", None),
        Message(BOUGHT.recommendations.name, "ann\tkids", None), Message("items", "jam", None),
        Message("progress", "purchases-0", None), Message("ranker", "bought/1", None),
        Message("quality", "bought/0/2025-06-14/ours/", None), Message(WATCHED.lists.name, "no such", None),
    ]  # fmt: skip
    before, model = model_of(), model_of(*gone)
    bought = model.kinds["bought"]
    assert bought.related("tea") is None
    assert answers.related(model, bought, "tea", 10)["related"] == []
    assert answers.sellers(model, bought, None, 10, trending=False)["items"] == []
    assert bought.profiles("ann") == []
    assert before.kinds["bought"].profiles("ann") == ["kids"]
    assert [e["title"] for e in search(model, bought, "jam", 9)["items"]] == ["Odd Ünit jam"]
    assert "purchases-0" not in model.tasks
    assert statistics.learner(bought)["rankers"]["new"]["cases"] == 100.0
    assert statistics.quality(bought)["days"][2] == {
        "day": "2025-06-14", "algorithm": "ours", "cases": 40, "hits": 10, "rate": 0.25,
    }  # fmt: skip
    with pytest.raises(ApiError, match="no item 'jam'"):
        answers.related(model, bought, "jam", 10)
    assert model.refused == 0


def test_unreadable_messages_change_nothing() -> None:
    odd = [
        Message(BOUGHT.lists.name, "tea", b"{"), Message(BOUGHT.recommendations.name, "ann", b"[]"),
        Message("items", "tea", b'{"title":3}'), Message("quality", "x", b"{}"),
    ]  # fmt: skip
    model = model_of(*odd)
    model.take("items", None, b"{}", 0)
    model.take("items", b"\xff", None, 0)
    assert model.refused == len(odd) + 2
    bought = model.kinds["bought"]
    assert answers.related(model, bought, "tea", 10)["buyers"] == 41
    assert answers.published(model, bought, "ann", None, 10)["profiles"] == ["kids"]


def test_a_profile_is_not_another_customer() -> None:
    bought = model_of().kinds["bought"]
    assert bought.recommendations("ann", "kids") is not None
    assert bought.recommendations("ann/kids") is None  # it has the same key


def test_other_kinds_are_left_out() -> None:
    model = ReadModel([BOUGHT])
    answer = shop.tallied(0, "2025-06-14", "ours", 9, 3)
    assert answer.value is not None
    model.take(answer.topic, b"liked/0", answer.value.replace(b"bought", b"liked"), 0)
    assert statistics.quality(model.kinds["bought"])["totals"] == []
    assert model.refused == 0


def test_search_wants_every_word_and_puts_the_most_bought_first() -> None:
    model = model_of()
    bought = model.kinds["bought"]

    def found(q: str, k: int = 10) -> list[str]:
        return [item["item_id"] for item in search(model, bought, q, k)["items"]]

    assert found("JAM") == ["a/b c", "jam"]  # these have 3 buyers and none
    assert found("ünit JAM") == ["a/b c"]
    assert found("mil") == ["milk"]
    assert found("unl") == ["unlisted"]  # the item is counted, but not in the catalogue
    assert found("") == ["milk", "tea", "a/b c", "unlisted", "bread", "gone", "jam"]
    assert found("nothing at all") == []
    assert search(model, bought, "", 2)["more"] is True
    assert found("l", 1) == ["milk"]


def test_an_exact_id_is_first() -> None:
    model = model_of(shop.a_list(BOUGHT, "milk-free", 500, "tea"))
    answer = search(model, model.kinds["bought"], "milk", 10)["items"]
    assert [item["item_id"] for item in answer] == ["milk", "milk-free"]


def test_sums_over_partitions() -> None:
    bought = model_of().kinds["bought"]
    totals = {t["algorithm"]: t for t in statistics.quality(bought)["totals"]}
    assert set(totals) == {"ours", "bestsellers", "all"}
    ours = totals["ours"]
    assert (ours["cases"], ours["hits"], ours["rate"]) == (200, 50, 0.25)
    assert 0.19 < ours["low"] < 0.25 < ours["high"] < 0.32
    learnt = statistics.learner(bought)
    new = learnt["rankers"]["new"]
    assert new["cases"] == 400.0
    assert new["weights"] == {"day14": pytest.approx(1.75), "lift": pytest.approx(-0.5)}  # 100 of 1, 300 of 2
    assert learnt["curve"] == [
        {"day": "2025-06-14", "cases": 80, "ours": 0.25, "bestsellers": 0.1},
        {"day": "2025-06-15", "cases": 120, "ours": 0.25, "bestsellers": 0.1},
    ]


def test_experiments_are_held_against_the_control() -> None:
    answer = statistics.experiments(model_of().kinds["bought"])
    assert answer["control"] == "control"
    control, ours = answer["variants"]
    assert (control["variant"], control["rate"], "p" in control) == ("control", 0.1, False)
    assert ours["difference"] == pytest.approx(0.4)
    assert ours["significant"]
    assert ours["line"].startswith("ours against control: +40.0 points, significant")


def test_too_few_cases_are_not_significant() -> None:
    model = ReadModel(LISTED)
    for m in (shop.tallied(0, "d", "shown", 5, 2, "a"), shop.tallied(0, "d", "shown", 5, 3, "b")):
        model.take(m.topic, m.key.encode(), m.value, 0)
    answer = statistics.experiments(model.kinds["bought"])
    assert answer["control"] == "a"
    assert "not significant" in answer["variants"][1]["line"]
    assert statistics.experiments(model.kinds["watched"])["variants"] == []


def test_nothing_is_published_yet() -> None:
    model = ReadModel(LISTED)
    bought = model.kinds["bought"]
    assert statistics.quality(bought) == {"kind": "bought", "days": [], "totals": []}
    assert statistics.learner(bought) == {"kind": "bought", "rankers": {}, "curve": []}
    assert search(model, bought, "", 5)["items"] == []
    assert answers.status(model)["tasks"] == []
    assert b"alsobought_ready 0.0" in HttpMetrics("server", ModelCollector(model)).exposition()


@pytest.mark.parametrize("value", [None, {"available": False}])
def test_hidden_items_are_offered_nowhere_at_once(value: dict[str, Any] | None) -> None:
    """This happens before the lists and recommendations that hold it are published anew."""
    message = None if value is None else encode(CatalogueItem(item_id="jam", **value))
    before, model = model_of(), model_of(Message("items", "jam", message))

    def shown(of_model: ReadModel) -> list[list[str]]:
        bought = of_model.kinds["bought"]
        offers = [
            answers.related(of_model, bought, "tea", 10)["related"],
            answers.sellers(of_model, bought, None, 2, trending=False)["items"],
            answers.published(of_model, bought, "ann", None, 2)["items"],
        ]
        return [[entry["item_id"] for entry in some] for some in offers]

    assert shown(before) == [["milk", "jam", "unlisted"], ["milk", "tea"], ["jam", "tea"]]
    assert shown(model) == [["milk", "unlisted"], ["milk", "tea"], ["tea", "bread"]]
    back = model_of(Message("items", "jam", message), Message("items", "jam", b'{"item_id":"jam"}'))
    assert shown(back) == shown(before)


def test_kept_answers_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    bought = model.kinds["bought"]
    kept = KeptAnswers(model)
    made: list[str] = []
    related = answers.related

    def counted(*asked: Any) -> Any:
        made.append(asked[2])
        return related(*asked)

    monkeypatch.setattr(answers, "related", counted)

    def body(item_id: str, k: int = 10) -> Any:
        answer = msgspec.json.decode(kept.related(bought, item_id, k))
        assert answer == related(model, bought, item_id, k)
        return answer

    def entries(item_id: str, k: int = 10) -> list[str]:
        return [entry["item_id"] for entry in body(item_id, k)["related"]]

    assert entries("tea") == entries("tea") == ["milk", "jam", "unlisted"]
    assert entries("tea", 1) == ["milk"]
    assert made == ["tea", "tea"]
    take(model, shop.a_list(BOUGHT, "tea", 41, "milk", "jam", "unlisted"))  # the same once more
    take(model, shop.a_list(BOUGHT, "milk", 91, "tea", "jam"))
    assert entries("tea") == ["milk", "jam", "unlisted"]
    assert made == ["tea"] * 2
    gone = CatalogueItem(item_id="milk", title="Milk", available=False)
    take(model, shop.message("items", "milk", gone))
    assert entries("tea") == ["jam", "unlisted"]
    take(model, Message("related-items", "tea", None))
    assert body("tea")["buyers"] == 0
    take(model, Message("items", "tea", None))
    for _ in range(2):
        with pytest.raises(ApiError, match="no item 'tea'"):
            kept.related(bought, "tea", 10)
    assert kept._bytes == sum(len(one.body) for one in kept._kept.values())


def test_kept_answers_take_no_more_memory_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    bought = model.kinds["bought"]
    kept = KeptAnswers(model)
    most = 2 * len(kept.related(bought, "tea", 10))
    monkeypatch.setattr("serving.kept_answers.KEPT_BYTES", most)
    for item_id in ("tea", "milk", "a/b c", "unlisted", "milk") * 3:
        kept.related(bought, item_id, 10)
        assert kept._bytes == sum(len(one.body) for one in kept._kept.values()) <= most
        assert kept._kept


def test_kept_recommendations_are_those_of_now() -> None:
    model = model_of()
    bought = model.kinds["bought"]
    kept = KeptAnswers(model)

    def offers(profile: str | None = None) -> tuple[list[str], list[str]]:
        answer = msgspec.json.decode(kept.published(bought, "ann", profile, 10))
        assert answer == answers.published(model, bought, "ann", profile, 10)
        return [item["item_id"] for item in answer["items"]], answer["profiles"]

    for _ in range(2):
        assert offers() == (["jam", "tea", "bread"], ["kids"])
        assert offers("kids") == (["milk"], ["kids"])
    take(model, shop.offered(BOUGHT, "ann", "old", Recommended("tea", 1.0, [], "related")))
    assert offers() == (["jam", "tea", "bread"], ["kids", "old"])
    take(model, shop.offered(BOUGHT, "ann", None, Recommended("milk", 1.0, [], "related")))
    take(model, Message("recommendations", "ann\tkids", None))
    assert offers() == (["milk"], ["old"])
    with pytest.raises(ApiError, match="nothing is published"):
        kept.published(bought, "ann", "kids", 10)
