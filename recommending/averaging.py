"""The mean of the states of several rankers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def average(states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of several rankers' states, weighted by their training steps.

    Raises
    ------
    ValueError
        If there are no states.
    """
    several = list(states)
    if not several:
        raise ValueError("there are no states to average")
    shares = np.array([max(float(state["cases"]), 1e-9) for state in several])
    shares /= shares.sum()
    names = {name: None for state in several for name in state["features"]}
    features = {}
    for name in names:
        rows = [
            (s, state["features"][name])
            for s, state in zip(shares, several, strict=True)
            if name in state["features"]
        ]
        total = sum(s for s, _ in rows)
        features[name] = [float(sum(s * row[c] for s, row in rows) / total) for c in range(3)]
    return {"cases": float(np.mean([state["cases"] for state in several])), "features": features}
