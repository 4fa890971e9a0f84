"""The chronological model that `alsobought train` would have made at a moment, from the events before it."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from chronological import fitting
from chronological.errors import TooShort
from chronological.examples import Log
from chronological.training import Report
from evaluation.protocol import Events, OnProgress
from recommending.chronological import ChronologicalModel
from state.memory.ids import Dictionary


def trained(before: Events, version: int, progress: OnProgress) -> ChronologicalModel | None:
    """Return a model of events that are all before its moment; None if they are too few to learn from."""
    if not len(before):
        return None
    customer, item = before.customer.astype(np.int64), before.item.astype(np.int64)
    log, known = fitting.well_known(Log.of(customer, item, before.time_ms, before.n_items))
    if not len(log.times_ms):
        return None
    try:
        training = fitting.chronological(log, int(log.times_ms[-1]) + 1)
    except TooShort:
        return None

    def show(report: Report) -> None:
        progress(report.batches / report.of_batches)

    with threadpool_limits(1, "blas"):  # matrices are too small for more
        training.run(show)
    items = Dictionary()
    for number in known.tolist():
        items.number(str(number))
    network = training.network
    return ChronologicalModel(version, items, network.inward, network.outward, network.bias)
