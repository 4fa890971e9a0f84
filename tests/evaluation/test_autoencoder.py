"""Tests of both trainings of the autoencoder as algorithms: what they recommend, and to whom."""

from __future__ import annotations

import numpy as np
import pytest

from chronological import fitting
from chronological.examples import DAY_MS, Log, log_count, predicting
from evaluation.algorithms import make
from evaluation.algorithms.autoencoder import Autoencoder, Chronological, Reconstruction
from evaluation.protocol import Events, Ids, asked_at
from tests.chronological.watching import START_MS, drifting, sequels

NAMES = "autoencoder-reconstruction", "autoencoder-chronological"


def events_of(log: Log) -> Events:
    """Add one customer who comes last, and one item that only one customer has."""
    customer, item = (column.astype(np.int32) for column in (log.customers, log.items))
    customers, items = int(customer.max()) + 2, log.item_count + 1
    time_ms = np.append(log.times_ms, log.times_ms[-1])
    return Events(
        np.append(customer, np.int32(customers - 1)), np.append(item, np.int32(items - 1)), time_ms,
        customers, items,
    )  # fmt: skip


def trained(algorithm: Autoencoder, events: Events, cutoff_ms: int) -> Autoencoder:
    algorithm.fit(events.before(cutoff_ms), cutoff_ms)
    return algorithm


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert make(name).name == name


@pytest.mark.parametrize("algorithm", [Reconstruction, Chronological])
def test_the_best_of_the_network_are_recommended(
    algorithm: type[Autoencoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "RECONSTRUCTION_BATCHES", 50)
    log = sequels(1)
    events, cutoff = events_of(log), int(log.times_ms[-1]) + 1
    shares: list[float] = []
    made = algorithm()
    made.progress = shares.append
    trained(made, events, cutoff)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1
    customers = np.unique(events.customer)
    found = made.recommend(customers, 6, new_only=True)
    customer, item = events.customer.astype(np.int64), events.item.astype(np.int64)
    small, known = fitting.well_known(Log.of(customer, item, events.time_ms, events.n_items))
    counts = small.buyers() if algorithm is Reconstruction else small.counts(cutoff - 14 * DAY_MS, cutoff)
    prior = log_count(counts)
    assert made._network is not None
    for customer, row in zip(customers.tolist(), found, strict=True):
        mine = small.items[small.customers == customer]
        owned = set(events.item[events.customer == customer].tolist())
        assert not owned & set(row.tolist())
        last = {item: n for n, item in enumerate(mine.tolist())}
        had = sorted(last, key=lambda item: -last[item])
        scores = prior.astype(float)
        if had:
            h = np.tanh(made._network.inward[had].sum(axis=0) / np.sqrt(len(had)) + made._network.bias)
            scores = scores + made._network.outward @ h
        values = {int(i): s for i, s in zip(known, scores, strict=True) if i not in owned}
        best = sorted(values.values(), reverse=True)[:6]
        assert [values[i] for i in row.tolist()] == pytest.approx(best, rel=1e-4, abs=1e-4)


def test_items_bought_again_are_recommended_where_they_count() -> None:
    rng = np.random.default_rng(3)
    n = 6_000  # each customer buys from four own items, again and again
    customer = rng.integers(0, 150, n)
    item = (customer * 7 + rng.integers(0, 4, n) * 11) % 60
    times = np.sort(START_MS + rng.integers(0, 100 * DAY_MS, n))
    events = Events(
        customer.astype(np.int32), item.astype(np.int32), times, 150, 60
    )  # fmt: skip
    cutoff = START_MS + 86 * DAY_MS
    made = trained(Chronological(), events, cutoff)

    def hits(*, new_only: bool) -> float:
        asked = asked_at(events, cutoff, 14, new_only=new_only, most=1_000)
        rows: Ids = made.recommend(asked.customers, 4, new_only=new_only)
        return float(np.mean([np.isin(r, a).any() for r, a in zip(rows, asked.answers, strict=True)]))

    assert hits(new_only=True) < 0.1  # hardly anything new is ever bought
    assert hits(new_only=False) > 0.9


def test_with_too_little_to_learn_from_bestsellers_are_recommended() -> None:
    log = sequels(2, days=20)
    events, cutoff = events_of(log), int(log.times_ms[-1]) + 1
    made = trained(Chronological(), events, cutoff)
    nobody = made.recommend(np.array([events.n_customers - 1], np.int32), 6, new_only=True)[0]
    counts = log.counts(cutoff - 14 * DAY_MS, cutoff)
    assert counts[nobody].tolist() == sorted(counts.tolist(), reverse=True)[:6]


def test_the_finding_of_the_article(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "RECONSTRUCTION_BATCHES", 300)
    log = drifting(9)
    events, cutoff = events_of(log), int(log.times_ms[-1]) - 14 * DAY_MS
    asked = asked_at(events, cutoff, 14, new_only=True, most=10_000)
    assert len(asked.customers) >= len(predicting(log, cutoff, again=False)) > 500
    rates = {}
    for name in ("bestsellers-2w", *NAMES):
        made = make(name)
        made.fit(events.before(cutoff), cutoff)
        rows = made.recommend(asked.customers, 6, new_only=True)
        rates[name] = np.mean([np.isin(r, a).any() for r, a in zip(rows, asked.answers, strict=True)])
    assert rates["autoencoder-reconstruction"] < rates["bestsellers-2w"]
    assert rates["autoencoder-chronological"] > 1.3 * rates["autoencoder-reconstruction"]
