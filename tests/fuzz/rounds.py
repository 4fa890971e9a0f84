"""Fuzz one decoder, in a process of its own."""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz import http
from tests.fuzz.decoders import DECODERS

ROUND = 500  # inputs between two looks at the time


def fuzz(name: str, seconds: float, first: int, at: Path, answers: Connection) -> None:
    """Fuzz a decoder; send the outcomes, how often each, and what went wrong. `at` has the present input."""
    decoder, outcomes = DECODERS[name], Counter[str]()
    last = b""

    def take(raw: bytes) -> None:
        nonlocal last
        last = raw
        at.write_bytes(raw)
        outcomes[re.sub(r"\d+|b?'[^']*'", "_", decoder.take(raw))[:90]] += 1

    trouble = ""
    begin, number = time.monotonic(), first
    while time.monotonic() - begin < seconds and not trouble:
        quiet = settings(
            max_examples=ROUND, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )
        try:
            seed(number)(quiet(given(decoder.strategy)(take)))()  # type: ignore[no-untyped-call]
        except BaseException:
            trouble = traceback.format_exc()
        number += 1
    answers.send((outcomes, trouble, last))
    if name == "http":
        http.service().stop()
