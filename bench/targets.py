"""The targets: every figure that has one, with the bound that it has to keep."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024.0  # MiB


@dataclass(frozen=True)
class Target:
    """A bound for a figure.

    Attributes
    ----------
    figure
        Name of the figure in the results of the bench.
    what
        The figure in words, with its unit.
    bound
        The most that the figure may be, or the least if `least` is set.
    """

    bench: str
    figure: str
    what: str
    bound: float
    least: bool = False

    def met(self, value: float) -> bool:
        """Return whether a value keeps the bound."""
        return value >= self.bound if self.least else value <= self.bound

    @property
    def text(self) -> str:
        """Return the bound as it is written in tables."""
        return f"{'>=' if self.least else '<='} {self.bound:,g}"


def _latency(rate: int, p50_ms: float, p99_ms: float) -> list[Target]:
    what = f"purchase to its changed list, {rate:,} purchases/s,"
    return [
        Target("latency", f"list_{rate}_p50_ms", f"{what} p50, ms", p50_ms),
        Target("latency", f"list_{rate}_p99_ms", f"{what} p99, ms", p99_ms),
    ]


# Bytes an event of the year that the worker of 2026-11-27 wrote, which had no recommender beside it:
# `python -m bench.end_to_end --limit 300000` on its last commit.
DISK_BYTES_BEFORE = 2_901
KAFKA_BYTES_BEFORE = 1_942

TARGETS: tuple[Target, ...] = (
    Target("end_to_end", "listed_share", "listed events/s of the year, share of in process", 0.5, least=True),
    Target("end_to_end", "worker_cpu_multiple", "worker's CPU an event, multiple of in process", 2.5),
    *_latency(10, 25, 100),
    *_latency(50, 25, 100),
    *_latency(200, 25, 100),
    *_latency(1000, 50, 250),
    Target("latency", "list_after_load_p99_ms", "the same in the first 10 s after a load, p99, ms", 500),
    Target("latency", "staleness_ms", "oldest count not in a list, live, ms", 1_000),
    Target("latency", "recommendation_cpu_ms", "a recommendation, CPU, ms", 0.3),
    Target(
        "latency", "recommended_200_p50_ms", "purchase to its recommendations, 200 purchases/s, p50, ms", 300
    ),
    Target("latency", "recommended_200_p99_ms", "the same, p99, ms", 1_500),
    Target("end_to_end", "two_weeks_s", "53,000 purchases, until `drain` returns, s", 6),
    Target("end_to_end", "worker_peak_mib", "peak memory after the year, worker, MiB", 1.2 * GIB),
    Target("end_to_end", "recommender_peak_mib", "peak memory after the year, recommender, MiB", 0.6 * GIB),
    Target("recovery", "start_s", "start with the year until all partitions count, s", 4),
    Target("recovery", "caught_up_s", "kill -9 under load until caught up, s", 8),
    Target("publishing", "first_record_s", "`publish purchases complete-journey`, first record sent, s", 2),
    Target("publishing", "published_per_s", "the whole year, records/s", 100_000, least=True),
    Target("end_to_end", "disk_bytes_per_event", "bytes to disk an event, stores", DISK_BYTES_BEFORE / 2),
    Target("end_to_end", "kafka_bytes_per_event", "bytes to Kafka an event, topics", KAFKA_BYTES_BEFORE / 2),
    Target("growth", "partitions_cost", "cost of an event at 64 partitions, against 4", 1.3),
    Target(
        "growth", "catalogue_rate", "rate at 1,000,000 items, 5,000,000 customers, against 10,000, 50,000",
        0.6, least=True,
    ),
    Target("workers", "two_workers", "two workers and recommenders against one, listed/s", 1.2, least=True),
    Target("first_use", "compile_s", "compiling all kernels, s", 40),
    Target("first_use", "help_s", "`alsobought --help`, s", 0.4),
    Target("first_use", "demo_s", "`make demo` from a clean clone, packages cached, s", 240),
    Target("first_use", "moving_s", "the demo's first moving lists after its start, s", 20),
    Target("first_use", "test_s", "`make test`, s", 480),
)  # fmt: skip


def of_bench(name: str) -> list[Target]:
    """Return the targets for which a bench has figures."""
    return [target for target in TARGETS if target.bench == name]
