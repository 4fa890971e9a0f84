"""Measures how long a worker takes to start with the year's state, and to catch up after kill -9 under load.

    python -m bench.recovery [--limit N] [--rate 2000]

The year is loaded without its last purchases. Then the worker is stopped (SIGTERM), and the local stack
starts it again. The time is taken from the start of its process until it has reported that every partition
counts. Then purchases come at a steady rate, and the worker is killed (kill -9). The time is taken from the
kill until it has reported, for every partition, an offset that was the end of its log no more than two
reports before. Workers report five times a second here, to make the times exact. The same is done once in the
middle of a load, until the worker has reached the offset at the time of the kill.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import deque

import psutil

from bench.machines import in_process_per_s
from bench.progress_follower import ProgressFollower
from bench.results import Result, parser, run
from bench.stack import Running, finished, purchases, running, wait_for
from streams.kafka.follower import ends
from streams.kinds import counted_of
from streams.messages.schema import Progress
from streams.topics import PAIR_DELTAS, PURCHASES, TopicSpec

PROGRESS_MS = 200
HELD_BACK = 60_000
LOADED = 0.5  # share of the year at which it is killed in the middle of the load
KEEPING_UP_S = 8.0
RECENT_S = 2 * PROGRESS_MS / 1000
WAIT_S = 1_800.0


def measure(options: argparse.Namespace) -> Result:
    """Run the bench once."""
    per_s, _ = in_process_per_s()
    records = purchases(options.limit)
    held = min(HELD_BACK, len(records) // 4)
    n = len(records) - held
    with running(progress_ms=PROGRESS_MS) as system, ProgressFollower(system.bootstrap) as follower:
        publisher = threading.Thread(target=system.publish_year, args=(n,))
        publisher.start()
        wait_for(
            lambda: follower.purchases(lambda p: p.applied) > LOADED * n, "half of the load", WAIT_S, 0.005
        )
        figures = _named("in_a_load", _killed(system, follower))
        publisher.join()
        system.drain()
        figures["start_s"] = _restarted(system, follower)
        figures["kept_mib"] = system.processes.usage()["worker"].peak_mib
        figures |= _named("keeping_up", _keeping_up(system, follower, records[n:], options.rate))
    figures["caught_up_s"] = figures["keeping_up_caught_up_s"]
    return Result(figures, per_s)


def _named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in figures.items()}


def _restarted(system: Running, follower: ProgressFollower) -> float:
    """Stop the worker; wait until the next one has reported for every partition."""
    (pid,) = system.stack.worker_pids
    psutil.Process(pid).terminate()
    psutil.wait_procs([psutil.Process(pid)], timeout=WAIT_S) if psutil.pid_exists(pid) else None
    follower.newest.clear()
    wait_for(lambda: _another(system, pid), "the next worker", pause_s=0.005)
    started = psutil.Process(system.stack.worker_pids[0]).create_time()
    wait_for(lambda: _all_report(system, follower), "every partition", WAIT_S, 0.005)
    return time.time() - started


def _another(system: Running, pid: int) -> bool:
    return bool(system.stack.worker_pids) and system.stack.worker_pids[0] != pid


def _all_report(system: Running, follower: ProgressFollower) -> bool:
    return follower.newest.keys() >= {
        f"{spec.name}-{partition}"
        for spec in counted_of(system.settings)
        for partition in range(system.settings.partitions)
    }


def _kill(system: Running) -> float:
    (pid,) = system.stack.worker_pids
    psutil.Process(pid).kill()
    return time.monotonic()


def _killed(system: Running, follower: ProgressFollower) -> dict[str, float]:
    """Kill the worker in the middle of a load; return the seconds until all report, and have caught up."""
    applied = {task: progress.applied for task, progress in dict(follower.newest).items()}
    to_replay = follower.purchases(lambda p: p.applied - p.stored)
    begin = _kill(system)
    follower.newest.clear()
    wait_for(lambda: _all_report(system, follower), "every partition", WAIT_S, 0.005)
    back_s = time.monotonic() - begin
    wait_for(lambda: _reached(follower, applied), "what was applied", WAIT_S, 0.005)
    return {
        "events_to_replay": float(to_replay),
        "back_s": back_s,
        "where_it_was_s": time.monotonic() - begin,
    }


def _reached(follower: ProgressFollower, targets: dict[str, int]) -> bool:
    newest: dict[str, Progress] = dict(follower.newest)
    return all(task in newest and newest[task].applied >= end for task, end in targets.items())


def _keeping_up(
    system: Running, follower: ProgressFollower, records: list[tuple[bytes, bytes]], rate: float
) -> dict[str, float]:
    """Kill the worker while it keeps up with a steady rate; return the seconds until it keeps up again."""
    publisher = system.publishing(records, rate)
    before = follower.purchases(lambda p: p.applied)
    wait_for(lambda: follower.purchases(lambda p: p.applied) > before + rate * KEEPING_UP_S, "some load")
    to_replay = follower.purchases(lambda p: p.applied - p.stored)
    begin = _kill(system)
    follower.newest.clear()
    past: deque[tuple[float, dict[str, int]]] = deque()
    back_s = 0.0

    def caught_up() -> bool:
        nonlocal back_s
        if not back_s and _all_report(system, follower):
            back_s = time.monotonic() - begin
        past.append((time.monotonic(), _task_ends(system, PURCHASES, PAIR_DELTAS)))
        while len(past) > 1 and past[1][0] < time.monotonic() - RECENT_S:
            past.popleft()
        return _reached(follower, past[0][1])

    wait_for(caught_up, "having caught up", WAIT_S, 0.02)
    caught_up_s = time.monotonic() - begin
    if publisher.poll() is None:
        publisher.terminate()
        publisher.wait()
    else:
        finished(publisher)
    return {"events_to_replay": float(to_replay), "back_s": back_s, "caught_up_s": caught_up_s}


def _task_ends(system: Running, *specs: TopicSpec) -> dict[str, int]:
    return {
        f"{spec.name}-{partition}": end
        for spec in specs
        for partition, end in ends(system.bootstrap, spec).items()
    }


def main() -> None:
    """Run the bench."""
    options = parser(__doc__)
    options.add_argument("--rate", type=float, default=2_000, help="purchases a second after the load")
    run("recovery", options.parse_args(), measure)


if __name__ == "__main__":
    main()
