"""Tests of waiting customers: order, the second between messages, and the offset all are served to."""

from __future__ import annotations

import random

from streams.recommending.waiting import AGAIN_S, Waiting


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def waiting() -> tuple[Waiting, _Clock]:
    clock = _Clock()
    return Waiting(clock), clock


def test_each_is_served_at_most_once_a_second() -> None:
    some, clock = waiting()
    some.add(["ann", "bob"], 0)
    assert some.due(9) == ["ann", "bob"]
    assert some.due(1) == ["ann"]
    some.serve(["ann", "bob"], [], [])
    assert (some.due(9), len(some), some.next_s(7.0)) == ([], 0, 7.0)
    clock.now += 0.4
    some.add(["ann", "eve"], 5)
    assert some.due(9) == ["eve"]
    some.serve(["eve"], [], [])
    assert abs(some.next_s(7.0) - 0.6) < 1e-9
    clock.now += 0.6
    assert some.due(9) == ["ann"]
    some.serve(["ann"], [], [])
    clock.now += AGAIN_S
    some.add(["ann"], 9)
    assert some.due(9) == ["ann"]


def test_urgent_ones_go_first_and_need_no_events() -> None:
    some, _ = waiting()
    some.add(["ann", "bob"], 0)
    some.urgent |= {"eve": None, "bob": None}
    assert some.due(9) == ["eve", "bob"]
    some.serve(["eve", "bob"], [], [])
    assert some.due(9) == ["ann"]
    assert len(some) == 1


def test_everything_before_the_oldest_event_that_waits_is_served() -> None:
    """The offset is compared with a plain list of events, whatever comes and is served."""
    rng = random.Random(1)
    some, clock = waiting()
    events: list[tuple[int, str]] = []  # not served yet
    position, reached = 0, 0
    for _ in range(2_000):
        clock.now += rng.random() * 0.2
        if rng.random() < 0.6:
            customers = {f"c{rng.randrange(12)}" for _ in range(rng.randrange(1, 4))}
            some.add(sorted(customers), position)
            events += [(position, customer) for customer in customers]
            position += len(customers)
        else:
            served = some.due(rng.randrange(1, 6))
            some.serve(served, [], [])
            events = [(offset, customer) for offset, customer in events if customer not in served]
        reached = some.served_until(position, reached)
        assert reached <= min((offset for offset, _ in events), default=position)
    clock.now += AGAIN_S
    some.serve(some.due(99), [], [])
    assert some.served_until(position, reached) == position
    assert reached > 1_000  # it moved on meanwhile, although somebody always waited


def test_earlier_events_come_first_and_hold_the_offset() -> None:
    some, _ = waiting()
    some.add(["ann", "bob"], 50)
    some.add_before(["eve", "bob"], 20)
    assert some.due(9) == ["eve", "bob", "ann"]
    assert some.served_until(90, 0) == 20
    some.serve(["eve"], [], [])
    assert some.served_until(90, 20) == 20
    some.serve(["bob"], [], [])
    assert some.served_until(90, 20) == 50


def test_recommendations_to_be_taken_back_hold_the_offset() -> None:
    some, _ = waiting()
    some.erased[b"ann"] = None
    assert some.served_until(30, 10) == 10
    some.serve([], [b"ann"], [])
    assert some.served_until(30, 10) == 30


def test_customers_who_got_nothing_are_tried_again_after_further_purchases() -> None:
    some, clock = waiting()
    some.add(["ann", "bob"], 0)
    some.serve(["ann", "bob"], [], ["ann"])
    assert not some.try_again(0, 10)
    assert some.try_again(3, 10)
    assert not some.try_again(4, 10)
    clock.now += AGAIN_S
    assert some.due(9) == ["ann"]
    assert some.served_until(30, 0) == 10
