"""Measures how long a newcomer waits for help, compiling, the demo from a clean clone, and the tests.

    python -m bench.first_use [--only help,compile,demo,test]

The demo runs in a clone of what is committed here, with a virtual environment of its own (so with whatever
packages pip has cached) and with kernels compiled anew; its own part is the time from its start until its
first lists have moved, which it prints. The tests run in the same clone.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.results import Result, parser, run

HELPS = 5
MOVED = re.compile(r"first lists moved after ([0-9.]+) s")
ALL = "help,compile,demo,test"


def measure(options: argparse.Namespace) -> Result:
    """Measure the chosen parts once."""
    wanted = options.only.split(",")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="alsobought-bench-") as folder:
        if "help" in wanted:
            _help()  # now it is compiled to bytecode, and in the cache of files
            figures["help_s"] = statistics.median(_help() for _ in range(HELPS))
        if "compile" in wanted:
            figures["compile_s"] = _compile(Path(folder) / "kernels")
            figures["compiled_start_s"] = _compile(Path(folder) / "kernels")
        if "demo" in wanted or "test" in wanted:
            clone = Path(folder) / "clone"
            subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
            figures |= _clone(clone, options)
    return Result(figures)


def _help() -> float:
    return _timed([sys.executable, "-m", "alsobought.cli", "--help"])[0]


def _compile(cache: Path) -> float:
    return _timed([sys.executable, "-m", "streams.compile"], NUMBA_CACHE_DIR=str(cache))[0]


def _clone(clone: Path, options: argparse.Namespace) -> dict[str, float]:
    figures: dict[str, float] = {}
    wanted = options.only.split(",")
    if "demo" not in wanted:
        figures["setup_s"], _ = _timed(["make", "setup"], clone)
    else:
        demo = [] if options.limit is None else [f"DEMO=--limit {options.limit}"]
        figures["demo_s"], output = _timed(["make", "demo", *demo], clone)
        if found := MOVED.search(output):
            figures["moving_s"] = float(found[1])
    if "test" in wanted:
        figures["test_s"], _ = _timed(["make", "test"], clone)
    return figures


def _timed(command: list[str], folder: Path | None = None, **environment: str) -> tuple[float, str]:
    """Return the seconds that a command takes, and its output; it must not fail."""
    kept = {name: value for name, value in os.environ.items() if folder is None or name != "PYTHONPATH"}
    begin = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=kept | environment, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seconds = time.monotonic() - begin
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return seconds, done.stdout


def main() -> None:
    """Run the bench."""
    options = parser(__doc__)
    options.add_argument("--only", default=ALL, help=f"some of {ALL}")
    run("first_use", options.parse_args(), measure)


if __name__ == "__main__":
    main()
