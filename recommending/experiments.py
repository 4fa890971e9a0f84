"""Experiments on customers: who is in which variant, and whether the difference between two rates is real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import xxhash

from recommending.algorithms import ALGORITHMS, AlgorithmName
from state.errors import BadSettings

SURE = 0.95
SEED = 1


@dataclass(frozen=True)
class Variant:
    """A share of the customers, and the algorithm whose items they are shown."""

    name: str
    algorithm: AlgorithmName
    share: float


def parse(text: str) -> tuple[Variant, ...]:
    """Return the variants from NAME=ALGORITHM:PERCENT, separated by commas; NAME= may be left out.

    >>> [(v.name, v.algorithm, v.share) for v in parse("control=bestsellers:20, ours:80")]
    [('control', 'bestsellers', 0.2), ('ours', 'ours', 0.8)]

    Raises
    ------
    BadSettings
        If the text is no such list, or the percents do not add up to 100.
    """
    variants = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        left, colon, percent = part.rpartition(":")
        name, _, algorithm = left.rpartition("=")
        try:
            share = float(percent) / 100
        except ValueError:
            share = -1.0
        if not colon or algorithm not in ALGORITHMS or not 0 < share <= 1:
            raise BadSettings(
                f"variant {part!r} is not NAME=ALGORITHM:PERCENT with one of {', '.join(ALGORITHMS)}"
            )
        variants.append(Variant(name or algorithm, algorithm, share))
    if variants and abs(sum(v.share for v in variants) - 1) > 1e-9:
        raise BadSettings(f"the percents of the variants {text!r} do not add up to 100")
    if len({v.name for v in variants}) < len(variants):
        raise BadSettings(f"two variants of {text!r} have one name")
    return tuple(variants)


def variant_of(variants: Sequence[Variant], customer_id: str) -> Variant | None:
    """Return a customer's variant, which is always the same for the same shares; None without variants."""
    if not variants:
        return None
    place = xxhash.xxh3_64_intdigest(customer_id.encode(), seed=SEED) / 2**64
    for variant in variants:
        if place < variant.share:
            return variant
        place -= variant.share
    return variants[-1]


def interval(hits: int, cases: int) -> tuple[float, float]:
    """Return the confidence interval (95 %) of a rate (Wilson, JASA 1927).

    >>> [round(bound, 3) for bound in interval(10, 100)]
    [0.055, 0.174]
    """
    if cases == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + SURE) / 2)
    rate, n = hits / cases, cases
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def p_value(hits: int, cases: int, other_hits: int, other_cases: int) -> float:
    """Return the p of a two-sided z-test: how likely such a difference is if both rates are the same.

    >>> round(p_value(120, 1000, 90, 1000), 3)
    0.029
    """
    if cases == 0 or other_cases == 0:
        return 1.0
    together = (hits + other_hits) / (cases + other_cases)
    deviation = math.sqrt(together * (1 - together) * (1 / cases + 1 / other_cases))
    if deviation == 0:
        return 1.0
    z = (hits / cases - other_hits / other_cases) / deviation
    return 2 * NormalDist().cdf(-abs(z))
