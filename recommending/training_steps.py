"""Test, then train: each customer who comes back in a batch is first a test, then a training example.

`before` records what each algorithm would show to the customers who come back, from what is known before the
batch. The caller then applies the batch to the histories. `after` counts which algorithms hit, and takes a
training step. Streams and evaluation run this same loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recommending.learner import Example, Learner
from recommending.visits import Visit, visits
from state.customers.events import EventBatch
from state.customers.machine import CustomerMachine
from state.customers.pairing import GONE


class Test(NamedTuple):
    """A customer who comes back, and the example with what would be shown to them."""

    visit: Visit
    customer_id: str
    example: Example


class Tested(NamedTuple):
    """The outcome of a test: whether each algorithm hit (`Learner.after`)."""

    customer: int  # slot
    customer_id: str
    time_ms: int
    hits: dict[str, bool]


def before(learner: Learner, customers: CustomerMachine, batch: EventBatch, most: int) -> list[Test]:
    """Return the tests of a batch that is not applied yet, of at most `most` customers.

    `related.lock` must be held.
    """
    tests = []
    for visit in visits(batch, customers.histories, most):
        customer_id = customers.customers.id(visit.customer)
        example = learner.before(learner.recommender.history(customer_id))
        tests.append(Test(visit, customer_id, example))
    return tests


def after(
    learner: Learner, tests: list[Test], batch: EventBatch, outcomes: npt.NDArray[np.uint8]
) -> list[Tested]:
    """Count which algorithms hit and learn, once the batch is applied with these outcomes.

    `related.lock` must be held.
    """
    tested = []
    for visit, customer_id, example in tests:
        counted = [i for i in visit.events if outcomes[i] < GONE]
        items = learner.recommender.in_related(np.unique(batch.items[counted]))
        if len(items):
            hits = learner.after(example, items, visit.time_ms)
            tested.append(Tested(visit.customer, customer_id, visit.time_ms, hits))
    return tested
