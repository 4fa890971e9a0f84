"""Find the customers who come back in a batch, and what they buy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from state.customers import histories as hs
from state.customers.actions import Action
from state.customers.events import EventBatch
from state.customers.histories import Histories

BREAK_MS = 30 * 60_000
MOST_EXAMPLES = 20  # of a chunk of a full load; further visits are skipped


class Visit(NamedTuple):
    """A customer's first visit in a batch.

    Attributes
    ----------
    customer
        The customer's slot.
    time_ms
        The time of the visit's first event.
    events
        The indices of its purchases in the batch.
    """

    customer: int
    time_ms: int
    events: list[int]


def visits(batch: EventBatch, histories: Histories, most: int) -> list[Visit]:
    """Return the first visits of customers who have a history: at most `most`, spread evenly over the batch.

    A visit is what a customer buys without a break of 30 minutes of event time. Events that continue a visit
    of an earlier batch are no visit of their own.
    """
    found: dict[int, Visit] = {}
    newest: dict[int, int] = {}
    actions, customers, times = batch.actions.tolist(), batch.customers.tolist(), batch.times_ms.tolist()
    for i, (action, customer, time_ms) in enumerate(zip(actions, customers, times, strict=True)):
        if action != Action.PURCHASE:
            continue
        visit = found.get(customer)
        if visit is None:
            found[customer] = Visit(customer, time_ms, [i])
        elif time_ms - newest[customer] <= BREAK_MS:
            visit.events.append(i)
        else:
            continue
        newest[customer] = max(time_ms, newest.get(customer, time_ms))
    back = []
    for visit in found.values():
        if visit.customer < len(histories.length) and histories.length[visit.customer] > 0:
            last_ms = int(hs.newest_ms(histories, visit.customer))
            if visit.time_ms - last_ms > BREAK_MS:
                back.append(visit)
    if len(back) <= most:
        return back
    return [back[i] for i in np.linspace(0, len(back) - 1, most).astype(int).tolist()]
