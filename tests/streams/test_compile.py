"""`make setup` compiles the kernels of messages, too: the second of two compiles nothing."""

from __future__ import annotations

import subprocess
import sys


def test_the_second_time_compiles_nothing() -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "streams.compile"], check=True, capture_output=True, text=True
        )
    assert done.stdout == "compiled: 0 of messages; 30 lists\n"
    assert done.stderr == ""
