"""Item-to-item algorithms are compared with counts in plain Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from evaluation import cooccurrence
from evaluation.algorithms import make
from evaluation.cooccurrence import QUERY_ITEMS, WINDOW, keep_best, opportunities, rows, sums
from evaluation.histories import Distinct, newest
from evaluation.protocol import DAY_MS, Events
from evaluation.scoring import best
from state.customers.events import Event
from tests.evaluation.world import drifting, groceries
from tests.oracles.counts import Oracle

CASES = {"groceries": groceries(8_000), "drifting": drifting()}


def oracle(events: Events) -> Oracle:
    columns = zip(events.customer.tolist(), events.item.tolist(), events.time_ms.tolist(), strict=True)
    return Oracle(WINDOW).feed(Event(str(c), str(i), ms) for c, i, ms in columns)


@pytest.mark.parametrize("events", CASES.values(), ids=CASES)
def test_counts_and_opportunities(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "AT_ONCE", 5_000)  # this needs several blocks
    counts_of = oracle(events)
    wanted: dict[tuple[int, int], int] = {}
    for (x, y), n in counts_of.after().items():
        for pair in ((int(x), int(y)), (int(y), int(x))):
            wanted[pair] = wanted.get(pair, 0) + n
    histories = Distinct.of(events)
    blocks = list(rows(histories, events.n_items))
    assert len(blocks) > 2
    found = {
        (x, y): n
        for some in blocks
        for x, y, n in zip(some.x.tolist(), some.y.tolist(), some.count.tolist(), strict=True)
    }
    assert found == wanted
    sizes = counts_of.sizes()
    of = opportunities(histories)
    for item in range(events.n_items):
        mine = np.unique(of[histories.item == item], return_counts=True)
        assert dict(zip(*(c.tolist() for c in mine), strict=True)) == dict(sizes[str(item)])


@pytest.mark.parametrize("events", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("name", "score", "tolerance"),
    [("item-raw", "raw", 1e-6), ("item-flawed", "flawed", 1e-5), ("item-corrected", "corrected", 2e-3)],
)
def test_scores_are_those_of_the_definition(
    name: str, score: str, tolerance: float, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "NEIGHBOURS", events.n_items)  # the rows are not cut
    counts_of = oracle(events)
    wanted = np.zeros((events.n_items, events.n_items))
    for x, entries in counts_of.lists(score, events.n_items).items():
        for y, value, _ in entries:
            wanted[int(x), int(y)] = value
    algorithm = make(name)
    algorithm.fit(events, int(events.time_ms[-1]) + 1)
    found = algorithm._similar.toarray()  # type: ignore[attr-defined]
    assert (wanted > 0).sum() > 1_000
    assert np.abs(found - wanted).max() < tolerance * max(wanted.max(), 1.0)
    # the items with the largest sums over the newest items are recommended
    customers = np.unique(events.customer)[:50]
    query = np.zeros((len(customers), events.n_items))
    for n, customer in enumerate(customers.tolist()):
        items = events.item[events.customer == customer][::-1]
        query[n, list(dict.fromkeys(items.tolist()))[:QUERY_ITEMS]] = 1.0
        assert query[n].sum() > 0
    shown = algorithm.recommend(customers, 6, new_only=False)
    scores = query @ found
    for row, values in zip(shown, scores, strict=True):
        ordered = np.sort(values)[::-1][:6]
        assert np.allclose(values[row[row >= 0]], ordered[ordered > 0], rtol=1e-5)


def test_keep_best_keeps_the_first_of_equal_ones() -> None:
    scores = np.array([1.0, 3.0, 2.0, 2.0, 2.0, -1.0, 0.0, 5.0])
    y = np.arange(8)
    kept = keep_best(scores, y, np.array([0, 5, 7, 7, 8]), 8, 2).toarray()
    assert {(r, c): kept[r, c] for r, c in np.argwhere(kept)} == {(0, 1): 3.0, (0, 2): 2.0, (3, 7): 5.0}


@pytest.mark.parametrize("seed", range(5))
def test_keep_best_and_sums_as_sorting_and_multiplying(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores: npt.NDArray[np.float64] = rng.integers(-3, 9, (40, 30)).astype(np.float64)
    starts = np.arange(41) * 30
    kept = keep_best(scores.ravel(), np.tile(np.arange(30), 40), starts, 30, 7)
    wanted = np.zeros_like(scores)
    for row, shown in enumerate(best(scores.copy(), 7)):
        wanted[row, shown[shown >= 0]] = scores[row, shown[shown >= 0]]
    assert np.array_equal(kept.toarray(), wanted)
    query = newest(drifting(seed, 50, 40, 300), 3)
    customers = np.arange(query.shape[0], dtype=np.int32)
    product = (query[customers] @ kept).toarray()
    assert np.allclose(sums(customers, query, kept), product)


def test_newest_takes_each_customers_newest_items() -> None:
    events = drifting().before(int(drifting().time_ms[0]) + 60 * DAY_MS)
    found = newest(events, 4)
    for customer in np.unique(events.customer).tolist():
        items = events.item[events.customer == customer][::-1].tolist()
        assert sorted(found[[customer]].indices.tolist()) == sorted(list(dict.fromkeys(items))[:4])
