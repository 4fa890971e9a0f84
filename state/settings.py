"""What the machines are parametrised by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from state.errors import BadSettings

ScoreName = Literal["mix", "corrected", "raw", "flawed", "difference", "g"]
"""Orders of related items; see `state.relatedness`."""

SCORE_NAMES: tuple[str, ...] = get_args(ScoreName)
MAX_WINDOW = 250
MAX_A_DAY = 0xFFFF


@dataclass(frozen=True)
class CountingSettings:
    """Settings of both machines.

    Attributes
    ----------
    window : int
        Two items of a customer pair when their ranks differ by at most this; 1 to 250.
    row_capacity : int
        Neighbours kept per item.
    list_length : int
        Related items per list.
    score : str
        Order of related items, one of `SCORE_NAMES`.
    score_tolerance : float
        Relative change of a score that makes a list worth publishing though its order stays.
    most_a_day : int
        Purchases of one customer that count on a day of event time; 0: all.

    Raises
    ------
    BadSettings
        If one is out of range; the message names it.
    """

    window: int = 50
    row_capacity: int = 32_768
    list_length: int = 100
    score: ScoreName = "mix"
    score_tolerance: float = 0.05
    most_a_day: int = 0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("window", self.window, 1, MAX_WINDOW),
            ("row_capacity", self.row_capacity, 8, 1 << 22),
            ("list_length", self.list_length, 1, 1000),
            ("score_tolerance", self.score_tolerance, 0, 1),
            ("most_a_day", self.most_a_day, 0, MAX_A_DAY),
        ):
            if not low <= value <= high:
                raise BadSettings(f"{name} is {value}; it must be from {low} to {high}")
        if self.score not in SCORE_NAMES:
            raise BadSettings(f"score is {self.score!r}; it must be one of {', '.join(SCORE_NAMES)}")
