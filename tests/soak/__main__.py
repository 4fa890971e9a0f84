"""A long run of mixed load with faults: python -m tests.soak --minutes 60 (`make soak`).

Purchases, watches, returns, erasures, second deliveries and rubbish come at a steady rate, from a shop that
does not grow. A fault happens about once a minute. Memory, handles, threads, disk, lag and latency are
measured meanwhile, and must stay flat.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from alsobought.signals import interruptible
from alsobought.tables import print_table
from streams.kinds import BUILT_IN
from tests.chaos.clients import Feeder, Listener
from tests.chaos.cluster import Cluster
from tests.chaos.faults import (
    Fault,
    freeze_briefly,
    kill_broker,
    kill_recommender,
    kill_worker,
    restart_worker,
)
from tests.chaos.run import SHARES, recovered
from tests.soak.load import load, with_rubbish
from tests.soak.plot import draw
from tests.soak.samples import Sampler, Samples

FAULTS: tuple[Fault, ...] = (kill_worker, restart_worker, kill_recommender, freeze_briefly, kill_broker)
"""One after the other. Faults that change how many processes there are would not leave anything flat."""

START_S = 400.0  # of Kafka, where a soak has only what others leave of the cores
SAMPLE_S = 5.0
OUT = Path("build/soak")
NUMBERS = "median", "growth", "slope_per_hour", "bound"


def soak(root: Path, minutes: float, seed: int, rate: float, fault_s: float) -> Samples:
    """Run, and return what was measured."""
    cluster, rng = Cluster(root), random.Random(seed)
    records = {kind: with_rubbish(seed, load(seed, kind)) for kind in SHARES}
    rates = {kind: rate * share / sum(SHARES.values()) for kind, share in SHARES.items()}
    try:
        cluster.start(START_S)
        listener, feeder = Listener(cluster.bootstrap), Feeder(cluster.bootstrap, records, rates, BUILT_IN)
        listener.start()
        feeder.start()
        recovered(listener, time.time(), START_S)
        sampler, number = Sampler(cluster, listener, root), 0
        fault_at = fault_s
        while sampler.elapsed_s < 60 * minutes:
            sampler.take()
            if sampler.elapsed_s >= fault_at:
                fault = FAULTS[number % len(FAULTS)]
                sampler.samples.faults.append((sampler.elapsed_s, fault.__name__))
                print(f"{sampler.elapsed_s:7.0f} s {fault.__name__}, {feeder.published:,} events", flush=True)
                fault(cluster, rng)
                number, fault_at = number + 1, sampler.elapsed_s + fault_s
            time.sleep(SAMPLE_S)
        feeder.end()
        listener.end()
        sampler.samples.events = feeder.published
        if cluster.ended:
            print("\n".join(("ended by themselves:", *cluster.ended)))
        return sampler.samples
    finally:
        cluster.stop()
        cluster.broker.stop()


def main() -> int:
    """Run, write JSON and a plot, and return 1 if something grew."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=150.0, help="events a second, one in four a watch")
    parser.add_argument("--fault-every", type=float, default=60.0, metavar="S", help="seconds between faults")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results; else {OUT}")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that its broker is away it says every 0.1 s
    root = Path(tempfile.mkdtemp(prefix="alsobought-soak-"))
    with interruptible():  # so that the processes it started are ended, too
        samples = soak(root, given.minutes, given.seed, given.rate, given.fault_every)
    judged = samples.judged()
    given.out.mkdir(parents=True, exist_ok=True)
    measured = {
        "minutes": given.minutes, "events": samples.events, "cores": os.cpu_count(),
        "rate": given.rate, "faults": samples.faults, "judged": judged, "times_s": samples.times_s,
        "columns": samples.columns,
    }  # fmt: skip
    (given.out / "soak.json").write_text(json.dumps(measured))
    draw(samples, given.out / "soak.svg")
    print_table(
        ["measure", "unit", "median", "growth", "slope an hour", "bound of growth", "verdict"],
        [
            [
                j["measure"], j["unit"], *(f"{j[name]:,.1f}" for name in NUMBERS),
                "flat" if j["flat"] else "GROWS",
            ]
            for j in judged
        ],
        f"{given.minutes:g} minutes, {samples.events:,} events, {len(samples.faults)} faults",
    )  # fmt: skip
    if all(j["flat"] for j in judged):
        shutil.rmtree(root)
        return 0
    print(f"something grows; logs and data are kept in {root}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
