"""The lesson loop: who comes back in a batch is a test of what would be shown, then a lesson.

`before` looks at what each algorithm would show to the customers who come back, with what is known before the
batch; then the caller applies the batch to the histories; `after` counts who hit, and learns. Streams and
evaluation run this same loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending.learner import Case, Learner
from recommending.visits import Visit, visits
from state.customers.events import EventBatch
from state.customers.machine import CustomerMachine
from state.customers.pairing import GONE


class Test(NamedTuple):
    """A customer who comes back, and what would be shown to them."""

    visit: Visit
    customer_id: str
    case: Case


class Tested(NamedTuple):
    """What a test brought: whether each algorithm hit (`Learner.after`)."""

    customer: int  # slot
    customer_id: str
    time_ms: int
    hits: dict[str, bool]


def before(learner: Learner, customers: CustomerMachine, batch: EventBatch, most: int) -> list[Test]:
    """Tests of a batch that is not applied yet, of at most so many customers. `view.lock` must be held."""
    tests = []
    for visit in visits(batch, customers.histories, most):
        customer_id = customers.customers.id(visit.customer)
        case = learner.before(learner.recommender.history(customer_id))
        tests.append(Test(visit, customer_id, case))
    return tests


def after(
    learner: Learner, tests: list[Test], batch: EventBatch, outcomes: npt.NDArray[np.uint8]
) -> list[Tested]:
    """Count who hit and learn, once the batch is applied with these outcomes. `view.lock` must be held."""
    tested = []
    for visit, customer_id, case in tests:
        counted = [i for i in visit.events if outcomes[i] < GONE]
        items = learner.recommender.in_view(np.unique(batch.items[counted]))
        if len(items):
            hits = learner.after(case, items, visit.time_ms)
            tested.append(Tested(visit.customer, customer_id, visit.time_ms, hits))
    return tested
