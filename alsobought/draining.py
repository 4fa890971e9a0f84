"""Waiting until everything published is counted, and every list says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from alsobought.options import CommandError
from state.deltas import encode_settle
from streams.messages import Progress, decode_progress
from streams.topics import ITEMS, PAIR_DELTAS, PROGRESS, PURCHASES
from streams.views import Follower, ends, send_each

OnLag = Callable[[str], None]


@dataclass(frozen=True)
class Drained:
    """What was waited for: offsets by partition, and the seconds it took."""

    purchases: int
    items: int
    seconds: float


def drain(bootstrap: str, timeout_s: float, on_lag: OnLag) -> Drained:
    """Return when what is published now is counted and every list is exactly up to date with it.

    First every partition of purchases and items must be applied to its present end; the deltas are then in
    pair-deltas. A settle record written behind them asks each item partition to refresh its lists and to
    report `listed`. Progress of earlier runs is not read: only what workers write from now on counts.

    Raises
    ------
    CommandError
        It took longer than `timeout_s`; the message has what is left.
    """
    begin = time.monotonic()
    targets = {
        f"{spec.name}-{partition}": end
        for spec in (PURCHASES, ITEMS)
        for partition, end in ends(bootstrap, spec).items()
    }
    with Follower(bootstrap, PROGRESS) as follower:
        waiting = _Waiting(follower, begin + timeout_s, timeout_s, on_lag)
        waiting.until(targets, lambda progress: progress.applied)
        settled = _Settle(bootstrap, waiting)
        settled.ask(sorted(ends(bootstrap, PAIR_DELTAS)))
        waiting.until(settled.targets, lambda progress: progress.listed, settled.ask_again)
    counted = {
        name: sum(v for task, v in targets.items() if task.startswith(name))
        for name in ("purchases", "items")
    }
    return Drained(counted["purchases"], counted["items"], round(time.monotonic() - begin, 3))


@dataclass
class _Waiting:
    follower: Follower
    deadline: float
    timeout_s: float
    on_lag: OnLag

    def until(
        self,
        targets: dict[str, int],
        reached: Callable[[Progress], int],
        look: Callable[[Progress], None] | None = None,
    ) -> None:
        """Wait until every task has reached its target; `look` may raise targets."""
        newest: dict[str, Progress] = {}
        while True:
            for row in self.follower.poll():
                if row.value and (progress := decode_progress(row.value)).task in targets:
                    newest[progress.task] = progress
                    if look is not None:
                        look(progress)
            left = _left(targets, newest, reached)
            if not left:
                return
            self.on_lag(left)
            if time.monotonic() > self.deadline:
                raise CommandError(
                    f"not drained in {self.timeout_s:g} s; left: {left}. Is a worker running? See its log, or"
                    " wait longer with --timeout."
                )


class _Settle:
    """Settle records: sent to each item partition, and again to one whose worker changed."""

    def __init__(self, bootstrap: str, waiting: _Waiting) -> None:
        self.targets: dict[str, int] = {}
        self._bootstrap = bootstrap
        self._waiting = waiting
        self._seen: dict[str, tuple[str, int]] = {}

    def ask(self, partitions: list[int]) -> None:
        for partition, offset in send_each(self._bootstrap, PAIR_DELTAS, encode_settle(), partitions).items():
            self.targets[f"{PAIR_DELTAS.name}-{partition}"] = offset + 1

    def ask_again(self, progress: Progress) -> None:
        """A new owner may have stored the record as applied without having listed: ask it anew."""
        worker, listed = self._seen.get(progress.task, (progress.worker, progress.listed))
        self._seen[progress.task] = progress.worker, progress.listed
        if worker != progress.worker or progress.listed < listed:
            self.ask([int(progress.task.rpartition("-")[2])])


def _left(targets: dict[str, int], newest: dict[str, Progress], reached: Callable[[Progress], int]) -> str:
    parts = []
    for task, target in targets.items():
        if task not in newest:
            parts.append(f"{task} not heard of")
        elif (lag := target - reached(newest[task])) > 0:
            parts.append(f"{task} {lag:,} behind")
    return ", ".join(parts)
