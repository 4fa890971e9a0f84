"""Training learns what it should, gives the same weights from the same seed, and survives interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from chronological import fitting
from chronological.errors import BadTrainingFile, TooShort
from chronological.examples import DAY_MS, Examples, Log, histories, log_count, predicting
from chronological.network import Network
from chronological.training import PATIENCE, Report, Training
from tests.chronological.watching import START_MS, drifting, sequels

SMALL: dict[str, Any] = {"hidden": 16, "rate": 0.01}


def weights(training: Training) -> list[bytes]:
    net = training.network
    return [net.inward.tobytes(), net.outward.tobytes(), net.bias.tobytes()]


@pytest.fixture(scope="module")
def log() -> Log:
    return sequels(1)


def end_ms(log: Log) -> int:
    return int(log.times_ms[-1]) + 1


def test_it_learns_that_sequels_follow(log: Log) -> None:
    """Popularity predicts nothing here: whoever has just watched part 1 of a series watches its part 2."""
    training = fitting.chronological(log, end_ms(log), hidden=32, rate=0.01)
    training.run()
    cutoff = end_ms(log)
    customers, history = histories(log)
    scores = training.network.scores(history, log_count(log.counts(cutoff - 14 * DAY_MS, cutoff)))
    due = right = 0
    for customer, row, some in zip(
        customers, scores, np.split(history.items, history.start[1:-1]), strict=True
    ):
        newest = log.times_ms[log.customers == customer].max()
        first = some[0]
        if newest > cutoff - 8 * DAY_MS and first % 3 < 2:
            due += 1
            row[some] = -np.inf
            right += first + 1 in np.argsort(-row)[:6]
    assert due > 50
    assert right / due > 0.7


def test_the_same_seed_gives_the_same_weights(log: Log) -> None:
    trained = []
    for seed in (3, 3, 4):
        training = fitting.chronological(log, end_ms(log), seed=seed, most_epochs=2, **SMALL)
        training.run()
        trained.append(weights(training))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]


def test_an_interruption_anywhere_changes_no_bit(log: Log, tmp_path: Path) -> None:
    def new() -> Training:
        return fitting.chronological(log, end_ms(log), most_epochs=3, most_outputs=40, **SMALL)

    whole = new()
    reports: list[Report] = []
    whole.run(reports.append)
    file = tmp_path / "training.npz"
    for at in (1, len(reports) // 2, len(reports) - 1):
        first = new()
        assert not first.run(most_batches=at)
        first.save(file)
        second = new()
        second.resume(file)
        assert second.report() == reports[at - 1]
        rest: list[Report] = []
        assert second.run(rest.append)
        assert rest == reports[at:]
        assert weights(second) == weights(whole)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_training_that_does_not_fit_is_not_continued(log: Log, tmp_path: Path) -> None:
    def new(seed: int = 0, log: Log = log) -> Training:
        return fitting.chronological(log, end_ms(log), seed=seed, most_epochs=2, **SMALL)

    file = tmp_path / "training.npz"
    training = new()
    training.run(most_batches=2)
    training.save(file)
    for other in (new(seed=1), new(log=sequels(2)), fitting.reconstruction(log, end_ms(log), **SMALL)):
        with pytest.raises(BadTrainingFile, match="on other events or with another seed"):
            other.resume(file)
    raw = file.read_bytes()
    for broken in (raw[: len(raw) // 2], b"", b"nonsense", raw[:3000] + b"x" * 50 + raw[3050:]):
        file.write_bytes(broken)
        with pytest.raises(BadTrainingFile, match="delete it"):
            new().resume(file)
    with pytest.raises(BadTrainingFile, match="cannot be read"):
        new().resume(tmp_path / "missing.npz")


def test_it_stops_early_and_keeps_the_best(log: Log) -> None:
    sets = [predicting(log, START_MS + day * DAY_MS, again=False) for day in (60, 75, 90)]
    training = Training(log.item_count, sets[:2], sets[2], last=False, rate=0.05, hidden=16)
    reports: list[Report] = []
    assert training.run(reports.append)
    losses = reports[-1].held_out
    best = int(np.argmin(losses))
    assert len(losses) - 1 == best + PATIENCE < 40
    again = Training(log.item_count, sets[:2], sets[2], last=False, rate=0.05, hidden=16, most_epochs=best)
    again.run()
    assert weights(again) == weights(training)
    assert [r.batches for r in reports[:-1]] == list(range(1, len(reports)))
    assert reports[-1].batches == reports[-1].of_batches


def test_the_newest_set_is_learnt_from_last(log: Log) -> None:
    def trained(*, last: bool) -> Network:
        sets = [predicting(log, START_MS + day * DAY_MS, again=False) for day in (75, 90)]
        training = Training(log.item_count, sets[:1], sets[1], last=last, most_epochs=1, **SMALL)
        training.run()
        return training.network

    one, other = trained(last=False), trained(last=True)
    newest = predicting(log, START_MS + 90 * DAY_MS, again=False)
    touched = np.unique(newest.history.items)
    changed = np.flatnonzero((one.inward != other.inward).any(axis=1))
    assert set(changed.tolist()) == set(touched.tolist())


def test_too_short_a_log_is_refused() -> None:
    log = sequels(3, days=25)
    with pytest.raises(TooShort, match="too little to learn from"):
        fitting.chronological(log, end_ms(log))
    nothing = np.zeros(0, np.int64)
    for fit in (fitting.chronological, fitting.reconstruction):
        with pytest.raises(TooShort):
            fit(Log(nothing, nothing, nothing, 0), 5)


def hit_rate(scores: npt.NDArray[np.float32], asked: Examples) -> float:
    """Return how often a target is among the best six items that the customer has not had."""
    scores = scores.copy()
    scores[asked.unwanted.row_of_each(), asked.unwanted.items] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :6]
    targets = np.split(asked.targets.items, asked.targets.start[1:-1])
    return float(np.mean([np.isin(row, some).any() for row, some in zip(best, targets, strict=True)]))


def test_completing_the_matrix_falls_behind_bestsellers_and_chronology_does_not() -> None:
    """This is the finding of the article, on watches that drift."""
    log = drifting(7)
    cutoff = end_ms(log) - 14 * DAY_MS
    asked = predicting(log, cutoff, again=False)
    chronological = fitting.chronological(log, cutoff, hidden=32, rate=0.003)
    reconstruction = fitting.reconstruction(log, cutoff, hidden=32, rate=0.003, most_epochs=15)
    for training in (chronological, reconstruction):
        training.run()
    had = log.before(cutoff)
    rates = {
        "bestsellers": hit_rate(np.tile(asked.prior, (len(asked), 1)), asked),
        "chronological": hit_rate(chronological.network.scores(asked.history, asked.prior), asked),
        "reconstruction": hit_rate(
            reconstruction.network.scores(asked.history, log_count(had.buyers())), asked
        ),
    }
    assert rates["reconstruction"] < rates["bestsellers"] < rates["chronological"], rates
    assert rates["chronological"] > 1.3 * rates["reconstruction"], rates
