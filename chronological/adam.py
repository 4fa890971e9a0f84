"""Adam (Kingma and Ba, ICLR 2015), for tables of which a batch touches only some rows.

    m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
    w = w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)

A row that a batch does not touch keeps its m and v, and t counts the steps of the row. So a step costs as
much as the rows it touches, and a row that is seldom touched is corrected like one that has just begun. If
every step touches every row, this is plain Adam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chronological.examples import Ints
from chronological.kernels import adam_step
from chronological.network import Floats

RATE = 0.001
B1, B2, EPSILON = 0.9, 0.999, 1e-8


@dataclass
class Adam:
    """The moments of a table.

    Attributes
    ----------
    first, second : float[rows, columns]
        The moments m and v.
    steps : int64[rows]
        The steps t of each row.
    """

    first: Floats
    second: Floats
    steps: npt.NDArray[np.int64]

    @staticmethod
    def of(weights: Floats) -> Adam:
        """Return the moments of a table of weights before the first step."""
        return Adam(np.zeros_like(weights), np.zeros_like(weights), np.zeros(len(weights), np.int64))

    def copy(self) -> Adam:
        """Return a copy of the moments."""
        return Adam(self.first.copy(), self.second.copy(), self.steps.copy())

    def step(self, weights: Floats, rows: Ints, gradient: Floats, rate: float = RATE) -> None:
        """Change the weights of some rows, each of which is named once."""
        constants = np.array([B1, 1 - B1, B2, 1 - B2, rate, EPSILON], weights.dtype)
        adam_step(weights, self.first, self.second, self.steps, rows, gradient, constants)
