"""Tests of `recommend`, `bestsellers`, `experiments`, `export` and `watch` on a small stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alsobought.advising import Recommenders
from alsobought.cli import app
from streams.broker.embedded import EmbeddedKafka
from streams.messages.schema import EventMessage
from streams.topics import BESTSELLERS, QUALITY, RECOMMENDATIONS
from tests.events import DAY_MS, START_MS
from tests.streams.pipeline import until
from tests.streams.recommending.shop import CATALOGUE, GONE, Shop, events, number, opened

VARIANTS = "control=bestsellers:50,ours:50"
ACCOUNT = "c0"  # this is a heavy buyer with two profiles

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def shop(new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(new_kafka(), tmp_path_factory.mktemp("shop"), variants=VARIANTS) as shop:
        bought = events(21, 40, 800, days=30)
        shop.publish(bought[:500])
        shop.settle()  # the purchases of the other customers then find popular items
        shop.publish(bought[500:])
        shop.settle()
        until(lambda: shown(shop) == {"control", "ours"}, "cases of both variants")
        until(lambda: "all" in shop.wires.newest(BESTSELLERS), "bestsellers")
        yield shop


def shown(shop: Shop) -> set[str]:
    published = shop.wires.newest(QUALITY).values()
    return {q["variant"] for q in published if q["algorithm"] == "shown"}


def run(shop: Shop, *words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--kafka", shop.wires.bootstrap.servers])


def published(shop: Shop, *words: object) -> str:
    result = run(shop, *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def trouble(shop: Shop, *words: object) -> str:
    result = run(shop, *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


def test_recommend_to_one(shop: Shop) -> None:
    answer = json.loads(published(shop, "recommend", ACCOUNT, "--json"))
    assert answer == shop.ask(ACCOUNT)[0]
    table = published(shop, "recommend", ACCOUNT, "--k", 3)
    assert f"{ACCOUNT} (bought)" in table
    for entry in answer["items"][:1]:
        assert entry["item_id"] in table
        assert f"Title {number(entry['item_id'])}" in table
        assert entry["source"] in table


def test_recommend_one_shelf(shop: Shop) -> None:
    owned = {bought.item for bought in shop.histories()[ACCOUNT]}

    def items(*options: object) -> set[str]:
        answer = json.loads(published(shop, "recommend", ACCOUNT, "--json", "--k", 100, *options))
        return {entry["item_id"] for entry in answer["items"]}

    new, again, both = items("--new-only"), items("--buy-again"), items()
    assert new
    assert new.isdisjoint(owned)
    assert again == owned - GONE
    assert both == new | again
    some = items("--category", "group 1", "--category", "group 2", "--from-price", 9, "--to-price", 50)
    assert some == {i for i in both if number(i) % 4 in (1, 2) and 9 <= number(i) <= 50}
    chosen = sorted(both)[:4]
    options = [word for item in chosen for word in ("--item", item)]
    assert items(*options, "--without", chosen[0]) == set(chosen[1:])
    assert items("--brand", "nobody's") == set()
    assert items("--profile", "p1", "--buy-again") < again


def test_recommend_to_many_in_the_order_of_the_file(shop: Shop, tmp_path: Path) -> None:
    names = ["c7", "nobody", "c3", "ünknown", "c0", "c7", "c12"]
    file = tmp_path / "customers.txt"
    file.write_text("\ufeff" + "\r\n".join(names) + "\r\n\r\n", encoding="utf-8", newline="")
    lines = published(shop, "recommend", "--customers", file, "--json", "--k", 4).splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["customer_id"] for answer in answers] == names
    assert all(len(answer["items"]) == 4 for answer in answers)
    assert answers[0] == answers[5]
    assert {e["source"] for e in answers[1]["items"]} == {"bestseller"}


def test_recommend_does_not_guess(shop: Shop, tmp_path: Path) -> None:
    assert "--new-only and --buy-again exclude" in trouble(
        shop, "recommend", "c1", "--new-only", "--buy-again"
    )
    assert "name one CUSTOMER" in trouble(shop, "recommend")
    assert "name one CUSTOMER" in trouble(shop, "recommend", "c1", "--customers", tmp_path / "file")
    missing = tmp_path / "missing.txt"
    assert f"{missing} cannot be opened: No such file" in trouble(shop, "recommend", "--customers", missing)
    assert "must be one of bought, watched, but is 'liked'" in trouble(
        shop, "recommend", "c1", "--kind", "liked"
    )


def test_workers_answer_each_once(shop: Shop) -> None:
    names = [f"c{n}" for n in range(30)]
    answers = Recommenders(shop.wires.bootstrap).recommend({"k": 1}, [*names, *names])
    assert list(answers) == sorted(names, key=list(answers).index)
    assert {name: answer["customer_id"] for name, answer in answers.items()} == {n: n for n in names}


def test_bestsellers(shop: Shop) -> None:
    sold = {item: n for item, n in shop.oracle.recent().items() if item not in GONE}
    ranked = sorted(sold, key=lambda item: (-sold[item], item))

    def listing(*options: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(published(shop, "bestsellers", "--json", *options))
        return found

    def names(*options: object) -> list[str]:
        return [entry["item_id"] for entry in listing("--k", 100, *options)["items"]]

    until(lambda: names() == ranked, "all")
    category = "group 1"
    of_category = [item for item in ranked if CATALOGUE[item].category == category]
    until(lambda: names("--category", category) == of_category, category)
    assert listing("--category", category)["category"] == category
    assert [entry["item_id"] for entry in listing("--k", 3)["items"]] == ranked[:3]
    rising = listing("--trending")
    assert rising["trending"] is True
    assert rising["items"][0]["rise"] > 0

    table = published(shop, "bestsellers", "--k", 2)
    assert all(item in table and f"Title {number(item)}" in table for item in ranked[:2])
    assert f"Title {number(ranked[2])}" not in table
    assert "rise" in published(shop, "bestsellers", "--trending", "--category", rising_category(shop))


def rising_category(shop: Shop) -> str:
    keys = shop.wires.newest(BESTSELLERS)
    return min(key for key in keys if key.startswith("trending:")).partition(":")[2]


def test_a_category_that_nobody_knows(shop: Shop) -> None:
    said = trouble(shop, "bestsellers", "--category", "gruop 1")
    assert "nothing is sold of category 'gruop 1' in two weeks" in said
    assert "categories are group 0, group 1, group 2, group 3" in said
    assert "nothing rises of category 'x'" in trouble(shop, "bestsellers", "--trending", "--category", "x")
    assert "nothing is sold in two weeks" in trouble(shop, "bestsellers", "--kind", "watched")


def test_a_category_that_no_longer_sells_is_not_named(shop: Shop) -> None:
    shop.wires.publish(BESTSELLERS.name, [(b"category:Beta", b"{}"), (b"category:Beta", None)])
    assert "Beta" not in trouble(shop, "bestsellers", "--category", "unheard of")


def test_exports_have_the_contents_of_the_topics(shop: Shop, tmp_path: Path) -> None:
    for what, spec in (("recommendations", RECOMMENDATIONS), ("bestsellers", BESTSELLERS)):
        lines = [json.loads(line) for line in published(shop, "export", what).splitlines()]
        newest = list(shop.wires.newest(spec).values())
        assert sorted(map(json.dumps, lines)) == sorted(map(json.dumps, newest))
        assert len(lines) > 5
        file = tmp_path / what
        assert published(shop, "export", what, "--output", file) == ""
        assert [json.loads(line) for line in file.read_text().splitlines()] == lines


def test_experiments(shop: Shop) -> None:
    totals = json.loads(published(shop, "experiments", "--json"))
    assert totals.keys() == {
        "ours", "raw", "flawed", "corrected", "bestsellers", "all", "shown control", "shown ours",
    }  # fmt: skip
    assert all(0 <= row["hits"] <= row["cases"] for row in totals.values())
    assert totals["ours"]["cases"] == totals["raw"]["cases"] <= totals["all"]["cases"]
    table = published(shop, "experiments")
    assert "95 %" in table
    rows = {words[0]: words[1:] for line in table.splitlines() if (words := line.split())}
    assert rows["ours"][:2] == [str(totals["shown ours"][count]) for count in ("cases", "hits")]
    assert len(rows["control"]) == 4  # the other variants are compared with it
    assert 0 <= float(rows["ours"][4]) <= 1
    assert "nobody has come back" in published(shop, "experiments", "--kind", "watched")


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_watch_recommendations(shop: Shop, as_json: bool) -> None:
    customer = "c0" if as_json else "c3"
    words = ["watch", customer, "--recommendations", "--limit", 1, "--kafka", shop.wires.bootstrap.servers]
    watching = subprocess.Popen(
        [sys.executable, "-P", "-m", "alsobought.cli", *map(str, words), *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    reaper = threading.Timer(60, watching.kill)  # in case it never prints anything
    reaper.start()
    try:
        assert watching.stderr is not None
        assert watching.stderr.readline().startswith("watching;")
        at = START_MS + 31 * DAY_MS
        shop.publish([
            EventMessage(customer_id=name, item_id="i1", timestamp=at, profile_id="p1")
            for name in ("c5", customer)
        ])  # fmt: skip
        out, _ = watching.communicate()
    finally:
        reaper.cancel()
        watching.kill()
        watching.communicate()
    assert watching.returncode == 0
    (line,) = out.splitlines()
    if as_json:
        assert json.loads(line)["customer_id"] == customer
    else:
        assert f" {customer}: i" in line
