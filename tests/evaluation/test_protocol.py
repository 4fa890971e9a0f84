from __future__ import annotations

import numpy as np
import pytest

from evaluation.errors import EvaluationError
from evaluation.protocol import DAY_MS, asked_at, cutoffs
from tests.evaluation.world import drifting, histories, rows


def test_cutoffs_are_spread_from_the_middle_to_the_end_less_the_days() -> None:
    events = rows((0, 0, 0), (0, 1, 100))
    assert [at / DAY_MS for at in cutoffs(events, 3, 20)] == [50, 65, 80]


def test_too_short() -> None:
    with pytest.raises(EvaluationError, match=r"span 20\.0 days.*fewer --days"):
        cutoffs(rows((0, 0, 0), (0, 1, 20)), 3, 14)
    with pytest.raises(EvaluationError, match="no events"):
        cutoffs(rows((0, 0, 0)).part(0, 0), 3, 14)


def test_an_event_at_the_cutoff_is_after_it_and_one_at_the_end_of_the_days_too_late() -> None:
    events = rows((0, 0, 1), (1, 0, 1), (2, 0, 9), (0, 1, 10), (1, 1, 23.9), (2, 1, 24))
    asked = asked_at(events, 10 * DAY_MS, 14, new_only=True, most=10)
    assert len(events.before(10 * DAY_MS)) == 3
    assert asked.customers.tolist() == [0, 1]
    assert [answer.tolist() for answer in asked.answers] == [[1], [1]]


@pytest.mark.parametrize("new_only", [True, False])
def test_answers_are_as_the_sets_define(new_only: bool) -> None:
    events = drifting()
    for cutoff in cutoffs(events, 3, 14):
        asked = asked_at(events, cutoff, 14, new_only=new_only, most=1_000)
        before = histories(events.before(cutoff))
        after = histories(events.between(cutoff, cutoff + 14 * DAY_MS))
        assert asked.customers.tolist() == sorted(before.keys() & after.keys())
        for customer, answer in zip(asked.customers.tolist(), asked.answers, strict=True):
            wanted = set(after[customer]) - (set(before[customer]) if new_only else set())
            assert answer.tolist() == sorted(wanted)


def test_of_many_customers_a_seeded_sample_is_asked() -> None:
    events = drifting()
    at = cutoffs(events, 1, 14)[0]
    some = asked_at(events, at, 14, new_only=False, most=20, seed=1)
    everybody = asked_at(events, at, 14, new_only=False, most=10_000)
    assert len(some.customers) == 20
    assert np.isin(some.customers, everybody.customers).all()
    again = asked_at(events, at, 14, new_only=False, most=20, seed=1)
    assert np.array_equal(some.customers, again.customers)
    known = dict(zip(everybody.customers.tolist(), everybody.answers, strict=True))
    for customer, answer in zip(some.customers.tolist(), some.answers, strict=True):
        assert np.array_equal(answer, known[customer])
