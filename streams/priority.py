"""Which processes go first where cores are few."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")


def step_back(by: int) -> None:
    """Let other processes go before this one, by a niceness from 1 to 19.

    Linux shares its cores between sessions first, and niceness counts only within a session (sched(7),
    autogroups). So where the process has a session without a terminal, which is then its own or that of its
    guard, the whole session steps back. One in a user's terminal leaves the others there as they are.
    """
    with contextlib.suppress(OSError):
        os.nice(by)
    if not _has_terminal():
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(by), encoding="ascii")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
