"""Settings out of range are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from state.errors import BadSettings
from state.settings import SCORE_NAMES, CountingSettings


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("window", 1, 250), ("row_capacity", 8, 1 << 22), ("list_length", 1, 1000), ("score_tolerance", 0, 1)],
)
def test_a_setting_has_bounds(name: str, low: int, high: int) -> None:
    for value in (low, high):
        fine: dict[str, Any] = {name: value}
        assert getattr(CountingSettings(**fine), name) == value
    for value in (low - 1, high + 1):
        bad: dict[str, Any] = {name: value}
        with pytest.raises(BadSettings, match=f"^{name} is {value}; it must be from {low} to {high}$"):
            CountingSettings(**bad)


def test_an_unknown_score_names_the_known_ones() -> None:
    with pytest.raises(BadSettings, match="score is 'best'; it must be one of " + ", ".join(SCORE_NAMES)):
        CountingSettings(score="best")  # type: ignore[arg-type]
