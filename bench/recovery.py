"""How long a killed worker takes to be where it was: opening its stores, and replaying.

    python bench/recovery.py [--limit N] [--rate 2000]

A year of purchases is loaded, then more come at a steady rate; the worker is killed (kill -9) three times
during the load and once while it keeps up, and the local stack starts it again. What is replayed is what was
applied but not stored.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import psutil

from alsobought.commands_publish import run as publish
from alsobought.draining import drain
from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from alsobought.stack import Stack
from streams.kinds import BUILT_IN
from streams.messages import Progress, decode_progress
from streams.publishing import Record
from streams.settings import Settings
from streams.topics import PROGRESS, PURCHASES
from streams.views import Follower

HELD_BACK = 60_000
DRAIN_S = 1_800.0


class Progresses:
    """The newest progress of every task."""

    def __init__(self, bootstrap: str) -> None:
        self._follower = Follower(bootstrap, PROGRESS)
        self.newest: dict[str, Progress] = {}

    def __enter__(self) -> Progresses:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._follower.__exit__()

    def until(self, reached: Callable[[dict[str, Progress]], bool]) -> float:
        """Seconds until the newest progress is as wanted."""
        begin = time.monotonic()
        while not reached(self.newest):
            self.newest |= {
                p.task: p for row in self._follower.poll(100) if (p := decode_progress(row.value or b""))
            }
        return time.monotonic() - begin

    def purchases(self, field: str) -> int:
        """Offsets of a field, added up over the partitions of purchases."""
        tasks = [p for task, p in self.newest.items() if task.startswith(PURCHASES.name)]
        return sum(int(getattr(p, field)) for p in tasks)


def _kill(stack: Stack, progress: Progresses) -> dict[str, float]:
    """Kill the only worker; what it had to replay, and how long it took to be there again."""
    applied = {task: p.applied for task, p in progress.newest.items()}
    replayed = progress.purchases("applied") - progress.purchases("stored")
    pid = stack.worker_pids[0]
    psutil.Process(pid).kill()
    begin = time.monotonic()
    progress.newest.clear()
    progress.until(lambda newest: newest.keys() >= applied.keys())
    opened_s = time.monotonic() - begin
    progress.until(lambda newest: all(newest[task].applied >= end for task, end in applied.items()))
    there_s = time.monotonic() - begin
    return {
        "events_to_replay": replayed,
        "back_s": round(opened_s, 1),
        "where_it_was_s": round(there_s, 1),
        "replay_s": round(there_s - opened_s, 1),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="only the first so many purchases")
    parser.add_argument("--rate", type=float, default=2_000, help="purchases a second after the load")
    arguments = parser.parse_args()
    records: list[Record] = []
    for batch in open_purchases(NAME).records():
        records += batch
    records = list(islice(records, arguments.limit))

    def batches(some: list[Record]) -> Iterator[Sequence[Record]]:
        yield from (some[at : at + 10_000] for at in range(0, len(some), 10_000))

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), kafka=None)
        with Stack(settings, port=0, workers=1, say=lambda _text: None) as stack:
            found = {}
            with Progresses(stack.bootstrap) as progress:
                load, held = records[:-HELD_BACK], records[-HELD_BACK:]
                publish(stack.bootstrap, PURCHASES, batches(load))
                for share in (0.5, 0.65, 0.8):
                    wanted = share * len(load)
                    progress.until(lambda _newest, wanted=wanted: progress.purchases("applied") > wanted)  # type: ignore[misc]
                    found[f"in_a_backlog_at_{share:.0%}"] = _kill(stack, progress)
                drain(stack.bootstrap, BUILT_IN, DRAIN_S, lambda _lag: None)
                live = threading.Thread(
                    target=publish,
                    args=(stack.bootstrap, PURCHASES, batches(held)),
                    kwargs={"rate": arguments.rate},
                )
                live.start()
                progress.until(lambda _newest: progress.purchases("applied") > len(load) + len(held) // 2)
                found["keeping_up"] = _kill(stack, progress)
                live.join()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
