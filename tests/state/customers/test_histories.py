"""Histories are compared with a plain list: appending, adding, removing, forgetting, and event ids."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from state.customers import event_rings, history_memory
from state.customers import histories as hs
from state.customers import repeats as history_repeats

DAY_MS = 86_400_000


def _read(h: hs.Histories, customer: int) -> list[list[Any]]:
    return [list(row) for row in zip(*(c.tolist() for c in history_memory.read(h, customer)), strict=True)]


@pytest.mark.parametrize(("items", "steps"), [(10, 800), (200, 4000)])
def test_a_history_is_a_list(items: int, steps: int) -> None:
    rng = random.Random(items)
    h, plain = hs.new_histories(3), [[], [], []]  # type: tuple[hs.Histories, list[list[list[Any]]]]
    for step in range(steps):
        customer, item, now = rng.randrange(3), rng.randrange(items), 1_700_000_000_000 + rng.randrange(10**9)
        history, rank = plain[customer], hs.rank_of(h, customer, item)
        assert rank == next((r for r, row in enumerate(history) if row[0] == item), -1)
        dice = rng.random()
        if dice < 0.002:
            hs.forget(h, np.array([customer]))
            history.clear()
        elif rank < 0:
            hs.append(h, customer, item, 2, now, now, 1, 1.0, 0)
            history.append([item, 2, now, now, 1, 1.0])
        elif dice < 0.4:
            hs.remove(h, customer, rank)
            del history[rank]
        else:
            assert hs.add_quantity(h, customer, rank, 3) == history[rank][1] + 3
            _, quantity, first, last, days, recent = history[rank]
            days = (days & hs.MOST_DAYS) + (now // DAY_MS != last // DAY_MS)
            decay = math.exp(-abs(now - last) / (30 * DAY_MS))
            recent = recent * decay + 1 if now >= last else recent + decay
            profile, span = step % 256, _span(history[rank])
            code = history_repeats.again(h, customer, rank, now, profile)
            history[rank] = [item, quantity + 3, first, max(last, now), days | profile << 24, recent]
            assert code >> history_repeats.SPAN_BITS == _span(history[rank]) - span
            assert bool(code & history_repeats.DAY_ADDED) == (now // DAY_MS != last // DAY_MS)
            assert bool(code & history_repeats.REPEATER) == (days == 2 and now // DAY_MS != last // DAY_MS)
        if step % 50 == 0:
            _check(h, plain)
    _check(h, plain)


def _span(row: list[Any]) -> int:
    return max(row[3] - row[2], 0) // 60_000 if row[4] & hs.MOST_DAYS > 1 else 0


def _check(h: hs.Histories, plain: list[list[list[Any]]]) -> None:
    for customer, expected in enumerate(plain):
        found = _read(h, customer)
        assert [row[:5] for row in found] == [row[:5] for row in expected]
        assert [row[5] for row in found] == pytest.approx([row[5] for row in expected], rel=1e-4)


def test_the_last_128_event_ids_are_remembered() -> None:
    rng = random.Random(1)
    h = hs.new_histories(1)
    seen: list[int] = []
    for _ in range(3000):
        event = rng.randrange(1, 400)
        expected = event in seen[-event_rings.REMEMBERED_EVENTS :]
        assert event_rings.seen_before(h, 0, event) == expected
        if not expected:
            seen.append(event)
    assert h.seen[0] == len(seen)


def test_forgetting_overwrites() -> None:
    h = hs.new_histories(2)
    for n in range(1, 50):
        hs.append(h, 0, 123_456_000 + n, 1, 1, 1, 1, 1.0, 0)
        event_rings.seen_before(h, 0, 987_654_321_000 + n)
    hs.append(h, 1, 7, 1, 1, 1, 1, 1.0, 0)
    start, end = int(h.start[0]), int(h.start[0]) + hs.ENTRY_WORDS * 49
    hs.forget(h, np.array([0]))
    assert (h.arena[start + 1 : end] == 0).all()
    assert _read(h, 0) == []
    assert len(event_rings.read_ring(h, 0)) == 0
    assert not event_rings.seen_before(h, 0, 987_654_321_001)
    assert _read(h, 1) == [[7, 1, 1, 1, 1, 1.0]]


def test_growing_keeps_everything() -> None:
    h = hs.new_histories(1)
    hs.append(h, 0, 7, 2, 3, 4, 5, 0.5, 255)
    h = hs.grow_histories(h, 5)
    hs.append(h, 4, 8, 1, 1, 1, 1, 1.0, 0)
    assert _read(h, 0) == [[7, 2, 3, 4, 5 | 255 << 24, 0.5]]
    assert _read(h, 4) == [[8, 1, 1, 1, 1, 1.0]]
