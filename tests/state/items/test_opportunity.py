"""Tests of opportunity sizes, and of the error of gathering them in cells."""

from __future__ import annotations

import numpy as np
import pytest

from state.items.machine import ItemMachine
from state.items.opportunity import Cells, nodes, opportunity
from state.items.tables import put_size, take_size
from state.relatedness import expected
from state.settings import CountingSettings

WINDOWS = [1, 2, 3, 5, 50, 250]


@pytest.mark.parametrize("window", WINDOWS)
def test_opportunity_is_the_number_of_neighbours(window: int) -> None:
    for length in (1, 2, window, window + 1, 2 * window + 1, 2 * window + 5):
        for rank in range(length):
            near = sum(1 for other in range(length) if other != rank and abs(other - rank) <= window)
            assert opportunity(rank, length, window) == near


@pytest.mark.parametrize("window", WINDOWS)
def test_nodes_reach_from_nothing_to_twice_the_window(window: int) -> None:
    node = nodes(window)
    assert node[0] == 0
    assert node[-1] == 2 * window
    assert (np.diff(node) > 0).all()
    growth = node[5:] / node[4:-1] if len(node) > 5 else np.ones(0)
    assert (growth <= 1.5).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_cells_hold_every_size(window: int) -> None:
    cells = Cells.of(window)
    sizes = np.arange(2 * window + 1)
    np.testing.assert_array_equal(cells.nodes[cells.of_size] + cells.above, sizes)
    gaps = np.append(np.diff(cells.nodes), 1)
    assert (cells.above < gaps[cells.of_size]).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_splitting_keeps_the_buyers_and_their_sizes(window: int) -> None:
    cells = Cells.of(window)
    drawn = np.random.default_rng(window).integers(0, 2 * window + 1, 1000)
    held = np.zeros((2, len(cells.nodes)), np.uint32)
    np.add.at(held[0], cells.of_size[drawn], 1)
    np.add.at(held[1], cells.of_size[drawn], cells.above[drawn].astype(np.uint32))
    split = cells.at_nodes(held)
    assert split.sum() == pytest.approx(1000)
    assert split @ cells.nodes == pytest.approx(drawn.sum())
    assert (split >= 0).all()


@pytest.mark.parametrize("window", [5, 50, 250])
def test_the_split_errs_by_less_than_its_bound(window: int) -> None:
    """A single buyer errs by up to 0.081 (ratio of nodes - 1)^2, and many together err by less."""
    cells = Cells.of(window)
    worst = 0.0
    for size in range(1, 2 * window + 1):
        held = np.zeros((2, len(cells.nodes)), np.uint32)
        held[:, cells.of_size[size]] = 1, cells.above[size]
        split = cells.at_nodes(held)
        cell = cells.of_size[size]
        ratio = cells.nodes[cell + 1] / cells.nodes[cell] if cell + 1 < len(cells.nodes) else 1.0
        for share in np.geomspace(1e-7, 0.98, 60):
            exact = -np.expm1(size * np.log1p(-share))
            error = abs(expected(share, cells.nodes, split) / exact - 1)
            if cells.above[size]:
                assert error <= 0.081 * (ratio - 1) ** 2
            worst = max(worst, error)
    assert worst < 0.0051
    rng = np.random.default_rng(7)
    for _ in range(20):
        drawn = np.minimum(rng.geometric(rng.uniform(0.02, 0.5), 200), 2 * window)
        held = np.zeros((2, len(cells.nodes)), np.uint32)
        np.add.at(held[0], cells.of_size[drawn], 1)
        np.add.at(held[1], cells.of_size[drawn], cells.above[drawn].astype(np.uint32))
        for share in np.geomspace(1e-7, 0.98, 20):
            exact = -np.expm1(drawn * np.log1p(-share)).sum()
            assert expected(share, cells.nodes, cells.at_nodes(held)) == pytest.approx(exact, rel=0.0032)


def test_taking_back_is_the_exact_inverse_of_putting() -> None:
    machine = ItemMachine(CountingSettings(window=50))
    rng = np.random.default_rng(3)
    sizes = rng.integers(0, 101, 500).tolist()
    for size in sizes:
        put_size(machine.tables, 0, size)
    before = machine.tables.sizes[0].copy()
    for size in sizes:
        put_size(machine.tables, 0, size)
    for size in rng.permutation(sizes).tolist():
        take_size(machine.tables, 0, size)
    np.testing.assert_array_equal(machine.tables.sizes[0], before)
    for size in sizes:
        take_size(machine.tables, 0, size)
    assert not machine.tables.sizes.any()
