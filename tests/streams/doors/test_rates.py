"""Each client has a rate, and what is remembered of clients has a bound."""

from __future__ import annotations

import pytest

from streams.doors import rates
from streams.doors.rates import Rates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_client_has_a_burst_and_then_a_rate() -> None:
    clock = Clock()
    some = Rates(10, clock)
    assert sum(some.take("ann", 1) == 0 for _ in range(100)) == 21  # two seconds' worth, and one
    wait_s = some.take("ann", 1)
    assert wait_s == pytest.approx(0.1)
    assert some.take("bob", 1) == 0  # is another
    clock.now += wait_s
    assert some.take("ann", 1) == 0
    assert some.take("ann", 1) > 0
    clock.now += 1_000
    assert sum(some.take("ann", 1) == 0 for _ in range(100)) == 21  # nobody saves more than a burst


def test_what_costs_more_counts_for_several() -> None:
    some = Rates(10, Clock())
    assert sum(some.take("ann", 10) == 0 for _ in range(100)) == 3
    assert Rates(1, Clock()).take("ann", 50) == 0  # once, also where it is more than a burst


def test_no_rate_is_no_limit() -> None:
    some = Rates(0, Clock())
    assert not any(some.take("ann", 50) for _ in range(1_000))
    assert len(some) == 0


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_CLIENTS", 100)
    clock = Clock()
    some = Rates(10, clock)
    for _ in range(30):
        some.take("eve", 10)
    for n in range(1_000):  # of many addresses, all at once
        some.take(f"client {n}", 1)
    assert len(some) == 101
    assert some.take("eve", 1) == pytest.approx(1.0)  # is not forgotten for them
    assert some.take("client 5000", 1) > 0  # those for whom there was no room share a rate
    clock.now += 2.0
    assert some.take("client 5001", 1) == 0  # who has paid is forgotten
    assert len(some) < 101
