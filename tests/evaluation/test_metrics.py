from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.metrics import Background, mcnemar, measure, standard_error
from evaluation.protocol import DAY_MS, NOTHING, Asked, Ids
from tests.evaluation.world import rows


def ids(*values: int) -> Ids:
    return np.array(values, np.int32)


EVENTS = rows((0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 1, 3), (0, 2, 30), (1, 2, 31), (2, 3, 31), (3, 4, 50))
CUTOFF = 32 * DAY_MS


def test_measured_by_hand() -> None:
    asked = Asked(CUTOFF, ids(0, 1, 2), [ids(1, 3), ids(), ids(2)])
    shown = np.array([[1, 3], [0, 2], [0, NOTHING]], np.int32)
    background = Background.of(EVENTS.before(CUTOFF), CUTOFF)
    measured, hits = measure([shown], [asked], [background])
    assert hits[0].tolist() == [True, False, False]
    assert measured.hit == pytest.approx(1 / 3)
    assert measured.hit_by_cutoff == [measured.hit]
    assert measured.precision == pytest.approx((2 / 2 + 0 + 0) / 3)
    assert measured.coverage == 4 / 4  # purchases of items 0 to 3; item 4 came later
    surprise = {0: -math.log2(3 / 4), 1: 2.0, 2: 1.0, 3: 2.0}
    assert measured.novelty == pytest.approx(np.mean([surprise[i] for i in (1, 3, 0, 2, 0)]))
    # the bestsellers of two weeks are items 2 and 3
    assert measured.bestsellers_share == pytest.approx(2 / 5)


def test_hit_is_the_mean_over_cutoffs_of_any_size() -> None:
    background = Background.of(EVENTS.before(CUTOFF), CUTOFF)
    asked = [Asked(CUTOFF, ids(0), [ids(1)]), Asked(CUTOFF, ids(0, 1, 2), [ids(0), ids(0), ids(0)])]
    shown = [np.array([[1]], np.int32), np.array([[2], [2], [2]], np.int32)]
    assert measure(shown, asked, [background] * 2)[0].hit == 0.5


def test_standard_error_of_one_cutoff_is_that_of_a_share() -> None:
    hits = np.random.default_rng(0).random(500) < 0.2
    share = hits.mean()
    errors = standard_error([hits], [np.arange(500, dtype=np.int32)])
    assert errors == pytest.approx(math.sqrt(share * (1 - share) / 500))


def test_standard_error_knows_that_customers_are_asked_again() -> None:
    """A customer with the same answer at each cutoff adds no evidence; one with different answers does."""
    rng = np.random.default_rng(1)
    customers = np.arange(400, dtype=np.int32)
    once = rng.random(400) < 0.3
    same = standard_error([once] * 4, [customers] * 4)
    assert same == pytest.approx(standard_error([once], [customers]))
    several = [rng.random(400) < 0.3 for _ in range(4)]
    assert standard_error(several, [customers] * 4) == pytest.approx(same / 2, rel=0.2)


def test_standard_error_is_the_deviation_of_repeated_draws() -> None:
    rng = np.random.default_rng(2)
    customers = [np.arange(300, dtype=np.int32), np.arange(100, 300, dtype=np.int32)]
    means, errors = [], []
    for _ in range(400):
        liking = rng.beta(1, 3, 300)
        hits = [rng.random(len(c)) < liking[c] for c in customers]
        means.append(np.mean([h.mean() for h in hits]))
        errors.append(standard_error(hits, customers))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_mcnemar_counts_those_that_differ() -> None:
    this = [np.array([True, True, False]), np.array([True, False])]
    other = [np.array([False, True, False]), np.array([False, True])]
    compared = mcnemar(this, other)
    assert (compared.only_this, compared.only_other) == (2, 1)
    assert compared.p == 1.0
    assert mcnemar(this, this).p == 1.0


def test_mcnemar_is_exact() -> None:
    n, b = 12, 2
    wanted = 2 * sum(math.comb(n, i) for i in range(b + 1)) / 2**n
    this = [np.arange(n) < b]
    assert mcnemar(this, [~this[0]]).p == pytest.approx(wanted)
