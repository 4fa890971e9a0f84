"""The weights that the ranker of new items learnt on a set, for its standardised features.

A feature's deviation among the candidates of an example is 1, so that weights can be compared. A weight of
0.5 moves a candidate that is one deviation above the mean up by half a unit in the exponent of the softmax.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.choices import make
from evaluation.protocol import Events, OnProgress
from recommending.features import NEW_FEATURES
from recommending.starting_weights import START_NEW

STEPS = "training steps"


def learnt(events: Events, progress: OnProgress) -> dict[str, float]:
    """Return the weight of every feature after all events, and how many training steps there were."""
    ours = make("as-is")
    ours.progress = progress
    ours.fit(events, int(events.time_ms[-1]) + 1)
    ranker = ours.recommender.rankers["new"]
    weights = dict(zip(ranker.names, ranker.weights.tolist(), strict=True))
    return {STEPS: ranker.steps} | weights


def rows(of_sets: Mapping[str, Mapping[str, float]]) -> list[list[object]]:
    """Return a row a feature: its weight at the start, then what was learnt on each set."""
    table: list[list[object]] = [[STEPS, "", *(f"{weights[STEPS]:,.0f}" for weights in of_sets.values())]]
    for name in NEW_FEATURES:
        learnt_of = (f"{weights[name]:.2f}" for weights in of_sets.values())
        table.append([name, f"{START_NEW.get(name, 0.0):.2f}", *learnt_of])
    return table
