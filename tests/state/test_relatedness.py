"""Expected co-purchases: the grid is compared with the formula, and the formula with the sum over buyers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from state import relatedness as rel
from state.items.opportunity import Cells
from state.items.ranking import _grid_of


def _gathered(cells: Cells, sizes: np.ndarray) -> np.ndarray:
    held = np.zeros((2, len(cells.nodes)), np.uint32)
    np.add.at(held[0], cells.of_size[sizes], 1)
    np.add.at(held[1], cells.of_size[sizes], cells.above[sizes].astype(np.uint32))
    return held


def _direct(share: float, sizes: np.ndarray) -> float:
    return math.fsum(1 - (1 - share) ** int(m) for m in sizes)


@pytest.mark.parametrize("buyers", ["light", "mixed", "heavy"])
def test_the_formula_is_the_sum_over_buyers(buyers: str) -> None:
    cells = Cells.of(50)
    rng = np.random.default_rng(5)
    sizes = {
        "light": rng.integers(0, 5, 300),
        "mixed": np.minimum(rng.geometric(0.05, 300), 100),
        "heavy": np.full(300, 100),
    }[buyers]
    split = cells.at_nodes(_gathered(cells, sizes))
    for share in (1e-3, 0.01, 0.1, 0.5, 0.98):
        assert rel.expected(share, cells.nodes, split) == pytest.approx(_direct(share, sizes), rel=0.0032)
        if buyers != "mixed":  # sizes that are nodes are not split at all
            assert rel.expected(share, cells.nodes, split) == pytest.approx(_direct(share, sizes), rel=1e-9)


def test_rare_items_do_not_cancel() -> None:
    """For tiny P, 1 - (1 - P)^m loses every digit, and the binomial series errs a million fold."""
    cells = Cells.of(50)
    split = cells.at_nodes(_gathered(cells, np.full(1000, 100)))
    for share in (1e-9, 1e-12, 1e-15):
        assert rel.expected(share, cells.nodes, split) == pytest.approx(1000 * 100 * share, rel=1e-6)


@pytest.mark.parametrize("window", [1, 5, 50, 250])
def test_the_grid_is_as_good_as_the_formula(window: int) -> None:
    cells = Cells.of(window)
    matrix = rel.expectation_matrix(cells.nodes)
    gaps = np.append(np.diff(cells.nodes), 1).astype(np.float64)
    rng = np.random.default_rng(window)
    table = np.empty(rel.GRID_POINTS + 1)
    for _ in range(10):
        held = _gathered(cells, rng.integers(1, 2 * window + 1, rng.integers(1, 500)))
        _grid_of(held, gaps, matrix, table)
        split = cells.at_nodes(held)
        for total in (1, 7, 1000, 10**6, 10**9):
            for buyers in {1, max(1, total // 1000), max(1, total // 3), total}:
                at = rel.grid_position(buyers, total)
                cell = int(at)
                e = table[cell] + (at - cell) * (table[cell + 1] - table[cell])
                assert e == pytest.approx(rel.expected(buyers / total, cells.nodes, split), rel=0.0015)


def test_positions_grow_with_the_share_and_stay_on_the_grid() -> None:
    positions = [rel.grid_position(buyers, 10**6) for buyers in range(0, 10**6 + 1, 97)]
    positions.append(rel.grid_position(10**6, 10**6))
    assert (np.diff(positions) >= 0).all()
    assert positions[0] == rel.grid_position(0, 0) == 0.0
    assert positions[-1] < rel.GRID_POINTS
    assert rel.grid_position(-1, 5) == 0.0
    grid = rel.grid()
    assert len(grid) == rel.GRID_POINTS
    assert grid[-1] >= -math.log1p(-rel.LARGEST_SHARE)


def _score(name: str, n: float, f: float, e: float, f_share: float = 0.5, recent: float = 4.0) -> float:
    value, _ = rel.score(rel.MODES[name], n, f, e, f_share, math.sqrt(recent), 2.0)
    return float(value)


def test_scores_are_their_formulas() -> None:
    n, f, e = 30.0, 12.0, 10.0
    z, z_f = (n - e) / math.sqrt(e + 20), (f - 5) / math.sqrt(5 + 5)
    assert _score("corrected", n, f, e) == pytest.approx(z)
    assert _score("mix", n, f, e) == pytest.approx((z / 2 + z_f) * 2)
    assert _score("raw", n, f, e) == n
    assert _score("flawed", n, f, e) == pytest.approx(28 / math.sqrt(22))
    assert _score("difference", n, f, e) == 20
    assert _score("g", n, f, e) == pytest.approx(2 * (30 * math.log(3) - 20))
    assert _score("g", e, f, n) == pytest.approx(-2 * (10 * math.log(1 / 3) + 20))


def test_as_often_as_chance_has_it_is_not_related() -> None:
    for name in ("mix", "corrected", "difference", "g"):
        assert _score(name, 10.0, 5.0, 10.0) == 0
        assert _score(name, 11.0, 6.0, 10.0) > 0
    assert _score("mix", 5.0, 2.0, 10.0) == 0
    assert _score("g", 1.0, 1.0, 0.0) == 0


def test_heavy_buyers_expect_more() -> None:
    """Two hundred buyers of two items have a lower expectation than twenty buyers of a hundred each."""
    cells = Cells.of(50)
    light = cells.at_nodes(_gathered(cells, np.full(20, 1)))
    heavy = cells.at_nodes(_gathered(cells, np.full(20, 100)))
    assert rel.expected(0.001, cells.nodes, heavy) > 90 * rel.expected(0.001, cells.nodes, light)
