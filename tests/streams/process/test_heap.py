"""Memory that a process has freed is returned to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
import psutil
from streams.process.heap import keep_compact
if sys.argv[1] == "compact":
    keep_compact()
rss = psutil.Process().memory_info
del (once := [np.ones(3 << 20)])[:]  # glibc takes blocks up to the largest that was freed from its heap
held = [np.ones(1 << 17) for _ in range(200)]
peak = rss().rss
held, kept = [], held[-1]
print((peak - rss().rss) >> 20)
"""


def freed_mib(how: str) -> int:
    """Return how much a process that freed 199 MiB of 200 returned to the system."""
    return int(subprocess.check_output([sys.executable, "-c", PROGRAM, how], text=True))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="of glibc")
def test_freed_memory_goes_back() -> None:
    assert freed_mib("compact") > 190
    assert freed_mib("as it is") < 100
