"""What a soak measures every few seconds, and whether it stayed flat."""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.chaos.clients import Listener
from tests.chaos.cluster import RECOMMENDER, Cluster

WARM = 0.3
"""The share of a run at its beginning that is not judged: caches fill, and the shop's pairs are all new."""


@dataclass(frozen=True)
class Bound:
    """How much a measure may grow in a run after it is warm: a share of its median, and so much anyway."""

    share: float
    least: float
    unit: str

    def of(self, values: list[float]) -> float:
        """Return the largest growth that counts as flat."""
        return max(self.share * median(values), self.least)


BOUNDS: dict[str, Bound] = {
    "memory of workers": Bound(0.10, 40.0, "MiB"),
    "memory of recommenders": Bound(0.10, 40.0, "MiB"),
    "memory of Kafka": Bound(0.25, 150.0, "MiB"),
    "handles": Bound(0.10, 20.0, ""),
    "threads": Bound(0.10, 8.0, ""),
    "stores": Bound(0.20, 20.0, "MiB"),
    "checkpoints": Bound(0.30, 30.0, "MiB"),
    "lag": Bound(0.50, 300.0, "events"),
    "latency of lists": Bound(0.50, 100.0, "ms"),
}
GROWS = "log of Kafka"
"""What grows by design, with the events: it is measured and not judged."""


@dataclass
class Samples:
    """Columns of numbers by name, their times in s since the beginning, and the faults."""

    times_s: list[float] = field(default_factory=list)
    columns: dict[str, list[float | None]] = field(default_factory=lambda: defaultdict(list))
    faults: list[tuple[float, str]] = field(default_factory=list)
    events: int = 0

    def judged(self) -> list[dict[str, Any]]:
        """Return each measure's median, growth, slope an hour, bound, and whether it is within it."""
        found = []
        for name, bound in BOUNDS.items():
            points = [(t, v) for t, v in zip(self.times_s, self.columns[name], strict=True) if v is not None]
            warm = [(t, v) for t, v in points if t >= WARM * self.times_s[-1]]
            values = [v for _, v in warm]
            slope = robust_slope(warm)
            growth, most = slope * (warm[-1][0] - warm[0][0]), bound.of(values)
            found.append({
                "measure": name, "unit": bound.unit, "median": median(values), "growth": growth,
                "slope_per_hour": 3600 * slope, "bound": most, "flat": growth <= most,
            })  # fmt: skip
        return found


def robust_slope(points: list[tuple[float, float]]) -> float:
    """Return the median of the slopes of all pairs of points, which faults in between do not move.

    It is the estimator of Theil and Sen (P. K. Sen, Journal of the American Statistical Association, 1968).
    """
    slopes = [(w - v) / (u - t) for n, (t, v) in enumerate(points) for u, w in points[n + 1 :] if u > t]
    return median(slopes) if slopes else 0.0


class Sampler:
    """Takes samples of a cluster."""

    def __init__(self, cluster: Cluster, listener: Listener, root: Path) -> None:
        self._cluster, self._listener, self._root = cluster, listener, root
        self._begin = time.monotonic()
        self._applied: dict[str, int] = {}
        self._ends: Mapping[str, int] = {}
        self.samples = Samples()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begin

    def take(self) -> None:
        """Take one sample."""
        of: dict[str, list[psutil.Process]] = defaultdict(list)
        for name in self._cluster.running():
            worker = self._cluster.host_of(name).workers.get(name)
            if worker is not None:
                role = "recommenders" if name.endswith(RECOMMENDER) else "workers"
                of[f"memory of {role}"] += _processes([worker.process.pid])
        of["memory of Kafka"] = _processes([self._cluster.broker.pid])
        everyone = [process for some in of.values() for process in some]
        row: dict[str, float | None] = {}
        for name in ("memory of workers", "memory of recommenders", "memory of Kafka"):
            row[name] = _sum(of[name], lambda p: p.memory_info().rss / (1 << 20))
        row["handles"] = _sum(everyone, lambda p: p.num_fds())
        row["threads"] = _sum(everyone, lambda p: p.num_threads())
        row["stores"] = sum(_mib(host.disk) for host in self._cluster.hosts)
        row["checkpoints"] = _mib(self._cluster.checkpoints)
        row[GROWS] = _mib(self._root / "kafka")
        row["lag"], row["latency of lists"] = self._lag_and_latency()
        self.samples.times_s.append(self.elapsed_s)
        for name, value in row.items():
            self.samples.columns[name].append(value)

    def _lag_and_latency(self) -> tuple[float | None, float | None]:
        latencies = []
        for progress, _ in self._listener.reported():
            self._applied[progress.task] = progress.applied
            if progress.latency_p50_ms >= 0:
                latencies.append(progress.latency_p50_ms)
        self._ends = self._listener.ends or self._ends
        self._listener.ask()
        lags = [
            max(0, end - self._applied[task]) for task, end in self._ends.items() if task in self._applied
        ]
        return (float(sum(lags)) if lags else None), (median(latencies) if latencies else None)


def _processes(pids: Iterable[int | None]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            if pid is not None:
                found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found


def _sum(processes: list[psutil.Process], measure: Any) -> float | None:
    """Return the sum over all processes; None if one of them has just ended."""
    try:
        return float(sum(measure(process) for process in processes)) if processes else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _mib(folder: Path) -> float:
    """Return the size of a folder's files, but for logs; files may come and go meanwhile."""
    total = 0
    for at, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += 0 if name.endswith(".log") and "data" not in at else (Path(at) / name).stat().st_size
    return total / (1 << 20)
