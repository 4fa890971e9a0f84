"""Measures sweeps that write the state of one item partition and of the customers, in one process.

    python bench/sweeps.py [--events 700000] [--changes 20000] [--json]

Purchases of complete-journey are counted by machines without Kafka, one customer machine and one item
partition of four, each with a RocksDB store. The first sweep writes everything, and each further sweep writes
what a number of further purchases changed. Then some more purchases come one in a message, as in live
traffic. Times are CPU seconds of the writing thread and of the whole process, because RocksDB's threads write
and compact, too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from statistics import median

from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.messages.deltas import Source, decode, encode
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from state.storage.saving import Saver
from streams.tasks.customers import item_partitions

PARTITIONS = 4
CHUNK = 2_000
ROUNDS = 3
SINGLE = 1_000


class Machines:
    """The machines of the customers, and of the items of partition 0."""

    def __init__(self, folder: Path, events: list[Event]) -> None:
        settings = CountingSettings()
        self.customers = CustomerMachine(
            settings, Source(0, 0), PARTITIONS, lambda items: item_partitions(PARTITIONS, items)
        )
        self.items = ItemMachine(settings, 0)
        self.savers: dict[str, Saver] = {
            "customers": CustomerSaver(self.customers, RocksStore(folder / "customers")),
            "items": ItemSaver(self.items, RocksStore(folder / "items", large=True)),
        }
        for saver in self.savers.values():
            saver.load()
        self._events, self._done = events, 0

    def count(self, n: int, chunk: int = CHUNK) -> tuple[float, int]:
        """Count the next n purchases; return the item machine's CPU seconds, and the messages that it got."""
        seconds, messages = 0.0, 0
        for start in range(self._done, self._done + n, chunk):
            some = self._events[start : min(start + chunk, self._done + n)]
            for deltas in self.customers.apply(self.customers.batch(some)).deltas[0]:
                raw = encode(deltas)
                begin = time.thread_time()
                self.items.apply(decode(raw))
                seconds += time.thread_time() - begin
                messages += 1
        self._done += n
        return seconds, messages


def _cpu_s(work: Callable[[], None]) -> tuple[float, float]:
    thread, process = time.thread_time(), time.process_time()
    work()
    return time.thread_time() - thread, time.process_time() - process


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=700_000)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    events = [
        Event(e.customer_id, e.item_id, int(e.timestamp))
        for e in chain.from_iterable(open_purchases(NAME).messages())
    ]
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(Path(folder), events)
        counted_s, _ = machines.count(arguments.events)
        result["count_us_per_event"] = 1e6 * counted_s / arguments.events
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in machines.savers}
        for _ in range(1 + ROUNDS):
            for name, saver in machines.savers.items():
                took[name].append(_cpu_s(saver.save_all))
            machines.count(arguments.changes)
        for name, some in took.items():
            files = (Path(folder) / name).iterdir()
            result[f"{name}_first_thread_s"], result[f"{name}_first_process_s"] = some[0]
            result[f"{name}_changes_thread_s"] = median(thread for thread, _ in some[1:])
            result[f"{name}_changes_process_s"] = median(process for _, process in some[1:])
            result[f"{name}_mb_on_disk"] = sum(file.stat().st_size for file in files) / 1e6
        seconds, messages = machines.count(SINGLE, chunk=1)
        result["count_us_per_message_of_one"] = 1e6 * seconds / messages
        for saver in machines.savers.values():
            saver.close()
    shown = {name: round(value, 3) for name, value in result.items()}
    print(json.dumps(shown) if arguments.json else "\n".join(f"{k:32}{v}" for k, v in shown.items()))


if __name__ == "__main__":
    main()
