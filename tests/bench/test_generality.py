"""Tests of `bench.generality`: sets and halves, choices, the table of ratios, and the learning curve."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench import choices, event_sets, generality, hit_rates, learning_curve, learnt_weights
from bench.choices import Blind
from bench.hit_rates import Row
from bench.learning_curve import Point
from bench.shops import Shop, events
from evaluation.algorithms import make
from evaluation.algorithms.ours import Ours
from evaluation.errors import EvaluationError
from evaluation.protocol import no_progress
from recommending.algorithms import ALGORITHMS
from recommending.features import FEATURES, NEW_FEATURES
from recommending.starting_weights import new_rankers

TINY = Shop(items=60, customers=80, visits=12, basket=2, days=120, groups=4)
ROWS = [
    Row("a", "new", 10, {"bestsellers-2w": 0.2, "item-corrected": 0.1, "ease": 0.25, "as-is": 0.3},
        {"as-is": 0.01}, 1.0),
    Row("b", "new", 10, {"bestsellers-2w": 0.4, "item-corrected": 0.1, "ease": 0.2, "as-is": 0.38},
        {"as-is": 0.01}, 1.0),
]  # fmt: skip


def test_halves_are_all_of_a_set() -> None:
    whole = events(TINY, 1)
    sets = event_sets.halves("shop", lambda: whole)
    parts = {name.removeprefix("shop"): sets[name]() for name in sets}
    assert len(parts["-first-half"]) + len(parts["-second-half"]) == len(whole)
    assert parts["-first-half"].time_ms[-1] < parts["-second-half"].time_ms[0]
    assert len(parts["-customers-a"]) + len(parts["-customers-b"]) == len(whole)
    assert not set(parts["-customers-a"].customer.tolist()) & set(parts["-customers-b"].customer.tolist())
    assert len(np.unique(parts["-customers-a"].customer)) == pytest.approx(40, abs=5)


def test_a_limited_set_has_whole_customers_and_is_as_long() -> None:
    whole = events(TINY, 1)
    some = event_sets.limited(whole, len(whole) // 2)
    assert len(whole) // 4 < len(some) <= len(whole) // 2
    counts, of_whole = (np.bincount(each.customer, minlength=TINY.customers) for each in (some, whole))
    assert np.array_equal(counts[counts > 0], of_whole[counts > 0])
    assert some.time_ms[-1] - some.time_ms[0] > 0.9 * (whole.time_ms[-1] - whole.time_ms[0])
    assert event_sets.limited(whole, None) is whole


def test_a_set_that_is_too_short_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(cutoffs=1, customers=50, jobs=1)
    data = {"short": lambda: event_sets.in_time(events(Shop(60, 80, 3, 2, days=20), 1), 0)}
    assert generality.measure(data, ["new"], ["as-is"], options) == []
    assert "short is left out: the events span " in capsys.readouterr().err


def test_all_sets_have_names_and_watches_only_with_a_file() -> None:
    names = set(event_sets.sets(None, None))
    assert {"purchases", "purchases-first-half", "purchases-customers-b", "steady", "200000-items"} <= names
    assert "watches" not in names
    assert set(event_sets.sets("watches.csv", None)) - names == {
        "watches", "watches-first-half", "watches-second-half", "watches-customers-a", "watches-customers-b",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*choices.CHOICES, "without-lift", "without-due"])
def test_choices_are_made_in_the_processes_of_algorithms_by_name(name: str) -> None:
    assert isinstance(make(f"{hit_rates.MODULE}{choices.known(name)}"), Ours)


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(EvaluationError, match="there is no choice 'without-luck': there are as-is, "):
        choices.known("without-luck")


def test_a_blind_ranker_neither_weighs_nor_learns_a_feature() -> None:
    column = FEATURES.index("lift")
    for usual in new_rankers().values():
        rng = np.random.default_rng(1)
        blind = Blind(usual.names, usual.weights.copy(), usual.least, usual.any_of, column=column)
        begun = blind.weights.copy()
        for _ in range(20):
            x = rng.normal(size=(30, len(usual.names)))
            blind.learn(x, x[:, column] > 1)
        assert blind.weights[column] == begun[column]
        assert (np.delete(blind.weights, column) != np.delete(begun, column)).all()
        other = x.copy()
        other[:, column] = rng.normal(size=30)
        assert np.array_equal(blind.scores(x), blind.scores(other))
        assert not np.array_equal(usual.scores(x), usual.scores(other))


def test_ratios_are_quotients_and_one_standard_error_is_forgiven() -> None:
    columns, lines = hit_rates.table(ROWS, "new", ["as-is"])
    of = [dict(zip(columns, row, strict=True)) for row in lines]
    assert [(row["set"], row["/ best"], row["/ ease"], row["/ bestsellers"], row["holds"]) for row in of] == [
        ("a", "1.200", "1.200", "1.500", "yes"),
        ("b", "0.950", "1.900", "0.950", "no"),
    ]
    assert Row("c", "new", 1, {"ease": 0.385, "as-is": 0.38}, {"as-is": 0.01}, 1.0).holds("as-is")
    figures = hit_rates.summary(ROWS, ["as-is"])
    assert figures["new_as-is_worst_ratio"] == pytest.approx(0.95)
    assert figures["new_as-is_mean_ratio"] == pytest.approx((1.2 + 0.95) / 2)
    assert (figures["new_as-is_sets_held"], figures["new_sets"]) == (1, 2)


def test_a_small_shop_is_measured_and_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # each takes a process, so few are enough
    monkeypatch.setitem(hit_rates.SIMPLE, "new", ("bestsellers-2w",))
    options = argparse.Namespace(cutoffs=1, customers=50, jobs=1)
    data = {"tiny": lambda: events(TINY, 1)}
    (row,) = generality.measure(data, ["new"], ["as-is"], options)
    assert set(row.hits) == {"bestsellers-2w", "as-is"}
    assert 0 < row.hits["as-is"] < 1
    assert row.ratio("as-is") == row.hits["as-is"] / row.hits["bestsellers-2w"]
    assert row.ratio("as-is", "bestsellers-2w") == row.ratio("as-is")
    capsys.readouterr()
    generality.print_results([row], ["as-is"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert f"{row.hits['as-is']:.4f}" in line.split()
    assert f"{row.ratio('as-is'):.3f}" in line.split()


def test_a_learning_curve_grows_from_nothing_to_all_visits() -> None:
    points = learning_curve.curve(events(TINY, 1), no_progress)
    assert points[0] == Point(0, 0, dict.fromkeys(ALGORITHMS, 0))
    assert points[-1].training_steps > 100
    for before, after in pairwise(points):
        assert after.training_steps >= before.training_steps
        assert all(after.hits[name] >= before.hits[name] for name in ALGORITHMS)
    rows = learning_curve.rows(points)
    assert sum(int(str(row[1])) for row in rows) == points[-1].visits
    assert rows[-1][0] == points[-1].training_steps


def test_ours_is_ahead_from_where_its_lead_only_grows() -> None:
    leads = [0, -2, -3, -1, 4]
    points = [Point(10 * n, 0, {"ours": 10 + lead, "raw": 10}) for n, lead in enumerate(leads)]
    assert learning_curve.ahead_from(points, "raw") == 20
    assert learning_curve.ahead_from(points[:3], "raw") is None
    always = [Point(10 * n, 0, {"ours": 2 * n, "raw": n}) for n in range(4)]
    assert learning_curve.ahead_from(always, "raw") == 0


def test_every_feature_of_new_items_can_be_left_out() -> None:
    options = argparse.Namespace(choice="as-is", without="all")
    assert generality._choices(options) == ["as-is", *(f"without-{name}" for name in NEW_FEATURES)]


def test_weights_are_those_that_ours_learnt() -> None:
    whole = events(TINY, 3)
    shares: list[float] = []
    found = learnt_weights.learnt(whole, shares.append)
    ours = choices.make("as-is")
    ours.fit(whole, int(whole.time_ms[-1]) + 1)
    ranker = ours.recommender.rankers["new"]
    assert [found[name] for name in ranker.names] == ranker.weights.tolist()
    assert found[learnt_weights.STEPS] == ranker.steps > 50
    assert shares[-1] == 1.0
    table = learnt_weights.rows({"shop": found, "again": found})
    assert table[0][0] == "training steps"
    assert [row[0] for row in table[1:]] == list(NEW_FEATURES)
    assert table[1][1:] == ["0.25", f"{found['day3']:.2f}", f"{found['day3']:.2f}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nowhere"], "there is no set nowhere: there are purchases, "),
        (["--curve", "nowhere"], "there is no set nowhere"),
        (["--weights", "nowhere"], "there is no set nowhere"),
        (["--questions", "maybe"], "there is no question maybe"),
        (["--choice", "best"], "there is no choice 'best': there are as-is, "),
        (["--without", "luck"], "there is no feature luck"),
        (["--only", "watches", "--watches", "nothing.csv"], "nothing.csv cannot be opened"),
        (["--only", "tiny-baskets", "--limit", "1"], "no set could be measured"),
    ],
)
def test_unmeasurable_options_are_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["generality", *arguments])
    with pytest.raises(SystemExit) as refused:
        generality.main()
    assert str(refused.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--limit", "--cutoffs", "--customers", "--jobs"])
@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_numbers_are_at_least_one(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["generality", option, value])
    with pytest.raises(SystemExit):
        generality.main()
    assert f"argument {option}: '{value}' is not a whole number of at least 1" in capsys.readouterr().err
