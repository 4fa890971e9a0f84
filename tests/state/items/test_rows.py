"""Rows are compared with a dictionary: random additions and undoing, growth, deletion, dump and fill."""

from __future__ import annotations

import random

import numpy as np
import pytest

from state.items import codec as item_codec
from state.items import row_layout as rl
from state.items import row_memory
from state.items import rows as rw
from state.memory.entries import decay_weight

MINUTE = 25_000_000
CAPACITY = 1 << 20
Entries = dict[int, tuple[int, int, float]]


def _read(rows: rl.Rows, row: int) -> Entries:
    columns = zip(*(column.tolist() for column in row_memory.read(rows, row)), strict=True)
    return {neighbour: (after, before, f) for neighbour, after, before, f in columns}


@pytest.mark.parametrize(
    ("neighbours", "steps", "taking"), [(5, 600, 0.45), (300, 6000, 0.3), (3000, 8000, 0.48)]
)
def test_a_row_is_a_dictionary(neighbours: int, steps: int, taking: float) -> None:
    rng = random.Random(neighbours)
    rows = rl.new_rows(4)
    pairs: list[tuple[int, int, int, int]] = []  # row, neighbour, after, minute
    for _ in range(steps):
        if pairs and rng.random() < taking:
            row, neighbour, after, minute = pairs.pop(rng.randrange(len(pairs)))
            rw.take(rows, row, neighbour, after, decay_weight(minute))
        else:
            row, neighbour, after = rng.randrange(4), rng.randrange(neighbours) * 977, rng.randrange(2)
            minute = MINUTE + rng.randrange(50_000)
            pairs.append((row, neighbour, after, minute))
            rw.add(rows, row, neighbour, after, minute, decay_weight(minute), CAPACITY)
    for row in range(4):
        mine = [pair for pair in pairs if pair[0] == row]
        found = _read(rows, row)
        assert set(found) == {neighbour for _, neighbour, _, _ in mine}
        for neighbour, (after, before, f) in found.items():
            minutes = [(a, m) for _, y, a, m in mine if y == neighbour]
            assert (after, before) == (sum(a for a, _ in minutes), sum(1 - a for a, _ in minutes))
            assert f == pytest.approx(sum(decay_weight(m) for _, m in minutes), rel=1e-9)
        assert rows.heads[row, rl.LIVE] == len(found)
        assert rows.heads[row, rl.MASS] == len(mine)
        assert rows.heads_f[row, rl.RECENT_MASS] == pytest.approx(sum(decay_weight(m) for *_, m in mine))
        assert all((rw.find(rows, row, y * 977) >= 0) == (y * 977 in found) for y in range(neighbours))


def test_taking_everything_back_leaves_nothing() -> None:
    rows = rl.new_rows(1)
    pairs = [(n % 90, n % 2, MINUTE + n) for n in range(500)]
    for _ in range(20):
        for neighbour, after, minute in pairs:
            rw.add(rows, 0, neighbour, after, minute, decay_weight(minute), CAPACITY)
        for neighbour, after, minute in pairs:
            rw.take(rows, 0, neighbour, after, decay_weight(minute))
        assert _read(rows, 0) == {}
        assert rows.heads_f[0, rl.RECENT_MASS] == 0
    assert rows.meta[rl.SIDE_END] <= 90  # side records are used again
    assert rows.free[-1] < 90 * 30  # and so are lines


def test_taking_from_an_empty_row_finds_nothing() -> None:
    rows = rl.new_rows(1)
    assert rw.find(rows, 0, 3) == -1
    assert _read(rows, 0) == {}


def test_growing_the_table_of_rows_keeps_them() -> None:
    rows = rl.new_rows(1)
    rw.add(rows, 0, 3, 1, MINUTE, decay_weight(MINUTE), CAPACITY)
    rows = rl.grow_rows(rows, 10)
    assert list(_read(rows, 0)) == [3]
    rw.add(rows, 9, 4, 0, MINUTE, decay_weight(MINUTE), CAPACITY)
    assert list(_read(rows, 9)) == [4]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("minutes", [(0, 0), (0, (1 << 30) - 1), (26_000_000, 26_000_001)])
@pytest.mark.parametrize("neighbours", [(0,), (7, 8, 9), (0, 100_000, (1 << 32) - 3)])
def test_numbers_of_any_size_are_stored(
    neighbours: tuple[int, ...], minutes: tuple[int, int], times: int
) -> None:
    rows, into = rl.new_rows(1), rl.new_rows(1)
    for i, neighbour in enumerate(neighbours):
        for _ in range(times):
            minute = minutes[i % 2]
            rw.add(rows, 0, neighbour, i % 2, minute, decay_weight(minute), CAPACITY)
    if times > 1:  # counts are as large as they may be
        rows.side[0], rows.side[2] = np.uint64((1 << 64) - 1), np.uint64(1 << 63)
    sizes = np.array([[[1, 2, 3], [(1 << 32) - 1, 0, 5]]], np.uint32)
    (packed,) = item_codec.pack_rows(rows, np.array([0]), sizes, np.array([1 << 40]))
    back, included = np.zeros((1, 2, 3), np.uint32), np.zeros(1, np.int64)
    item_codec.unpack_rows(into, [0], [(b"r", packed)], back, included)
    assert _read(into, 0) == _read(rows, 0)
    assert len(_read(into, 0)) == len(neighbours)
    assert (back.tolist(), included.tolist()) == (sizes.tolist(), [1 << 40])


def test_stored_pairs_take_few_bytes() -> None:
    """The times are within a year, and the catalogue has 100,000 items."""
    rng = np.random.default_rng(1)
    rows = rl.new_rows(2)
    for neighbour in rng.permutation(100_000)[:4_000].tolist():
        minute = MINUTE + int(rng.integers(525_600))
        rw.add(rows, 0, neighbour, 1, minute, decay_weight(minute), CAPACITY)
        for _ in range(5):
            rw.add(rows, 1, neighbour, 1, minute, decay_weight(minute), CAPACITY)
    packed = item_codec.pack_rows(rows, np.arange(2), np.zeros((2, 2, 1), np.uint32), np.zeros(2, np.int64))
    assert [len(raw) // 4_000 for raw in packed] == [4, 10]


@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 9, 100, 5000])
def test_filling_is_the_inverse_of_dumping(n: int) -> None:
    rng = np.random.default_rng(n)
    rows, into = rl.new_rows(1), rl.new_rows(1)
    for neighbour in rng.integers(0, max(1, 2 * n), n).tolist():
        minute = MINUTE + int(rng.integers(50_000))
        rw.add(rows, 0, neighbour, int(rng.integers(2)), minute, decay_weight(minute), CAPACITY)
    sizes = np.zeros((1, 2, 3), np.uint32)
    (packed,) = item_codec.pack_rows(rows, np.array([0]), sizes, np.array([0]))
    item_codec.unpack_rows(into, [0], [(b"r", packed)], sizes, np.zeros(1, np.int64))
    assert _read(into, 0) == _read(rows, 0)
    for _ in range(50):  # it continues as the first does
        neighbour, minute = int(rng.integers(0, 2 * n + 1)), MINUTE + int(rng.integers(50_000))
        for one in (rows, into):
            rw.add(one, 0, neighbour, 1, minute, decay_weight(minute), CAPACITY)
    assert _read(into, 0) == _read(rows, 0)
