"""`make setup` compiles everything that a start needs: the second of two compiles nothing."""

from __future__ import annotations

import subprocess
import sys


def test_the_second_time_compiles_nothing() -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "streams.compile"], check=True, capture_output=True, text=True
        )
    assert done.stdout == "compiled: 0 here, 0 that neither process had; 30 lists\n"
    assert done.stderr == ""
