"""A process that steps back does so among all sessions, where Linux shares its cores between these."""

from __future__ import annotations

import os
import subprocess
import sys

from streams.priority import AUTOGROUP

PROGRAM = """
import os
from streams.priority import AUTOGROUP, step_back
step_back(7)
print(os.nice(0))
print(AUTOGROUP.read_text() if AUTOGROUP.exists() else "")
"""


def test_a_session_without_a_terminal_steps_back_as_a_whole() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, start_new_session=True
    ).stdout.splitlines()
    assert printed[0] == str(min(19, os.nice(0) + 7))
    if AUTOGROUP.exists():
        assert printed[1].endswith(" nice 7")
