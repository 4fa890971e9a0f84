"""Measures the time from a purchase in Kafka to its changed list in Kafka, for an outside client, on the
year's state.

    python -m bench.latency [--limit N] [--seconds S] [--rates 10,50,200,1000]

`bench.probes` describes what is measured. Beside the probes, real purchases are published at the rate of each
phase.
The first phase is right after a load: 100,000 purchases at once behind the others, at 200 a second more; its
clock starts when all of the 100,000 are counted. A probe that gets nothing for ten seconds counts with the
time that it waited.

The CPU of a recommendation is what the recommender measures itself, from the history to the message. Beside
it stands all CPU of the recommender, which reads events, lists and popularity and trains, for each of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from bench.machines import in_process_per_s
from bench.probes import PAUSE_S, ProbeResults, apart
from bench.processes import Usage
from bench.progress_follower import ProgressFollower
from bench.results import Result, parser, run
from bench.scraping import total
from bench.stack import Arrivals, Running, finished, purchases, running, wait_for
from streams.kafka.follower import read_all
from streams.kafka.publishing import Record
from streams.messages.schema import decode_event, decode_related
from streams.topics import RECOMMENDATIONS, RELATED_ITEMS

RATES = "10,50,200,1000"
LOAD = 100_000
AFTER_LOAD_S = 10.0
AFTER_LOAD_RATE = 200.0
AFTER_LOAD_PROBES_PER_S = 20.0
SAMPLES = 200
SHORTEST_S = 30.0
SPARE_S = 12.0  # probes start and end in this time, while purchases are published
TRIED = 400  # number of items whose lists are tried
ENOUGH = 20  # number of these that are used to measure
BUYERS = 3  # fewest buyers of a known item
LOW_SCORE = 0.4  # score of the last entry: a pair of a single customer can then replace it
PLACE = 70  # last place in the list that it may get: counting continues, and entries near the end drop out
SETTLE_S = 15.0


@dataclass(frozen=True)
class Phase:
    """A rate of purchases a second, with the number of probes sent beside them, and for how long."""

    rate: float
    seconds: float

    @property
    def probes_per_s(self) -> float:
        """Return the probes a second: one in ten purchases, but not so many that they are the load."""
        return min(max(self.rate / 10, 1.0), 20.0)

    @property
    def purchases(self) -> int:
        """Return how many purchases it takes at most."""
        return int(self.rate * (self.seconds + SPARE_S))


def measure(options: argparse.Namespace) -> Result:
    """Measure all phases once."""
    per_s, _ = in_process_per_s()
    phases = [Phase(float(rate), _seconds(float(rate), options)) for rate in options.rates.split(",")]
    records = purchases(options.limit)
    load = min(LOAD, len(records) // 4)
    coming = int(AFTER_LOAD_RATE * 8 * AFTER_LOAD_S)
    held = sum(phase.purchases for phase in phases) + coming
    first = len(records) - held - load
    if first < load:
        raise SystemExit(f"--limit {options.limit} is too few for these rates: take {4 * (held + load):,}")
    figures: dict[str, float] = {}
    series: dict[str, list[float]] = {name: [] for name in ("rate", "p50_ms", "p99_ms", "worker_cores")}
    with running() as system:
        system.publish_year(first)
        system.drain()
        at = first + load
        time_ms = _time_ms(records[at + coming])
        known = _known(system, time_ms, "trial-after-load")
        figures |= _after_load(system, records[first:at], records[at : at + coming], known, time_ms)
        at += coming
        for phase in phases:
            system.drain()
            time.sleep(SETTLE_S)
            beside = records[at : at + phase.purchases]
            # no earlier than the purchases beside it, because an older pair would lose its place to theirs
            time_ms = _time_ms(beside[-1])
            known = _known(system, time_ms, f"trial-{phase.rate:g}")
            numbers = _phase(system, phase, beside, known, time_ms)
            at += phase.purchases
            rate = f"{phase.rate:g}"
            figures |= {f"{name.replace('RATE', rate)}": value for name, value in numbers.items()}
            series["rate"].append(phase.rate)
            series["p50_ms"].append(numbers["list_RATE_p50_ms"])
            series["p99_ms"].append(numbers["list_RATE_p99_ms"])
            series["worker_cores"].append(numbers["worker_cores_RATE"])
    figures["staleness_ms"] = max(v for name, v in figures.items() if name.startswith("staleness_"))
    if (cpu := figures.get("recommendation_cpu_200_ms")) is not None:
        figures["recommendation_cpu_ms"] = cpu
    return Result(figures, per_s, series)


def _time_ms(record: Record) -> int:
    return int(decode_event(record[1]).timestamp)


def _seconds(rate: float, options: argparse.Namespace) -> float:
    return float(options.seconds or max(SHORTEST_S, SAMPLES / Phase(rate, 0).probes_per_s))


def _known(system: Running, time_ms: int, name: str) -> list[str]:
    """Return the most popular items whose lists take in an item of one customer; each is tried by a probe."""
    newest = {row.key: row.value for row in read_all(system.bootstrap, RELATED_ITEMS)}
    lists = [decode_related(value) for value in newest.values() if value]
    able = [one for one in lists if one.buyers >= BUYERS and one.related[-1].score <= LOW_SCORE]
    able.sort(key=lambda one: (-one.buyers, one.item_id))
    tried = [one.item_id for one in able[:TRIED]]
    results = apart(system.bootstrap, tried, per_s=50, count=len(tried), time_ms=time_ms, name=name)
    known = [item for item, place in zip(results.known, results.places, strict=True) if 0 <= place <= PLACE]
    if len(known) < ENOUGH:
        raise SystemExit(
            f"of {len(tried)} items only {len(known)} have lists that change, {ENOUGH} are needed: take more"
            " purchases with --limit"
        )
    return known


def _after_load(
    system: Running, load: Sequence[Record], coming: Sequence[Record], known: list[str], time_ms: int
) -> dict[str, float]:
    with ProgressFollower(system.bootstrap) as follower, Arrivals(system.bootstrap) as arrivals:
        end = arrivals.begin + len(load)
        finished(system.publishing(load))
        background = system.publishing(coming, AFTER_LOAD_RATE)
        wait_for(lambda: follower.purchases(lambda p: p.applied) >= end, "the load to be counted", 1_800.0)
        count = int(AFTER_LOAD_PROBES_PER_S * (AFTER_LOAD_S - PAUSE_S))
        results = apart(
            system.bootstrap, known, per_s=AFTER_LOAD_PROBES_PER_S, count=count, time_ms=time_ms, name="after"
        )
        background.terminate()
        background.wait()
    return _numbers_of(results, "list_after_load", "recommended_after_load")


def _phase(
    system: Running, phase: Phase, records: Sequence[Record], known: list[str], time_ms: int
) -> dict[str, float]:
    """Return the figures of a phase, with the rate in their names."""
    with (
        ProgressFollower(system.bootstrap) as follower,
        Arrivals(system.bootstrap) as bought,
        Arrivals(system.bootstrap, RECOMMENDATIONS) as recommended,
    ):
        background = system.publishing(records, phase.rate)
        bought.first()
        wait_for(lambda: bool(follower.recommenders()), "the recommender to report")
        before, begin = system.processes.usage(), time.monotonic()
        n_bought, n_recommended, took = bought.count(), recommended.count(), _recommending(follower)
        results = apart(
            system.bootstrap, known, per_s=phase.probes_per_s,
            count=int(phase.seconds * phase.probes_per_s), time_ms=time_ms, name=f"at-{phase.rate:g}",
        )  # fmt: skip
        after, seconds = system.processes.usage(), time.monotonic() - begin
        n_bought, n_recommended = bought.count() - n_bought, recommended.count() - n_recommended
        cpu_s, times = (now - then for now, then in zip(_recommending(follower), took, strict=True))
        background.terminate()
        background.wait()
        numbers = _numbers_of(results, "list_RATE", "recommended_RATE")
        numbers["purchases_per_s_RATE"] = n_bought / seconds
        numbers["staleness_RATE_ms"] = follower.staleness_ms
        for role in ("worker", "recommender", "broker", "api"):
            numbers[f"{role}_cores_RATE"] = _cpu_s(before, after, role) / seconds
        if times:
            numbers["recommendation_cpu_RATE_ms"] = 1000 * cpu_s / times
        if n_recommended and (all_s := _cpu_s(before, after, "recommender")):
            numbers["recommender_cpu_per_recommendation_RATE_ms"] = 1000 * all_s / n_recommended
        return numbers


def _recommending(follower: ProgressFollower) -> tuple[float, float]:
    """Return the seconds of CPU that recommendations have taken, and how many there were."""
    name, found = "alsobought_recommendation_cpu_seconds", follower.recommenders()
    return total(found, f"{name}_sum"), total(found, f"{name}_count")


def _cpu_s(before: dict[str, Usage], after: dict[str, Usage], role: str) -> float:
    return after[role].cpu_s - before[role].cpu_s


def _numbers_of(results: ProbeResults, lists: str, recommendations: str) -> dict[str, float]:
    figures = {"probes": float(len(results.lists_ms)), "unheard": float(results.places.count(-1))}
    numbers = {f"{lists}_{name}": value for name, value in figures.items()}
    for name, values in (
        (lists, results.lists_ms),
        (f"{lists}_of_own", results.own_lists_ms),
        (recommendations, results.recommendations_ms),
        (f"{lists}_acknowledged", results.acknowledgements_ms),
    ):
        numbers[f"{name}_p50_ms"] = median(values)
        numbers[f"{name}_p99_ms"] = quantiles(values, n=100, method="inclusive")[98]
    return numbers


def main() -> None:
    """Run the bench."""
    options = parser(__doc__)
    options.add_argument("--rates", default=RATES, help=f"purchases a second, {RATES} without it")
    options.add_argument("--seconds", type=float, help="of each phase; without it as long as it takes")
    run("latency", options.parse_args(), measure)


if __name__ == "__main__":
    main()
