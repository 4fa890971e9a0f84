"""Tests of `alsobought evaluate`, from a file to numbers and a page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from alsobought.evaluating import kind_of, read
from alsobought.holding import holding
from alsobought.sources import SourceError
from evaluation import extra
from streams.kinds import BOUGHT, BUILT_IN, WATCHED
from streams.messages.schema import EventMessage, encode
from tests.alsobought.test_cli import run
from tests.events import purchases, watches


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "films.jsonl"
    path.write_bytes(b"\n".join(map(encode, watches(1, 150, 80, 2_500))))
    return path


def test_numbers_and_page(films: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    names = "bestsellers-2w,ours"
    done = run(
        "evaluate", films, "--cutoffs", 2, "--days", 20, "--algorithms", names, "--json", "--report", report
    )
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["data"] == str(films)
    assert (answer["days"], answer["k"], answer["new_only"], len(answer["cutoffs"])) == (20, 6, True, 2)
    assert [one["name"] for one in answer["algorithms"]] == names.split(",")
    text = report.read_text()
    assert text.startswith("<!doctype html>")
    assert str(films) in text


def test_table_of_all_items(films: Path) -> None:
    names = "bestsellers,buy-again,item-raw"
    done = run("evaluate", films, "--cutoffs", 1, "--algorithms", names, "--all-items", "--customers", 30)
    assert done.exit_code == 0, done.output
    for name in names.split(","):
        assert f"\n{name} " in done.stdout
    assert " 30\n" in done.stdout.splitlines(keepends=True)[0]
    assert all(len(line) <= 80 for line in done.stdout.splitlines()[1:])


def test_read_takes_purchases_in_order_of_time(tmp_path: Path) -> None:
    messages = purchases(2, 30, 40, 400, returns=0.2)
    shuffled = np.random.default_rng(0).permutation(len(messages)).tolist()
    path = tmp_path / "sales.jsonl"
    path.write_bytes(b"\n".join(encode(messages[i]) for i in shuffled))
    events = read(str(path), BOUGHT, None)
    held = holding(
        np.array([int(messages[i].customer_id[1:]) for i in shuffled]),
        np.array([int(messages[i].item_id[1:]) for i in shuffled]),
        np.array(
            [-m.quantity if m.type == "return" else m.quantity for m in (messages[i] for i in shuffled)]
        ),
        np.zeros(len(messages), bool),
    )  # `test_holding` says what it is
    kept = [messages[i] for i in sorted(shuffled[n] for n in held.tolist())]
    bought = [m for m in messages if m.type != "return"]
    assert len(messages) > len(bought) > len(events) == len(kept) > 100
    assert events.time_ms.tolist() == [m.timestamp for m in kept]
    # each number stands for one name
    for numbers, names in (
        (events.customer.tolist(), [m.customer_id for m in kept]),
        (events.item.tolist(), [m.item_id for m in kept]),
    ):
        pairs = set(zip(numbers, names, strict=True))
        assert len(pairs) == len(set(numbers)) == len(set(names))


def test_read_leaves_out_erased_customers(tmp_path: Path) -> None:
    sales = tmp_path / "sales.csv"
    times = [10**9 + n for n in range(6)]
    rows = ["ann,tea,{},", "bob,tea,{},", "ann,,{},forget", "ann,cup,{},", "bob,cup,{},", "bob,cup,{},return"]
    rows = [row.format(time) for row, time in zip(rows, times, strict=True)]
    sales.write_text("customer_id,item_id,timestamp,type\n" + "\n".join(rows))
    events = read(str(sales), BOUGHT, None)
    assert (events.n_customers, events.n_items, events.time_ms.tolist()) == (
        2, 2, [1000 * times[1], 1000 * times[3]],
    )  # fmt: skip
    assert len(set(events.customer.tolist())) == len(set(events.item.tolist())) == 2


def test_read_a_catalogue(tmp_path: Path) -> None:
    sales = tmp_path / "sales.csv"
    sales.write_text(
        "customer_id,item_id,timestamp\nann,tea,2026-01-01\nann,cup,2026-01-02\nbob,tea,2026-01-03\n"
    )
    items = tmp_path / "items.csv"
    items.write_text("item_id,category,brand\ntea,drinks,Ceylon\nmat,home,\n")
    events = read(str(sales), BOUGHT, str(items))
    assert events.catalogue is not None
    assert (list(events.catalogue.category), list(events.catalogue.brand)) == (["drinks", ""], ["Ceylon", ""])


def test_kind_is_that_of_the_first_rows(films: Path, tmp_path: Path) -> None:
    assert kind_of(str(films), BUILT_IN) == WATCHED
    assert kind_of("complete-journey", BUILT_IN) == BOUGHT
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(encode(EventMessage(customer_id="a", item_id="b", timestamp=1, type="sneezed")))
    assert kind_of(str(bad), BUILT_IN) == BOUGHT
    with pytest.raises(SourceError, match="sneezed"):
        read(str(bad), BOUGHT, None)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--algorithms", "magic"], "there is no algorithm 'magic'"),
        (["--algorithms", "buy-again"], "recommends nothing new"),
        (["--days", "80"], "choose fewer --days"),
        (["--report", "/nowhere/at/all.html"], "there is no directory /nowhere/at"),
        (["--kind", "heard"], "the kind of events must be one of bought, watched, but is 'heard'"),
    ],
)
def test_questions_that_cannot_be_asked(films: Path, words: list[str], reason: str) -> None:
    done = run("evaluate", films, *words)
    assert done.exit_code == 1
    assert reason in done.stderr
    assert done.stdout == ""


def test_without_the_extra(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("numpy", "no_such_package"))
    done = run("evaluate", films)
    assert done.exit_code == 1
    assert "no_such_package: install them with pip install 'alsobought[evaluate]'" in done.stderr


def test_other_commands_do_not_import_the_packages_of_evaluating() -> None:
    program = (
        "import sys, alsobought.cli\n"
        "print(*(m for m in ('scipy.sparse', 'implicit', 'matplotlib', 'jinja2') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
