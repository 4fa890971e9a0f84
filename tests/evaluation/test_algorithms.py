"""Every algorithm is compared with its definition, and tested for what all of them promise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from evaluation import algorithms, cooccurrence
from evaluation.algorithms import chosen, ease, make, user_based
from evaluation.algorithms.als import ALPHA, ALS, FACTORS
from evaluation.algorithms.ease import LAMBDA, Ease
from evaluation.algorithms.ours import Ours
from evaluation.algorithms.similarity import BM25, Cosine
from evaluation.algorithms.user_based import UserBased
from evaluation.errors import EvaluationError
from evaluation.histories import bought, owned
from evaluation.protocol import DAY_MS, NOTHING, Events, cutoffs
from state.items.lists import Lists
from state.items.machine import ItemMachine
from tests.evaluation.world import drifting, groceries, rows

SMALL = drifting()
GROCERIES = groceries(8_000)
END = int(SMALL.time_ms[-1]) + 1


@pytest.mark.parametrize("name", algorithms.NAMES)
def test_the_promises_of_every_algorithm(name: str) -> None:
    """They return at most k items, none twice, none from the future, and none owned where new ones count."""
    events = drifting(3, 120, 60, 2_500)
    first, second = cutoffs(events, 2, 14)
    algorithm = make(name)
    assert algorithm.name == name
    done: list[float] = []
    algorithm.progress = done.append
    some = 0
    for cutoff in (first, second):
        before = events.before(cutoff)
        algorithm.fit(before, cutoff)
        customers = np.unique(before.customer).astype(np.int32)
        known = set(before.item.tolist())
        has = owned(before)
        for new_only in (False, True) if name != "buy-again" else (False,):
            shown = algorithm.recommend(customers, 6, new_only=new_only)
            assert shown.shape == (len(customers), 6)
            assert shown.dtype == np.int32
            for customer, row in zip(customers.tolist(), shown, strict=True):
                items = row[row != NOTHING].tolist()
                some += len(items)
                assert (row[len(items) :] == NOTHING).all()
                assert len(set(items)) == len(items)
                assert set(items) <= known
                if new_only:
                    assert not set(items) & set(has[[customer]].indices.tolist())
    assert some > 500
    assert all(0 <= share <= 1 for share in done)


def test_bestsellers_by_hand() -> None:
    events = rows((0, 0, 0), (1, 0, 1), (2, 0, 2), (0, 1, 20), (1, 1, 21), (2, 2, 22))
    everybody = np.arange(3, dtype=np.int32)
    for name, wanted in {"bestsellers": [0, 1, 2], "bestsellers-2w": [1, 2, NOTHING]}.items():
        algorithm = make(name)
        algorithm.fit(events, 30 * DAY_MS)
        assert algorithm.recommend(everybody, 3, new_only=False).tolist() == [wanted] * 3
    assert algorithm.recommend(everybody, 1, new_only=True).tolist() == [[2], [2], [1]]


def test_user_based_sums_the_cosines_of_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_based, "NEAREST", 10)
    algorithm = UserBased()
    algorithm.fit(SMALL, END)
    sets = {c: set(SMALL.item[SMALL.customer == c].tolist()) for c in range(SMALL.n_customers)}
    for customer in range(25):
        mine = sets[customer]
        alike = {
            other: len(mine & theirs) / np.sqrt(len(mine) * len(theirs))
            for other, theirs in sets.items()
            if other != customer and theirs and mine
        }
        least = sorted(alike.values(), reverse=True)[9]
        wanted = np.zeros(SMALL.n_items)
        for other, likeness in alike.items():
            if likeness >= least - 1e-12:
                wanted[list(sets[other])] += likeness
        assert np.allclose(algorithm.scores(np.array([customer], np.int32))[0], wanted)


def test_cosine_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "NEIGHBOURS", GROCERIES.n_items)  # the rows are not cut
    algorithm = Cosine()
    algorithm.fit(GROCERIES, END)
    matrix = owned(GROCERIES).toarray()
    with np.errstate(invalid="ignore"):
        unit = matrix / np.sqrt(matrix.sum(axis=0))
    wanted = unit.T @ unit
    np.fill_diagonal(wanted, 0.0)
    assert np.allclose(algorithm._similar.toarray(), wanted, atol=1e-6)


def test_bm25_has_the_weights_of_the_package() -> None:
    from implicit.nearest_neighbours import bm25_weight

    counts = bought(GROCERIES)
    wanted = bm25_weight(counts.T, BM25.K1, BM25.B).T.tocsr()
    found = BM25().weighted(counts)
    assert np.allclose(found.toarray(), wanted.toarray())


def test_ease_is_the_ridge_regression_of_each_item_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Column j of B minimises |a_j - A b|^2 + lambda |b|^2 over b with b_j = 0."""
    monkeypatch.setattr(ease, "ITEMS", 40)
    algorithm = Ease()
    algorithm.fit(SMALL, END)
    a = algorithm._few.toarray()
    for j in range(0, 40, 7):
        others = np.arange(40) != j
        x = a[:, others]
        wanted = np.linalg.solve(x.T @ x + LAMBDA * np.eye(39), x.T @ a[:, j])
        assert np.allclose(algorithm.weights[others, j], wanted)
        assert algorithm.weights[j, j] == 0.0


def test_als_vectors_are_the_weighted_least_squares_of_the_paper() -> None:
    """The package computes the items' vectors last, to within a few steps of conjugate gradients."""
    algorithm = ALS()
    algorithm.fit(SMALL, END)
    x = algorithm.model.user_factors.astype(np.float64)
    y = algorithm.model.item_factors.astype(np.float64)
    assert y.shape == (SMALL.n_items, FACTORS)
    counts = bought(SMALL).toarray()
    weight = np.where(counts > 0, ALPHA * counts, 1.0)
    penalty = algorithm.model.regularization * np.eye(FACTORS)

    def loss(vectors: npt.NDArray[np.float64]) -> float:
        error = weight * ((counts > 0) - x @ vectors.T) ** 2
        return float(error.sum() + algorithm.model.regularization * (vectors**2).sum())

    solved = np.array([
        np.linalg.solve(x.T @ (w[:, None] * x) + penalty, x.T @ (w * (c > 0)))
        for w, c in zip(weight.T, counts.T, strict=True)
    ])  # fmt: skip
    assert loss(solved) <= loss(y) < 1.05 * loss(solved)


def test_buy_again_orders_own_items_by_count_then_by_time() -> None:
    events = rows((0, 3, 0), (0, 3, 1), (0, 1, 2), (0, 2, 3), (1, 4, 3), (0, 3, 4), (0, 5, 5), (0, 5, 6))
    algorithm = make("buy-again")
    algorithm.fit(events, 10 * DAY_MS)
    shown = algorithm.recommend(np.array([0, 1], np.int32), 5, new_only=False)
    assert shown.tolist() == [[3, 5, 2, 1, NOTHING], [4, *[NOTHING] * 4]]


def test_ours_does_not_change_when_later_events_do() -> None:
    """Events after a cutoff do not change what is shown at it, and a second call continues from there."""
    events = drifting(5, 150, 80, 3_000)
    first, second = cutoffs(events, 2, 14)
    customers = np.unique(events.before(first).customer).astype(np.int32)
    at_once = make("ours")
    at_once.fit(events.before(first), first)
    wanted = at_once.recommend(customers, 6, new_only=True)
    n = len(events.before(first))
    other = Events(
        np.concatenate([events.customer[:n], events.customer[n:][::-1]]),
        np.concatenate([events.item[:n], events.item[n:][::-1]]),
        events.time_ms, events.n_customers, events.n_items,
    )  # fmt: skip
    again = make("ours")
    again.fit(other.before(first), first)
    assert np.array_equal(again.recommend(customers, 6, new_only=True), wanted)
    at_once.fit(events.before(second), second)
    assert not np.array_equal(at_once.recommend(customers, 6, new_only=True), wanted)


def test_ours_ranks_lists_after_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    events = drifting(5, 150, 80, 3_000)
    days = int(events.time_ms[1_799] - events.time_ms[0]) // DAY_MS + 1
    ours = Ours(chunk=100, ranked=400, ranked_ms=days * DAY_MS, at_once=0, train_ms=None)
    ranked: list[int] = []
    rank = ItemMachine.rank

    def recorded(machine: ItemMachine, rows: npt.NDArray[np.int64]) -> Lists:
        ranked.append(ours.counted)
        return rank(machine, rows)

    monkeypatch.setattr(ItemMachine, "rank", recorded)
    ours.fit(events.part(0, 1_350), int(events.time_ms[1_350]))
    assert ranked == [400, 800, 1_200, 1_350]
    ours.fit(events.part(0, 1_800), int(events.time_ms[1_800]))
    assert ranked[4:] == [1_750, 1_800]
    ranked.clear()
    for early in ({"ranked_ms": 1, "at_once": 0}, {"ranked_ms": days * DAY_MS, "at_once": 80}):
        ranked.clear()
        ours = Ours(chunk=100, ranked=400, train_ms=None, **early)
        ours.fit(events.part(0, 300), int(events.time_ms[300]))
        assert ranked == [100, 200, 300]


def test_chosen() -> None:
    assert chosen(None, new_only=False) == list(algorithms.NAMES)
    assert "buy-again" not in chosen(None, new_only=True)
    assert chosen(["ours", "ease", "ours"], new_only=True) == ["ours", "ease"]
    with pytest.raises(EvaluationError, match=r"no algorithm 'magic'; there are .*ours"):
        chosen(["ours", "magic"], new_only=True)
    with pytest.raises(EvaluationError, match="buy-again recommends nothing new"):
        chosen(["buy-again"], new_only=True)
