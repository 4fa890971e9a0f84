"""A process lowers its priority among all sessions, where Linux shares its cores between these."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streams.process.priority import AUTOGROUP
from tests.conftest import STEP_BACK

NICER = 10  # as `streams.recommending.app` has it, which steps back when it is imported

PROGRAM = """
import os
from streams.process.priority import AUTOGROUP, step_back
step_back(7)
print(os.nice(0))
print(AUTOGROUP.read_text() if AUTOGROUP.exists() else "")
"""
OUTER = (
    "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1], *sys.argv[2:]]))"
)


def test_a_recommender_steps_back_unless_the_settings_say_otherwise() -> None:
    program = "import os, streams.recommending.app; print(os.nice(0))"
    for steps_back in (True, False):
        answer = subprocess.check_output(
            [sys.executable, "-c", program], text=True, start_new_session=True,
            env={**os.environ, STEP_BACK: str(steps_back).lower()},
        )  # fmt: skip
        assert int(answer) == min(19, os.nice(0) + NICER * steps_back)


def _printed(*arguments: str) -> list[str]:
    """Return what a program prints that begins a session."""
    return subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, check=True, start_new_session=True
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "session"), [([PROGRAM], 7), ([OUTER, PROGRAM, "guard.py"], 7), ([OUTER, PROGRAM], 0)]
)
def test_a_session_steps_back_as_a_whole_if_it_is_ours(arguments: list[str], session: int) -> None:
    """The process or its guard must lead the session; not if another program started it beside others."""
    printed = _printed(*arguments)
    assert printed[0] == str(min(19, os.nice(0) + 7))
    if AUTOGROUP.exists():
        assert printed[1].endswith(f" nice {session}")
