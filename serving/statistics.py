"""Quality, experiments and what was learnt, summed over all partitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from recommending.averaging import average
from recommending.experiments import interval, p_value
from serving.kind_model import KindModel
from streams.recommending.messages import Quality

SHOWN = "shown"  # the algorithm of records that are about variants
CONTROL = "control"
SIGNIFICANT = 0.05

CasesAndHits = tuple[int, int]  # cases, hits


def summed(published: Iterable[tuple[Any, Quality]]) -> dict[Any, CasesAndHits]:
    """Return cases and hits of each key, of all partitions together; keys without cases are left out."""
    sums: dict[Any, CasesAndHits] = defaultdict(lambda: (0, 0))
    for key, quality in published:
        cases, hits = sums[key]
        sums[key] = cases + quality.cases, hits + quality.hits
    return {key: counts for key, counts in sums.items() if counts[0]}


def _rate(counts: CasesAndHits) -> dict[str, Any]:
    cases, hits = counts
    low, high = interval(hits, cases)
    return {"cases": cases, "hits": hits, "rate": hits / cases, "low": low, "high": high}


def quality(of: KindModel) -> dict[str, Any]:
    """Return how often each algorithm's six held what was then bought, per day of event time and in all.

    Rates are hits of cases; low and high are the bounds of 95 % confidence.
    """
    published = [q for q in of.quality.values() if q.algorithm != SHOWN]
    days = summed(((q.day, q.algorithm), q) for q in published)
    totals = summed((q.algorithm, q) for q in published)
    return {
        "kind": of.kind.name,
        "days": [
            {"day": day, "algorithm": algorithm, "cases": cases, "hits": hits, "rate": hits / cases}
            for (day, algorithm), (cases, hits) in sorted(days.items())
        ],
        "totals": [{"algorithm": name, **_rate(counts)} for name, counts in sorted(totals.items())],
    }


def experiments(of: KindModel) -> dict[str, Any]:
    """Return hit rates of the variants, each against the control: that variant, else the first one."""
    sums = summed((q.variant or "", q) for q in of.quality.values() if q.algorithm == SHOWN)
    names = sorted(sums, key=lambda name: (name != CONTROL, name))
    variants = []
    for name in names:
        variant = {"variant": name, **_rate(sums[name])}
        if name != names[0]:
            variant |= _against(name, sums[name], names[0], sums[names[0]])
        variants.append(variant)
    return {"kind": of.kind.name, "control": names[0] if names else None, "variants": variants}


def _against(name: str, counts: CasesAndHits, control: str, others: CasesAndHits) -> dict[str, Any]:
    difference = counts[1] / counts[0] - others[1] / others[0]
    p = p_value(counts[1], counts[0], others[1], others[0])
    verdict = (
        f"significant (p = {p:.2g})"
        if p < SIGNIFICANT
        else f"not significant (p = {p:.2g}), it may be chance"
    )
    line = f"{name} against {control}: {difference * 100:+.1f} points, {verdict}"
    return {"difference": difference, "p": p, "significant": p < SIGNIFICANT, "line": line}


def learner(of: KindModel) -> dict[str, Any]:
    """Return what was learnt: the weights in effect, cases, and the gain over bestsellers, per day.

    Weights are of standardised features: how much one standard deviation of the feature adds to the score.
    """
    rankers = {}
    for name in sorted({name for state in of.learnt.values() for name in state.rankers}):
        states = [state.rankers[name] for state in of.learnt.values() if name in state.rankers]
        rankers[name] = {
            "cases": sum(state["cases"] for state in states),
            "weights": {feature: values[0] for feature, values in average(states)["features"].items()},
        }
    sums = summed(((q.day, q.algorithm), q) for q in of.quality.values())
    curve = [
        {"day": day, "cases": cases, "ours": hits / cases, "bestsellers": sums[day, "bestsellers"][1] / cases}
        for (day, algorithm), (cases, hits) in sorted(sums.items())
        if algorithm == "ours" and (day, "bestsellers") in sums
    ]
    return {"kind": of.kind.name, "rankers": rankers, "curve": curve}
