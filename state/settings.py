"""What the machines are parametrised by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ScoreName = Literal["mix", "corrected", "raw", "flawed", "difference", "g"]
"""Orders of related items; see `state.relatedness`."""

SCORE_NAMES: tuple[str, ...] = get_args(ScoreName)
