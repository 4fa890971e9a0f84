"""Runs benches one after the other, each in a process of its own, and then prints all targets in one table.

    python -m bench [NAME ...] [--limit N] [--runs N] [--out DIR]

Without names, all benches run, which takes some hours. `--limit 420000` runs each in some minutes; `latency`
needs that many.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from alsobought.tables import print_table
from bench.report import read, target_rows
from bench.results import parser

BENCHES = (
    "in_process", "end_to_end", "latency", "recovery", "publishing", "workers", "growth", "recommending",
    "first_use",
)  # fmt: skip
REPEATED = ("in_process", "end_to_end", "latency", "publishing", "workers")
"""Those that --runs repeats: the others take long, or are medians already."""


def _run(command: list[str]) -> int:
    """Run a bench, and return its exit code; ended by SIGTERM, end it as by Ctrl-C, with what it started."""
    with subprocess.Popen(command) as bench:
        try:
            return bench.wait()
        except SystemExit:
            bench.send_signal(signal.SIGINT)
            bench.wait()
            raise


def main() -> None:
    """Run the benches."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    chosen = options.parse_args()
    names = chosen.names or BENCHES
    if unknown := set(names) - set(BENCHES):
        raise SystemExit(f"no bench is called {', '.join(sorted(unknown))}: there are {', '.join(BENCHES)}")
    failed = []
    for name in names:
        command = [sys.executable, "-m", f"bench.{name}", "--out", str(chosen.out)]
        if chosen.limit is not None:
            command += ["--limit", str(chosen.limit)]
        if name in REPEATED:
            command += ["--runs", str(chosen.runs)]
        print(f"\n{name} ...", flush=True)
        if _run(command):
            failed.append(name)
    print()
    print_table(["measure", "value", "target", ""], target_rows(read(chosen.out)), "all targets")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
