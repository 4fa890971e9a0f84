"""Do jobs of several partitions side by side, in a few threads.

The machines of two partitions share nothing but the popularity of other partitions' items, which has a lock,
and their kernels run without Python's lock. So partitions may be counted and ranked at the same time; the
jobs of one partition keep their order. Where there is little to do the caller does all of it, because waking
a thread takes .1 ms.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple

MOST_THREADS = 4


class Job(NamedTuple):
    """Something to be done for a partition; `size` says how much it is, compared with other jobs."""

    partition: int
    size: int
    do: Callable[[], None]


def usual_threads() -> int:
    """Return how many threads a worker computes in: one for each core that it may use, up to a bound."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_THREADS, available)


class SideBySide:
    """Some threads beside that of the caller.

    Parameters
    ----------
    threads
        How many compute, the caller's included.
    """

    def __init__(self, threads: int) -> None:
        self._n = threads
        self._others = ThreadPoolExecutor(max(1, threads - 1), "machines beside")

    def close(self) -> None:
        """End the threads."""
        self._others.shutdown(wait=False)

    def do(self, jobs: Sequence[Job], least: int) -> float:
        """Do all jobs; return the seconds of CPU that they took.

        No thread is woken for partitions whose jobs are smaller than `least` together. If a job fails, what
        other threads have to do is done all the same before its error is raised.
        """
        shares = _shares(jobs, self._n, least)
        running = [self._others.submit(_done, share) for share in shares[1:]]
        try:
            cpu_s = _done(shares[0]) if shares else 0.0
        finally:
            wait(running)
        return cpu_s + sum(one.result() for one in running)


def _done(jobs: Sequence[Job]) -> float:
    begin = time.thread_time()
    for job in jobs:
        job.do()
    return time.thread_time() - begin


def _shares(jobs: Sequence[Job], most: int, least: int) -> list[list[Job]]:
    """Return the jobs in at most so many shares of about the same size, the largest first.

    Those of a partition are in one share, in their order. A share that would be too small is part of another.
    """
    by_partition: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        by_partition[job.partition].append(job)
    shares: list[list[Job]] = []
    for some in sorted(by_partition.values(), key=_size, reverse=True):
        if not shares or (len(shares) < most and _size(some) >= least):
            shares.append(some)
        else:
            min(shares, key=_size).extend(some)
    return sorted(shares, key=_size, reverse=True)


def _size(jobs: Sequence[Job]) -> int:
    return sum(job.size for job in jobs)
