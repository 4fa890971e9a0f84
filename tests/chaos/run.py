"""A run of faults while purchases and watches are counted; at the end every count must equal the oracle's.

python -m tests.chaos --minutes 20 --seed 1        or: make chaos CHAOS="--minutes 20 --seed 1"
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from alsobought.draining import drain
from state.customers.events import Event
from streams.connections.bootstrap import Bootstrap
from streams.kinds import BOUGHT, BUILT_IN, LISTED, WATCHED, WATCHED_BOUGHT, EventKind, counted_of_kinds
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED, decode_event
from tests.chaos.clients import Feeder, Listener
from tests.chaos.cluster import Cluster
from tests.chaos.compare import (
    WINDOW,
    Differences,
    compare_lists,
    compare_offers,
    compare_popularity,
    compare_stores,
)
from tests.chaos.compare_crossing import compare_crossing, compare_crossing_lists
from tests.chaos.faults import SHORT, WEIGHTS, Fault
from tests.chaos.feed import feed
from tests.events import as_event
from tests.oracles.counts import Oracle
from tests.oracles.watched_bought import CrossingOracle
from tests.streams.pipeline import PARTITIONS, Wires, until

SHARES = {BOUGHT: 3, WATCHED: 1}  # out of four events
RECOVERY_S = 180.0
DRAIN_S = 300.0
PAUSE_S = 2.0
LEAST_EVENTS = 12_000
ENOUGH_S = 240.0


@dataclass
class Report:
    """What happened in a run, and what was found at its end."""

    seed: int
    # each with the seconds until recovery
    faults: list[tuple[str, float | None]] = field(default_factory=list)
    events: int = 0
    drained_s: float = 0.0
    ended: list[str] = field(default_factory=list)
    differences: Differences = field(default_factory=Differences)

    def lines(self) -> Iterator[str]:
        """Return the report for people."""
        by_kind: dict[str, list[float | None]] = defaultdict(list)
        for name, recovery_s in self.faults:
            by_kind[name].append(recovery_s)
        yield f"{len(self.faults)} faults, {self.events} events, seed {self.seed}"
        yield f"{'fault':28}{'times':>6}{'recovery median':>18}{'longest':>10}"
        for name, recoveries in sorted(by_kind.items()):
            known = [r for r in recoveries if r is not None]
            shown = f"{statistics.median(known):16.1f} s{max(known):8.1f} s" if known else ""
            yield f"{name:28}{len(recoveries):6}{shown}"
        yield f"workers that ended by themselves and were started again: {len(self.ended)}"
        yield f"drained after the last fault in {self.drained_s:.1f} s"
        for kind, compared in sorted(self.differences.compared.items()):
            yield f"{kind:28}{compared:12,} compared, {self.differences.differing[kind]} differ"
        yield from self.differences.examples


def new_feeder(
    bootstrap: Bootstrap, seed: int, rate: float, kinds: tuple[EventKind, ...] = BUILT_IN
) -> Feeder:
    """Return a feeder of so many purchases and watches a second, which begins with these kinds."""
    records = {kind: feed(seed, kind) for kind in SHARES}
    rates = {kind: rate * share / sum(SHARES.values()) for kind, share in SHARES.items()}
    return Feeder(bootstrap, records, rates, kinds)


def run(
    root: Path, seed: int, rate: float, faults: Iterator[Fault], say: Callable[[str], None],
    watches_after: int = 0,
) -> Report:  # fmt: skip
    """Cause the faults one after the other while events come, then compare everything.

    The first watch comes after a given number of faults; the next fault comes during the transfer that
    follows.
    """
    rng, report = random.Random(seed), Report(seed)
    cluster = Cluster(root)
    try:
        cluster.start()
        listener = Listener(cluster.bootstrap)
        feeder = new_feeder(cluster.bootstrap, seed, rate, (BOUGHT,) if watches_after else BUILT_IN)
        least = LEAST_EVENTS
        listener.start()
        feeder.start()
        recovered(listener, time.time())
        for fault in faults:
            if watches_after and len(report.faults) == watches_after:
                least += feeder.published
                feeder.kinds = BUILT_IN
            begin = time.monotonic()
            fault(cluster, rng)
            # sometimes the next fault comes before recovery from this one
            recovery_s = recovered(listener, time.time()) if rng.random() < 0.7 else None
            report.faults.append((fault.__name__, recovery_s))
            outcome = f"recovered in {recovery_s:.1f} s" if recovery_s is not None else "on to the next"
            say(f"{len(report.faults):4} {fault.__name__} ({time.monotonic() - begin:.1f} s): {outcome}")
            time.sleep(rng.uniform(0, PAUSE_S))
        until(lambda: feeder.published >= least or feeder.failed, "enough purchases", ENOUGH_S)
        feeder.end()
        listener.end()
        report.events = feeder.published
        say("draining ...")
        begin = time.monotonic()
        drain(cluster.bootstrap, LISTED, DRAIN_S, lambda _left: None)
        report.drained_s = time.monotonic() - begin
        wires = Wires(cluster.bootstrap)
        found = {
            kind: (
                wires.lists(kind), wires.newest(kind.popularity), wires.newest(kind.bestsellers),
                wires.newest(kind.recommendations), _events(wires, kind),
            )
            for kind in BUILT_IN
        }  # fmt: skip
        crossing_lists = wires.lists(WATCHED_BOUGHT)
        ends = {spec.name: wires.ends(spec.name) for spec in counted_of_kinds(LISTED)}
        cluster.stop()
        wires.close()
    finally:
        report.ended = cluster.ended
        cluster.stop()
        cluster.broker.stop()
    say("comparing ...")
    oracles: dict[EventKind, Oracle] = {}
    for kind, (lists, popularity, sellers, recommendations, events) in found.items():
        oracle = oracles[kind] = Oracle(WINDOW, partition_of=_partition).feed(events)
        compare_stores([host.disk for host in cluster.hosts], kind, ends, oracle, report.differences)
        compare_lists(lists, kind, oracle, report.differences)
        compare_popularity(popularity, kind, oracle, report.differences)
        compare_offers(sellers, recommendations, kind, oracle, report.differences)
    crossing = CrossingOracle(oracles[WATCHED], oracles[BOUGHT])
    compare_crossing([host.disk for host in cluster.hosts], ends, crossing, report.differences)
    compare_crossing_lists(crossing_lists, crossing, report.differences)
    return report


def recovered(listener: Listener, since: float, patience_s: float = RECOVERY_S) -> float:
    """Wait until a worker and a recommender have reported progress in every partition; return the seconds."""
    begin = time.monotonic()
    missing = {f"{spec.name}-{p}" for spec in counted_of_kinds(LISTED) for p in range(PARTITIONS)}
    missing |= {f"{REPORTED}{kind.events.name}-{p}" for kind in BUILT_IN for p in range(PARTITIONS)}
    listener.ask()

    def done() -> bool:
        ends = listener.ends
        for task, at_ms in listener.reported() if ends else ():
            if at_ms / 1000 > since and task.applied >= ends.get(task.task.removeprefix(REPORTED), 0):
                missing.discard(task.task)
        return not missing

    until(done, f"recovery of {missing}", patience_s)
    return time.monotonic() - begin


def _partition(customer: str) -> int:
    return partition_for(customer.encode(), PARTITIONS)


def _events(wires: Wires, kind: EventKind) -> list[Event]:
    """Return Kafka's log; each customer is in one partition, so only the order within partitions counts."""
    return [as_event(decode_event(record.value)) for record in wires.read(kind.events.name)]


def some_faults(seed: int, minutes: float, most: int | None) -> Iterator[Fault]:
    """Yield random faults until the minutes are over, or until there were enough."""
    rng = random.Random(seed)
    end = time.monotonic() + 60 * minutes
    done = 0
    while time.monotonic() < end and done != most:
        done += 1
        yield rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def short_faults() -> Iterator[Fault]:
    """Yield one fault of each kind that differs."""
    yield from SHORT


def as_json(report: Report) -> str:
    """Return the report for programs."""
    return json.dumps({
        "seed": report.seed, "faults": report.faults, "events": report.events, "ended": report.ended,
        "compared": report.differences.compared, "differing": report.differences.differing,
    })  # fmt: skip
