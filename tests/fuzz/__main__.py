"""Fuzz every decoder for some minutes: python -m tests.fuzz --minutes 10 (`make fuzz`).

Each decoder runs in a process of its own, so that one that ends the process is a finding as well. What found
a fault is kept in tests/fuzz/inputs/, made as small as Hypothesis can, and is from then on a test.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.decoders import DECODERS, INPUTS
from tests.fuzz.rounds import fuzz

SHOWN = 12


def keep(name: str, raw: bytes) -> Path:
    """Keep an input as a test; return its file."""
    path = INPUTS / name / f"{hashlib.sha256(raw).hexdigest()[:12]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def main() -> int:
    """Fuzz; return 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first inputs")
    parser.add_argument("names", nargs="*", metavar="DECODER", help=", ".join(DECODERS))
    given_ = parser.parse_args()
    names = given_.names or list(DECODERS)
    if unknown := [name for name in names if name not in DECODERS]:
        parser.error(f"no decoder is called {', '.join(unknown)}: choose from {', '.join(DECODERS)}")
    seconds = 60 * given_.minutes / len(names)
    print(f"{len(names)} decoders, {seconds:.0f} s each, seed {given_.seed}")
    context, found = multiprocessing.get_context("spawn"), 0
    with TemporaryDirectory() as folder:
        for name in names:
            at, (ours, theirs) = Path(folder) / name, context.Pipe(duplex=False)
            process = context.Process(target=fuzz, args=(name, seconds, given_.seed, at, theirs))
            process.start()
            theirs.close()
            try:
                outcomes, trouble, last = ours.recv()
            except EOFError:  # the process has ended without a word
                process.join()
                outcomes, trouble, last = (
                    Counter(),
                    f"the process ended with {process.exitcode}",
                    at.read_bytes() if at.exists() else b"",
                )
            process.join()
            print(f"\n{name}: {outcomes.total():,} inputs, {len(outcomes)} outcomes")
            for outcome, n in outcomes.most_common(SHOWN):
                print(f"  {n:>8,}  {outcome}")
            if trouble:
                found += 1
                print(f"{trouble}\nFOUND: kept as {keep(name, last)}")
    print(f"\n{found} decoders with a fault" if found else "\nnothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
