"""Set how the memory of a process that runs for months is managed, by the C library and by Python.

Each page that a process touches for the first time costs a fault, and each page that the processor has not
used lately costs a walk through the page tables. Both can be expensive on a virtual machine. So the heap lies
in pages of 2 MiB where the system has them on request, and is returned in large pieces (decision 35).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Mapping

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of mallopt(3)

KEPT_BYTES = 32 << 20  # the largest that glibc accepts for blocks
VARIABLE, TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process whose heap shall lie in huge pages.

    It is read when a process starts, by glibc 2.35 and newer; other libraries ignore it. What the user has
    chosen stays.
    """
    chosen = environment.get(VARIABLE, "")
    if TUNABLE in chosen:
        return dict(environment)
    return {**environment, VARIABLE: f"{chosen}:{TUNABLE}=1".removeprefix(":")}


def continue_with_huge_pages() -> None:
    """Run this process's command again, under the same process id, unless its heap lies in huge pages.

    It is called before anything else is done, and does nothing where the system is not Linux.
    """
    environment = with_huge_pages(os.environ)
    if sys.platform == "linux" and environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def use_one_heap() -> None:
    """Let all threads share one heap, which keeps what it is likely to need again, if the C library is glibc.

    By itself glibc makes heaps for up to eight times as many threads as there are cores, and only the first
    of them lies in huge pages. Blocks of up to 32 MiB, such as batches of records, come from the heap: one
    that the system gives and takes each time costs a fault for each of its pages.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(ARENA_MAX, 1)
        mallopt(MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def collect_rarely() -> None:
    """Let Python look for cycles of objects rarely, and never among those that are there already.

    Records by the million are short-lived and hold no cycles: looking for them at the usual pace, after 700
    objects, cost 5 % of a worker's time, and 7 % of that of `alsobought serve`. After 100,000 is too rare:
    cycles hold what was fetched, and a recommender of a small shop kept 100 MiB of it for minutes. It is
    called when all modules are imported, which are there to stay.
    """
    gc.set_threshold(10_000, 20, 50)
    gc.freeze()
    gc.enable()
