"""Measures how often customers bought what had been recommended to them, through the running stack.

    python bench/quality.py [complete-journey | FILE --kind watched] [--cutoffs 6] [--days 14] [--json]

Events are published in order of time up to a cutoff, then every customer who has events before and in the
two weeks after it gets six items from the recommenders; a hit is any of the six among the events of these
two weeks. The same is done for the next cutoff on the same stack. Cutoffs are spread evenly over the second
half of the data. Every eight weeks of event time `alsobought train` runs, unless --no-training is given. The
bench also computes, from the events alone, the bestsellers of the two weeks before the cutoff, and raw
co-occurrence counts (window 50, summed over the newest 120 items of the history).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from alsobought.advising import Recommenders
from alsobought.commands.publish import run as publish
from alsobought.draining import drain
from alsobought.local.stack import Stack
from alsobought.sources import open_events, open_items
from alsobought.sources.complete_journey import NAME
from alsobought.tables import print_table
from streams.kafka.publishing import Record
from streams.kinds import BOUGHT, EventKind, kinds_of
from streams.messages.decoding import time_ms
from streams.messages.schema import decode_event
from streams.settings import Settings
from streams.topics import ITEMS

DAY_MS = 86_400_000
K = 6
WINDOW = 50
QUERY = 120
AT_ONCE = 500
DRAIN_S = 1_800.0
TRAIN_MS = 56 * DAY_MS
FAR_MS = 1 << 60


@dataclass(frozen=True)
class ReplayedEvent:
    """An event, with the record that publishes it."""

    time_ms: int
    customer: str
    item: str
    record: Record


def read(source: str, kind: EventKind) -> list[ReplayedEvent]:
    """Return all events of a source, by time."""
    events = []
    for batch in open_events(source, kind).records():
        for record in batch:
            message = decode_event(record[1])
            events.append(
                ReplayedEvent(
                    time_ms(message.timestamp, FAR_MS), message.customer_id, message.item_id, record
                )
            )
    return sorted(events, key=lambda event: event.time_ms)


class Baselines:
    """Histories, two-week bestsellers and raw co-counts of the events before a cutoff."""

    def __init__(self, events: Sequence[ReplayedEvent], cutoff_ms: int, days: int) -> None:
        self.histories: dict[str, dict[str, int]] = defaultdict(dict)  # by item, the newest time
        recent: Counter[str] = Counter()
        for event in events:
            history = self.histories[event.customer]
            history[event.item] = max(event.time_ms, history.get(event.item, 0))
            recent[event.item] += event.time_ms >= cutoff_ms - days * DAY_MS
        self.bestsellers = [item for item, n in recent.most_common() if n]
        self._numbers = {item: n for n, item in enumerate({e.item: None for e in events})}
        self._items = list(self._numbers)
        self._x, self._y, self._n = self._pairs()
        self._starts = np.searchsorted(self._x, np.arange(len(self._items) + 1))

    def _pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (x, y, customers in whose history they are within the window), ordered by x."""
        n_items = len(self._items)
        keys: list[npt.NDArray[np.int64]] = []
        for history in self.histories.values():
            # histories in order of first events
            order = np.array([self._numbers[item] for item in history], np.int64)
            for distance in range(1, min(WINDOW, len(order) - 1) + 1):
                before, after = order[:-distance], order[distance:]
                keys += [before * n_items + after, after * n_items + before]
        pairs, counts = np.unique(np.concatenate(keys), return_counts=True)
        return pairs // n_items, pairs % n_items, counts

    def best(self, customer: str) -> list[str]:
        """Return the bestsellers the customer does not have."""
        owned = self.histories[customer]
        found: list[str] = []
        for item in self.bestsellers:
            if item not in owned:
                found.append(item)
                if len(found) == K:
                    break
        return found

    def raw(self, customer: str) -> list[str]:
        """Return the items with the largest sums of co-counts that the customer does not have."""
        owned = self.histories[customer]
        newest = sorted(owned, key=lambda item: -owned[item])[:QUERY]
        scores = np.zeros(len(self._items))
        for item in newest:
            some = slice(*self._starts[self._numbers[item] : self._numbers[item] + 2])
            scores[self._y[some]] += self._n[some]
        scores[[self._numbers[item] for item in owned]] = -1
        return [self._items[n] for n in np.argsort(-scores, kind="stable")[:K]]


def _measure(
    workers: Recommenders,
    kind: EventKind,
    before: Sequence[ReplayedEvent],
    after: Sequence[ReplayedEvent],
    cutoff_ms: int,
    days: int,
) -> dict[str, float]:
    base = Baselines(before, cutoff_ms, days)
    then: dict[str, set[str]] = defaultdict(set)
    for event in after:
        if event.time_ms >= cutoff_ms + days * DAY_MS:
            break
        if event.customer in base.histories:
            then[event.customer].add(event.item)
    customers, hits = list(then), Counter[str]()
    for start in range(0, len(customers), AT_ONCE):
        some = customers[start : start + AT_ONCE]
        for shelf in ("new", "all"):
            answers = workers.recommend({"kind": kind.name, "k": K, "shelf": shelf}, some)
            for customer in some:
                offered = {entry["item_id"] for entry in answers[customer]["items"]}
                assert shelf == "all" or not offered & base.histories[customer].keys()
                hits[f"ours {shelf}"] += bool(offered & then[customer])
    for customer in customers:
        hits["bestsellers new"] += bool(set(base.best(customer)) & then[customer])
        hits["bestsellers all"] += bool(set(base.bestsellers[:K]) & then[customer])
        hits["raw new"] += bool(set(base.raw(customer)) & then[customer])
    return {"customers": len(customers), **{name: n / len(customers) for name, n in hits.items()}}


def _train(stack: Stack, kind: EventKind, settings: Settings) -> None:
    command = [str(Path(sys.executable).with_name("alsobought")), "train", "--kind", kind.name, "--json"]
    subprocess.run(
        [*command, "--kafka", stack.bootstrap.servers, "--data-dir", str(settings.data_dir)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def measure(
    source: str,
    kind: EventKind,
    cutoffs: int,
    days: int,
    rate: float,
    settings: Settings,
    *,
    training: bool,
) -> list[dict[str, float]]:
    """Return the hit rates at each cutoff."""
    events = read(source, kind)
    times = np.array([event.time_ms for event in events])
    first, last = int(times[0]), int(times[-1])
    at = np.linspace((first + last) / 2, last - days * DAY_MS, cutoffs)
    moments = [(float(moment), True) for moment in at]
    if training:
        moments += [(float(moment), False) for moment in range(first + TRAIN_MS, int(at[-1]), TRAIN_MS)]
    found, published = [], 0
    with Stack(settings, port=0, workers=1, say=lambda _text: None) as stack:
        if source == NAME:
            publish(stack.bootstrap, ITEMS, open_items(NAME).records())
        recommenders = None
        for cutoff, asked in track(sorted(moments), description=f"cutoffs of {source}", transient=True):
            end = int(np.searchsorted(times, cutoff))
            publish(stack.bootstrap, kind.events, _batches(events[published:end]), rate=rate)
            published = end
            drain(stack.bootstrap, kinds_of(settings), DRAIN_S, lambda _left: None)
            if not asked:
                _train(stack, kind, settings)
                continue
            recommenders = recommenders or Recommenders(stack.bootstrap)
            found.append(_measure(recommenders, kind, events[:end], events[end:], int(cutoff), days))
    return found


def _batches(events: Sequence[ReplayedEvent]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(events), 10_000):
        yield [event.record for event in events[start : start + 10_000]]


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", nargs="?", default=NAME, help="complete-journey, or a file as for publish")
    parser.add_argument("--kind", default=BOUGHT.name)
    parser.add_argument("--cutoffs", type=int, default=6)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--rate", type=float, default=10_000, help="events a second")
    parser.add_argument("--no-training", action="store_true", help="without the chronological model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), kafka=None)
        kind = next(kind for kind in kinds_of(settings) if kind.name == arguments.kind)
        found = measure(
            arguments.source, kind, arguments.cutoffs, arguments.days, arguments.rate, settings,
            training=not arguments.no_training,
        )  # fmt: skip
    mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    if arguments.json:
        print(json.dumps({"source": arguments.source, "cutoffs": found, "mean": mean}))
        return
    names = [name for name in mean if name != "customers"]
    print_table(
        ["hit@6", *(f"{n + 1}" for n in range(len(found))), "mean"],
        [[name, *(f"{one[name]:.3f}" for one in found), f"{mean[name]:.4f}"] for name in names],
    )
    print(f"ours / bestsellers, new: {mean['ours new'] / mean['bestsellers new']:.3f}")
    print(f"ours / raw co-counts, new: {mean['ours new'] / mean['raw new']:.3f}")


if __name__ == "__main__":
    main()
