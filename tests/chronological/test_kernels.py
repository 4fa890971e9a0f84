"""The compiled loops are compared with numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from chronological.kernels import sum_rows
from chronological.network import Floats


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_of_rows_are_numpys(kind: type) -> None:
    rng = np.random.default_rng(3)
    table: Floats = rng.standard_normal((40, 7)).astype(kind)
    lengths = rng.integers(0, 9, 25)  # some rows have none
    start = np.append(0, np.cumsum(lengths))
    which = rng.integers(0, len(table), start[-1])
    sums = sum_rows(table, which, start)
    assert sums.dtype == kind
    expected = [table[which[a:b]].astype(np.float64).sum(axis=0) for a, b in pairwise(start)]
    np.testing.assert_allclose(sums, expected, rtol=1e-5 if kind is np.float32 else 1e-12, atol=1e-6)
