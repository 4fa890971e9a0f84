"""Measures how long partitions stand still when workers join, leave, die and freeze.

    python bench/stalls.py [--rate 2000]

Two workers with disks of their own and a third that shares one count purchases at a steady rate. After each
event, the stall of counting is the longest time between two messages of a source partition in pair-deltas,
and that of listing is the longest time between two lists of a partition in related-items, by Kafka's clock.
"""

from __future__ import annotations

import argparse
import signal
import struct
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alsobought.tables import print_table
from streams.connections.bootstrap import Bootstrap
from streams.kafka.blocking_reader import BlockingReader
from streams.kafka.follower import ends
from streams.topics import PAIR_DELTAS, RELATED_ITEMS, TopicSpec
from tests.chaos.cluster import SESSION_MS, Cluster
from tests.chaos.run import new_feeder
from tests.streams.pipeline import PARTITIONS, Wires, until

_SOURCE = struct.Struct("<4xHH")  # topic number and partition of a pair-deltas message
SETTLE_S = 15.0


def _records(bootstrap: Bootstrap, spec: TopicSpec, since: dict[int, int]) -> Iterator[Any]:
    """Yield records from some offsets on: all of them would take so long
    to read that counting fell behind.
    """
    with BlockingReader(bootstrap, spec.name, PARTITIONS) as reader:
        until = reader.ends()
        reader.seek({tp: since[tp.partition] for tp in until})
        while reader.reached(until) != until.keys():
            for some in reader.poll(200).values():
                yield from some


def _longest(bootstrap: Bootstrap, since: dict[str, dict[int, int]]) -> tuple[float, float]:
    """Return the longest pause in ms of counting and of listing since some offsets, over partitions."""
    times: dict[tuple[str, int], list[int]] = defaultdict(list)
    for spec in (PAIR_DELTAS, RELATED_ITEMS):
        for record in _records(bootstrap, spec, since[spec.name]):
            partition = record.partition
            if spec is PAIR_DELTAS:
                partition = _SOURCE.unpack_from(record.value or bytes(8))[1]
            times[spec.name, partition].append(record.timestamp)
    longest = []
    for spec in (PAIR_DELTAS, RELATED_ITEMS):
        gaps = [
            b - a
            for (name, _), some in times.items()
            if name == spec.name
            for a, b in zip(sorted(some), sorted(some)[1:], strict=False)
        ]
        longest.append(max(gaps) / 1000)
    return longest[0], longest[1]


def _ready(wires: Wires) -> None:
    until(lambda: wires.poll_progress() and len(wires.tasks) >= 3 * PARTITIONS, "all tasks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=float, default=2_000, help="purchases a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="alsobought-stalls-") as root:
        cluster = Cluster(Path(root))
        cluster.start()
        wires = Wires(cluster.bootstrap)
        feeder = new_feeder(cluster.bootstrap, 1, arguments.rate)
        feeder.start()
        _ready(wires)

        def kill_and_restart() -> None:
            cluster.kill("b1")
            cluster.start_worker("b1")

        def restart() -> None:
            cluster.leave("b1")
            cluster.start_worker("b1")

        def freeze() -> None:
            cluster.freeze("a1", SESSION_MS / 1000 + 4)

        steps: list[tuple[str, Callable[[], None]]] = [
            ("nothing", lambda: None),
            ("a worker joins", lambda: cluster.start_worker("a2")),
            ("it leaves (SIGTERM, not started again)", lambda: cluster.leave("a2")),
            ("kill -9, started again at once", kill_and_restart),
            ("SIGTERM, started again at once", restart),
            (f"frozen for {SESSION_MS / 1000 + 4:g} s, session {SESSION_MS / 1000:g} s", freeze),
            ("kill -9 of the broker, started again at once", lambda: cluster.kill_broker(0)),
        ]
        rows = []
        for name, step in steps:
            since = {spec.name: ends(cluster.bootstrap, spec) for spec in (PAIR_DELTAS, RELATED_ITEMS)}
            step()
            time.sleep(SETTLE_S)
            counting, listing = _longest(cluster.bootstrap, since)
            rows.append([name, f"{counting:.1f}", f"{listing:.1f}"])
            print(name, counting, listing, flush=True)
        feeder.end()
        cluster.stop()
        wires.close()
        cluster.broker.stop()
    print_table(["what happens", "counting stalls, s", "lists stall, s"], rows)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
