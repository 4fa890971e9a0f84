"""A full row drops the eighth of its entries with the least F, the same ones in every run."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from state.items import row_layout as rl
from state.items import row_memory
from state.items import rows as rw
from state.memory.entries import decay_weight
from state.settings import CountingSettings
from tests.oracles.counts import Oracle
from tests.state.machines import Run, shop

MINUTE = 25_000_000


def _oracle(
    pairs: list[tuple[int, int, int]], capacity: int
) -> tuple[dict[int, tuple[int, int, float]], int, float]:
    """Return the entries, how many were dropped, and the largest F that was dropped."""
    entries: dict[int, tuple[int, int, float]] = {}
    dropped, lost = 0, 0.0
    for neighbour, after, minute in pairs:
        if neighbour not in entries and len(entries) >= capacity:
            order = sorted(entries, key=lambda y: (entries[y][2], -y))
            for y in order[: max(1, len(entries) // 8)]:
                lost = max(lost, entries.pop(y)[2])
                dropped += 1
        a, b, f = entries.get(neighbour, (0, 0, 0.0))
        entries[neighbour] = a + after, b + 1 - after, f + float(decay_weight(minute))
    return entries, dropped, lost


@pytest.mark.parametrize(("capacity", "neighbours"), [(8, 30), (9, 200), (64, 100), (500, 2000)])
def test_a_full_row_drops_its_least(capacity: int, neighbours: int) -> None:
    rng = random.Random(capacity)
    # few different minutes, so that many entries tie
    pairs = [
        (int(neighbours * rng.random() ** 2), rng.randrange(2), MINUTE + 1000 * rng.randrange(20))
        for _ in range(4000)
    ]
    rows = rl.new_rows(1)
    for neighbour, after, minute in pairs:
        rw.add(rows, 0, neighbour, after, minute, decay_weight(minute), capacity)
    entries, dropped, lost = _oracle(pairs, capacity)
    found = {y: rest for y, *rest in zip(*(c.tolist() for c in row_memory.read(rows, 0)), strict=True)}
    assert found == {y: list(entry) for y, entry in entries.items()}
    assert dropped > 0
    assert rows.heads[0, rl.DROPPED] == dropped
    assert rows.heads_f[0, rl.LOST] == lost
    assert rows.heads[0, rl.MASS] == len(pairs)  # dropped entries still count in the sum


def test_counts_of_entries_never_dropped_stay_exact() -> None:
    events = shop(61, 3000, 50, 400, returns=0.0, forgets=0.0)
    small, again = (Run.over(events, CountingSettings(window=5, row_capacity=24)).items[0] for _ in range(2))
    after = Oracle(5).feed(events).after()
    full = exact = 0
    for name in small.items:
        row = int(small.tables.row_of[small.items.get(name)])
        entries = {
            y: rest
            for y, *rest in zip(*(c.tolist() for c in row_memory.read(small.tables.rows, row)), strict=True)
        }
        assert len(entries) <= 24
        if not small.tables.rows.heads[row, rl.DROPPED]:
            neighbours = {y for x, y in after if x == name} | {x for x, y in after if y == name}
            assert {small.items.id(y) for y in entries} == neighbours
        else:
            full += 1
        for y, (a, b, _) in entries.items():
            other = small.items.id(y)
            # an entry that was dropped once starts anew; it can only have less
            assert a <= after[name, other]
            assert b <= after[other, name]
            exact += (a, b) == (after[name, other], after[other, name])
    assert full > 10
    assert exact > 100
    end = int(small.tables.rows.free[-1])
    assert small.tables.rows.arena[:end].tobytes() == again.tables.rows.arena[:end].tobytes()
    assert small.tables.rows.heads.tobytes() == again.tables.rows.heads.tobytes()
    assert [small.related(name) for name in small.items] == [again.related(name) for name in again.items]


@pytest.mark.parametrize("seed", range(5))
def test_a_dropped_entry_that_came_back_is_never_negative(seed: int) -> None:
    rng = random.Random(seed)
    rows = rl.new_rows(1)
    added: list[tuple[int, int, int]] = []
    for _ in range(5_000):
        if added and rng.random() < 0.45:
            neighbour, after, minute = added.pop(rng.randrange(len(added)))
            rw.take(rows, 0, neighbour, after, decay_weight(minute))
        else:
            neighbour, after, minute = rng.randrange(40), rng.randrange(2), MINUTE + rng.randrange(50_000)
            rw.add(rows, 0, neighbour, after, minute, decay_weight(minute), 8)
            added.append((neighbour, after, minute))
        most = Counter((neighbour, after) for neighbour, after, _ in added)
        for neighbour, after, before, f in zip(*(c.tolist() for c in row_memory.read(rows, 0)), strict=True):
            assert 0 <= after <= most[neighbour, 1]
            assert 0 <= before <= most[neighbour, 0]
            assert f >= 0.0
