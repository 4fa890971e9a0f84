"""The two loops over rows of a table that training spends its time in, compiled with numba."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from chronological.examples import Ints

Weights = npt.NDArray[Any]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_rows(table: Weights, which: Ints, start: Ints) -> Weights:
    """float[groups, columns]: the sum of rows which[start[g] : start[g + 1]] of a table, of each group g."""
    groups, columns = len(start) - 1, table.shape[1]
    sums = np.zeros((groups, columns), table.dtype)
    for g in range(groups):
        to = sums[g]
        for k in range(start[g], start[g + 1]):
            row = table[which[k]]
            for j in range(columns):
                to[j] += row[j]
    return sums


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def adam_step(
    weights: Weights,
    first: Weights,
    second: Weights,
    steps: Ints,
    rows: Ints,
    gradient: Weights,
    constants: Weights,
) -> None:
    """One step of `chronological.adam` in place; `constants` are b1, 1 - b1, b2, 1 - b2, rate and epsilon."""
    b1, of_g, b2, of_square, rate, epsilon = constants
    unbiased = np.empty(2, weights.dtype)
    for i in range(len(rows)):
        row = rows[i]
        steps[row] += 1
        unbiased[0] = 1.0 / (1.0 - np.float64(b1) ** steps[row])
        unbiased[1] = 1.0 / (1.0 - np.float64(b2) ** steps[row])
        by_m, by_v = unbiased
        w, m, v, g = weights[row], first[row], second[row], gradient[i]
        for j in range(len(g)):
            m[j] = b1 * m[j] + of_g * g[j]
            v[j] = b2 * v[j] + of_square * g[j] * g[j]
            w[j] -= rate * m[j] * by_m / (np.sqrt(v[j] * by_v) + epsilon)
