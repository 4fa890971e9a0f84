"""Which processes go first where there are few cores."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
GUARD = b"guard.py"


def step_back(by: int) -> None:
    """Let other processes go before this one, by a niceness from 1 to 19.

    Linux shares its cores between sessions first, and niceness counts only within a session (sched(7),
    autogroups). So if the process has a session of its own, or shares it only with its guard
    (`streams.broker.guard`), the whole session steps back. Elsewhere, as in a terminal or in a script that
    starts other programs as well, only the process does.
    """
    with contextlib.suppress(OSError):
        os.nice(by)
    with contextlib.suppress(OSError):
        if _has_own_session():
            AUTOGROUP.write_text(str(by), encoding="ascii")


def _has_own_session() -> bool:
    leader = os.getsid(0)
    if leader == os.getppid():
        return GUARD in Path(f"/proc/{leader}/cmdline").read_bytes()
    return leader == os.getpid()
