"""The machines are compared with the oracle on a slice of a year of real purchases."""

from __future__ import annotations

import pytest

from state.customers.events import Event
from state.settings import CountingSettings
from tests.events import as_event, real_slice
from tests.oracles.counts import Oracle
from tests.state.items.test_lists import check_lists
from tests.state.machines import Run, check_counts, check_histories


def _real(n: int, seed: int) -> list[Event]:
    return [as_event(message) for message in real_slice(n, seed)]


@pytest.mark.parametrize(("n", "seed", "window"), [(30_000, 0, 5), (10_000, 3, 50)])
def test_counts_of_real_purchases(n: int, seed: int, window: int) -> None:
    events = _real(n, seed)
    run = Run.over(events, CountingSettings(window=window), partitions=3, sources=2, chunk=2000)
    oracle = Oracle(window).feed(events)
    check_histories(run.customers, run.source_of, oracle)
    check_counts(run.items, run.partition_of, oracle)


def test_lists_of_real_purchases() -> None:
    events = _real(8_000, 0)
    run = Run.over(events, CountingSettings(window=10, list_length=20), partitions=2)
    assert check_lists(run, Oracle(10).feed(events), "mix", 20) > 10_000
