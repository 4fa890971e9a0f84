"""Examples for the tests of the ranker."""

from __future__ import annotations

import numpy as np

from recommending.ranker import (
    Floats,
)

NAMES = ("a", "b", "c", "d", "e")


def example(
    rng: np.random.Generator, n: int = 20
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return the features of n candidates, of very different scales, and which of them were bought."""
    x = rng.normal(size=(n, len(NAMES))) * (0.1, 1, 5, 20, 1) + (3, 0, -2, 0, 1)
    hits = np.zeros(n, np.bool_)
    hits[rng.choice(n, rng.integers(1, 5), replace=False)] = True
    return x, hits


def stream(
    rng: np.random.Generator, truth: Floats
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return an example of a customer who takes roughly what the true weights say."""
    x = rng.normal(size=(30, len(NAMES)))
    hits = np.zeros(30, np.bool_)
    hits[np.argmax(x @ truth + rng.gumbel(size=30))] = True
    return x, hits
