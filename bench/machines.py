"""The machines of all partitions in this process and thread, without Kafka: the least that counting costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from alsobought.sources import open_purchases
from alsobought.sources.complete_journey import NAME
from state.compile import exercise
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.items.sharing import Sharing
from state.messages.deltas import Source, decode, encode
from state.settings import CountingSettings
from streams.messages.partitioning import partition_for
from streams.tasks.customers import item_partitions

CHUNK = 2_000  # events of a customer partition that are applied at once, as a fetch returns them
RATE_EVENTS = 200_000
RANK_ROWS = 10_000  # lists that are ranked at once, and are in memory together


@dataclass
class Spent:
    """Numbers of events, and the seconds of CPU that they took, which other programs do not lengthen much."""

    events: int = 0
    neighbours: int = 0  # events in messages, each in those of one or two partitions
    lists: int = 0
    customers_s: float = 0.0
    deltas_s: float = 0.0
    rows_s: float = 0.0
    ranking_s: float = 0.0

    @property
    def counting_s(self) -> float:
        """Return the seconds for histories, encoding and decoding deltas, and rows."""
        return self.customers_s + self.deltas_s + self.rows_s

    @property
    def per_s(self) -> float:
        """Return the events counted a second."""
        return self.events / self.counting_s


@dataclass
class Machines:
    """The customer and item machines of some partitions. Feed them with events in the order of the log."""

    partitions: int
    spent: Spent = field(default_factory=Spent)

    def __post_init__(self) -> None:
        exercise()  # kernels are compiled or loaded before the clock starts
        settings = CountingSettings()
        to = partial(item_partitions, self.partitions)
        self.customers = [
            CustomerMachine(settings, Source(0, p), self.partitions, to) for p in range(self.partitions)
        ]
        self.items = [ItemMachine(settings, p) for p in range(self.partitions)]
        self._sharing = Sharing(self.items)
        self._waiting: list[list[Event]] = [[] for _ in range(self.partitions)]

    def feed(self, events: Iterable[Event]) -> None:
        """Count events; if a partition has less than a chunk, its events wait for more, or for `finish`."""
        for event in events:
            partition = partition_for(event.customer_id.encode(), self.partitions)
            waiting = self._waiting[partition]
            waiting.append(event)
            if len(waiting) == CHUNK:
                self._apply(partition)

    def finish(self) -> None:
        """Count the events that wait."""
        for partition in range(self.partitions):
            self._apply(partition)

    def _apply(self, partition: int) -> None:
        events, self._waiting[partition] = self._waiting[partition], []
        if not events:
            return
        spent, machine = self.spent, self.customers[partition]
        batch = machine.batch(events)
        at = time.thread_time()
        applied = machine.apply(batch)
        then = time.thread_time()
        spent.customers_s += then - at
        for to, messages in zip(self.items, applied.deltas, strict=True):
            for message in messages:
                at = time.thread_time()
                deltas = decode(encode(message))
                then = time.thread_time()
                to.apply(deltas)
                spent.deltas_s += then - at
                spent.rows_s += time.thread_time() - then
                spent.neighbours += deltas.near
        spent.events += len(events)

    def rank(self) -> None:
        """Rank every row whose list may have changed, and mark as published the lists that would be
        published.

        All machines first share how popular their items are.
        """
        at = time.thread_time()
        self._sharing.share()
        for machine in self.items:
            waiting = machine.waiting()
            for start in range(0, len(waiting), RANK_ROWS):
                lists = machine.rank(waiting[start : start + RANK_ROWS])
                self.spent.lists += len(machine.mark_published(lists))
        self.spent.ranking_s += time.thread_time() - at


def year(limit: int | None = None) -> Iterator[Event]:
    """Yield the purchases of complete-journey in their order, or the first n of them."""
    messages = chain.from_iterable(open_purchases(NAME).messages())
    for m in islice(messages, limit):
        yield Event(m.customer_id, m.item_id, int(m.timestamp), m.quantity, event_id=m.event_id)


def slices(events: Iterable[Event], n: int) -> Iterator[Sequence[Event]]:
    """Yield the events in slices of n."""
    rest = iter(events)
    while some := list(islice(rest, n)):
        yield some


def in_process_per_s(limit: int | None = RATE_EVENTS) -> tuple[float, float]:
    """Measure in one thread of another process the events/s counted, and microseconds of CPU an event."""
    with tempfile.TemporaryDirectory() as folder:
        limited = [] if limit is None else ["--limit", str(limit)]
        command = [sys.executable, "-m", "bench.in_process", "--no-ranking", "--out", folder, *limited]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        figures = json.loads((Path(folder) / "in_process.json").read_text())["figures"]
    return figures["counted_per_s"], figures["counting_us_per_event"]
