"""The names of the algorithms that can choose what a customer is shown."""

from __future__ import annotations

from typing import Literal, get_args

AlgorithmName = Literal["ours", "raw", "flawed", "corrected", "bestsellers"]
ALGORITHMS: tuple[AlgorithmName, ...] = get_args(AlgorithmName)
