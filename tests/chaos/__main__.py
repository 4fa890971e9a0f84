"""The long chaos run: `python -m tests.chaos --minutes 20 --seed 1`."""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from alsobought.signals import interruptible
from tests.chaos.run import as_json, run, short_faults, some_faults


def main() -> int:
    """Run, print what happened, return 1 if any count differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=20, help="of faults; draining and comparing come after"
    )
    parser.add_argument("--faults", type=int, default=None, help="stop after so many faults")
    parser.add_argument("--short", action="store_true", help="one fault of each kind that differs instead")
    parser.add_argument("--seed", type=int, default=None, help="of purchases and faults; random without it")
    parser.add_argument("--rate", type=float, default=300, help="events a second, one in four a watch")
    parser.add_argument(
        "--watches-after", type=int, default=0, help="begin to publish watches after so many faults"
    )
    parser.add_argument("--json", type=Path, default=None, help="file for the report")
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    begin = time.monotonic()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that its broker is away it says every 0.1 s

    def say(line: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s {line}", flush=True)

    say(f"seed {seed}")
    root = Path(tempfile.mkdtemp(prefix="alsobought-chaos-"))
    faults = short_faults() if arguments.short else some_faults(seed, arguments.minutes, arguments.faults)
    with interruptible():  # so that the processes it started are ended, too
        report = run(root, seed, arguments.rate, faults, say, arguments.watches_after)
    print("\n".join(report.lines()))
    if arguments.json is not None:
        arguments.json.write_text(as_json(report))
    if report.differences.differing:
        print(f"logs and data are kept in {root}")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
