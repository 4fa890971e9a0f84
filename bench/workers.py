"""Compares listed events a second with two workers and recommenders to those with one, on the same cores.

    python -m bench.workers [--limit N] [--runs 3]

Each publishes the year of purchases to an empty stack, as `bench.end_to_end` does.
"""

from __future__ import annotations

import argparse

from bench.end_to_end import load
from bench.machines import in_process_per_s
from bench.results import Result, parser, run
from bench.stack import purchases, running


def measure(options: argparse.Namespace) -> Result:
    """Measure both once."""
    per_s, _ = in_process_per_s()
    n = len(purchases(options.limit))
    figures: dict[str, float] = {"events": float(n)}
    for count in (1, 2):
        with running(workers=count) as system:
            before = system.processes.usage()["worker"].cpu_s
            loaded = load(system, n)
            cpu_s = system.processes.usage()["worker"].cpu_s - before
        figures[f"counted_per_s_{count}"] = n / loaded.counted_s
        figures[f"listed_per_s_{count}"] = n / loaded.listed_s
        figures[f"workers_cores_{count}"] = cpu_s / loaded.drained_s
    figures["two_workers"] = figures["listed_per_s_2"] / figures["listed_per_s_1"]
    return Result(figures, per_s)


def main() -> None:
    """Run the bench."""
    run("workers", parser(__doc__).parse_args(), measure)


if __name__ == "__main__":
    main()
