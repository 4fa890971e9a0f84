"""What is measured of recommendations.

With the sets shown to a customer and taken afterwards, k items each shown at most, at C cutoffs:

hit          share of customers with at least one item of both, the mean over cutoffs
precision    items of both over k, the mean over customers, then over cutoffs
coverage     distinct items ever shown over all that had events before the last cutoff
novelty      mean of -log2(share of customers who have the item) over what is shown: bits of surprise (Vargas
             and Castells, RecSys 2011)
bestsellers  share of what is shown that is among the 20 with most events in the two weeks before the cutoff

The standard error of `hit` takes customers as independent, but not one customer's answers at several cutoffs.
With n_c customers asked at cutoff c, hit is off by a sum over customers of
u_i = sum_c (h_ic - hit_c) / (C n_c), and its error is the root of the sum of u_i^2 (cluster-robust; Liang and
Zeger, Biometrika 1986).

Two algorithms are compared by McNemar's exact test: of the answers where just one of the two hit, each is as
likely to be the one, so that the number is binomial of 1/2. It takes all answers as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from evaluation.protocol import DAY_MS, NOTHING, Asked, Events, Ids

BEST = 20
BEST_DAYS = 14

Hits = list[npt.NDArray[np.bool_]]
"""Per cutoff, per customer whether there was a hit."""


@dataclass(frozen=True)
class Background:
    """What the metrics compare with, as of a cutoff.

    Attributes
    ----------
    surprise : float64[n_items]
        -log2 of the share of customers who have the item; infinite if nobody has it.
    best : bool[n_items]
        Whether the item is among the bestsellers.
    items
        How many items had events.
    """

    surprise: npt.NDArray[np.float64]
    best: npt.NDArray[np.bool_]
    items: int

    @staticmethod
    def of(before: Events, cutoff_ms: int) -> Background:
        """Return the background from the events before a cutoff."""
        pairs = np.unique(before.customer.astype(np.int64) * before.n_items + before.item)
        buyers = np.bincount(pairs % before.n_items, minlength=before.n_items)
        with np.errstate(divide="ignore"):
            surprise = np.log2(len(np.unique(before.customer))) - np.log2(buyers)
        recent = before.between(cutoff_ms - BEST_DAYS * DAY_MS, cutoff_ms)
        counts = np.bincount(recent.item, minlength=before.n_items)
        best = np.zeros(before.n_items, np.bool_)
        first = np.argsort(-counts, kind="stable")[:BEST]
        best[first[counts[first] > 0]] = True
        return Background(surprise, best, int((buyers > 0).sum()))


@dataclass(frozen=True)
class Measured:
    """The metrics of an algorithm; see the module."""

    hit: float
    se: float
    hit_by_cutoff: list[float]
    precision: float
    coverage: float
    novelty: float
    bestsellers_share: float


def found(shown: Ids, asked: Asked) -> npt.NDArray[np.int64]:
    """Return how many of the items shown each customer took: int64[n]."""
    pairs = zip(shown, asked.answers, strict=True)
    return np.array([np.isin(row, answer).sum() for row, answer in pairs], np.int64)


def measure(
    shown: Sequence[Ids], asked: Sequence[Asked], background: Sequence[Background]
) -> tuple[Measured, Hits]:
    """Measure what an algorithm showed at each cutoff, int32[n, k]; `asked` and `background` are as many."""
    taken = [found(s, a) for s, a in zip(shown, asked, strict=True)]
    hits = [t > 0 for t in taken]
    k = shown[0].shape[1]
    each = [s[s != NOTHING] for s in shown]
    everything = np.concatenate(each)
    bits = np.concatenate([b.surprise[e] for e, b in zip(each, background, strict=True)])
    best = np.concatenate([b.best[e] for e, b in zip(each, background, strict=True)])
    by_cutoff = [_mean(h) for h in hits]
    measured = Measured(
        hit=float(np.mean(by_cutoff)),
        se=standard_error(hits, [a.customers for a in asked]),
        hit_by_cutoff=by_cutoff,
        precision=float(np.mean([_mean(t / k) for t in taken])),
        coverage=len(np.unique(everything)) / max(background[-1].items, 1),
        novelty=_mean(bits),
        bestsellers_share=_mean(best),
    )
    return measured, hits


def standard_error(hits: Hits, customers: Sequence[Ids]) -> float:
    """Return the standard error of the mean hit share over cutoffs, with independent customers."""
    some = np.concatenate(customers)
    if len(some) == 0:
        return 0.0
    weighted = np.concatenate([(h - _mean(h)) / (len(hits) * max(len(h), 1)) for h in hits])
    return float(np.sqrt((np.bincount(some, weighted) ** 2).sum()))


@dataclass(frozen=True)
class Comparison:
    """A comparison: customers whom only this or only the other algorithm hit, and the two-sided p-value."""

    only_this: int
    only_other: int
    p: float


def mcnemar(this: Hits, other: Hits) -> Comparison:
    """Return McNemar's exact test over the customers of all cutoffs."""
    a, b = np.concatenate(this), np.concatenate(other)
    only_this, only_other = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_this + only_other
    p = float(binomtest(only_this, n, 0.5).pvalue) if n else 1.0
    return Comparison(only_this, only_other, p)


def _mean(values: npt.NDArray[np.bool_] | npt.NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
