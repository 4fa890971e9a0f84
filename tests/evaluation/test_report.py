"""Tests of a whole evaluation: every algorithm in its process, the numbers, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from alsobought.bars import progress_bar as bar
from evaluation import prequential
from evaluation.errors import EvaluationError
from evaluation.metrics import found
from evaluation.protocol import DAY_MS, ItemProperties, asked_at
from evaluation.report import page
from evaluation.running import Evaluation, Question, evaluate
from tests.evaluation.world import columns, rows
from tests.events import watches

NAMES = ["bestsellers", "bestsellers-2w", "item-raw", "ours"]
QUESTION = Question(cutoffs=2, days=14, k=5)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    events = columns(watches(1, 200, 80, 3_000), ItemProperties(["a", "b"] * 40, ["x"] * 80))
    return evaluate("<b>films</b>", events, NAMES, QUESTION, bar, prequential=True, jobs=3)


def test_all_are_reported_with_the_contracts_names(evaluation: Evaluation) -> None:
    answer: dict[str, Any] = json.loads(json.dumps(evaluation.to_dict()))
    assert answer["data"] == "<b>films</b>"
    assert [set(one) for one in answer["cutoffs"]] == [{"at", "customers"}] * 2
    assert [one["name"] for one in answer["algorithms"]] == NAMES
    for one in answer["algorithms"]:
        assert {"hit", "se", "precision", "coverage", "train_s", "recommend_us", "peak_mib"} <= one.keys()
        assert 0 < one["hit"] < 1
        assert one["hit"] == pytest.approx(np.mean(one["hit_by_cutoff"]))
        assert 0 < one["se"] < 0.1
        assert 20 < one["peak_mib"] < 2_000
        assert one["recommend_us"] > 0
        assert (one["vs_bestsellers"] is None) == (one["name"] == "bestsellers-2w")
        assert (one["vs_ours"] is None) == (one["name"] == "ours")


def test_hits_are_those_counted_from_the_events(evaluation: Evaluation) -> None:
    """The test computes the bestsellers once more by itself."""
    events = columns(watches(1, 200, 80, 3_000))
    verdict = next(v for v in evaluation.verdicts if v.name == "bestsellers-2w")
    for n, cutoff in enumerate(evaluation.cutoffs):
        asked = asked_at(events, cutoff, 14, new_only=True, most=10_000)
        recent = events.between(cutoff - 14 * DAY_MS, cutoff).item
        counts = np.bincount(recent, minlength=events.n_items)
        order = [i for i in np.argsort(-counts, kind="stable").tolist() if counts[i]]
        shown = np.full((len(asked.customers), 5), -1, np.int32)
        before = events.before(cutoff)
        for row, customer in zip(shown, asked.customers.tolist(), strict=True):
            has = set(before.item[before.customer == customer].tolist())
            new = [i for i in order if i not in has][:5]
            row[: len(new)] = new
        assert verdict.measured.hit_by_cutoff[n] == pytest.approx((found(shown, asked) > 0).mean())


def test_prequential_tests_each_visit_once(evaluation: Evaluation) -> None:
    assert evaluation.prequential is not None
    cases = dict.fromkeys(("ours", "raw", "flawed", "corrected", "bestsellers", "all"), 0)
    for one in evaluation.prequential:
        assert re.fullmatch(r"2023-1[12]|2024-0[12]", one["month"])
        assert one["hit"] == one["hits"] / one["cases"]
        cases[one["algorithm"]] += one["cases"]
    newest: dict[str, int] = {}
    visits = 0
    for event in watches(1, 200, 80, 3_000):
        assert isinstance(event.timestamp, int)
        before = newest.get(event.customer_id)
        visits += before is not None and event.timestamp - before > 30 * 60_000
        newest[event.customer_id] = event.timestamp
    assert visits > 2_000
    assert set(cases.values()) == {visits}  # nobody watches again, so every visit has something new


def test_prequential_learns_nothing_before_the_test() -> None:
    """A stream whose second half is random cannot be distinguished from its first half."""
    rng = np.random.default_rng(0)
    answer = [(c, int(rng.integers(60)), day + c / 100) for day in range(60) for c in range(40)]
    months = prequential.run(rows(*answer), lambda _share: None)
    ours = [one for one in months if one["algorithm"] == "ours"]
    share = sum(one["hits"] for one in ours) / sum(one["cases"] for one in ours)
    # six are drawn from the items that a customer does not have, at least 25 by then
    assert 0.05 < share < 6 / 25


class Page(HTMLParser):
    """A parser that collects opened tags and text, and checks that tags are closed correctly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_whole_and_needs_nothing_else(evaluation: Evaluation) -> None:
    parsed = Page(page(evaluation))
    assert parsed.open == []
    assert parsed.tags.count("svg") == 4
    assert parsed.tags.count("table") == 4
    assert all(source.startswith("#") for source in parsed.sources)
    assert "script" not in parsed.tags
    assert "b" not in parsed.tags  # the name of the data appears as text
    text = " ".join(parsed.text)
    for verdict in evaluation.verdicts:
        assert verdict.name in text
        assert f"{verdict.measured.hit:.4f}" in text


def test_nobody_to_ask() -> None:
    events = rows(*((customer, customer % 7, customer) for customer in range(100)))  # each comes once
    with pytest.raises(EvaluationError, match="no customer has events both before"):
        evaluate("once", events, ["bestsellers"], QUESTION, bar)


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capsys.readouterr().out == ""
