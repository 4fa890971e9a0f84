"""Show the workers' reports about their speed, read in the background."""

from __future__ import annotations

import statistics
import threading
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from alsobought.clients import RECENT
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower
from streams.kinds import is_internal
from streams.messages.schema import REPORTED, Progress, progress_of
from streams.topics import ITEMS, PROGRESS, topic_of

LINE_EVERY_S = 3.0


class Meter:
    """Rates and latencies from the topic progress, shown until the block ends.

    On a terminal it is one line that changes, otherwise a line every few seconds.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._follower = Follower(bootstrap, PROGRESS, back=RECENT)
        before = [progress_of(row.value) for row in self._follower.past()]
        self._first = {progress.task: progress for progress in before if progress}
        self._newest: dict[str, Progress] = {}
        self._p50: list[float] = []
        self._p99: list[float] = []
        self._last = (0.0, 0, 0)
        self._waiting = ""
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._console = Console(stderr=True, highlight=False)

    @property
    def seconds(self) -> float:
        """The seconds since it began."""
        return time.monotonic() - self._begin

    def waits_for(self, left: str) -> None:
        """Show what `drain` waits for while nothing is counted."""
        self._waiting = left

    def totals(self) -> str:
        """Return what was done since it began, and the averages."""
        events, updates, lists = (self._done(name) for name in ("events", "pair_updates", "lists"))
        s = self.seconds
        return (
            f"{events:,} events ({events / s:,.0f}/s), {updates:,} pair updates ({updates / s:,.0f}/s),"
            f" {lists:,} lists published"
        )

    def latency(self) -> str:
        """Medians of what each partition reported each second, and the worst of them."""
        if not self._p50:
            return "nothing reported"
        return (
            f"p50 {statistics.median(self._p50):,.0f} ms, p99 {statistics.median(self._p99):,.0f} ms"
            f" (medians over seconds and partitions; worst second's p99 {max(self._p99):,.0f} ms)"
        )

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._follower.__exit__()

    def _done(self, name: str) -> int:
        of_deltas = name != "events"  # item tasks count the events of their messages, too
        return sum(
            getattr(progress, name) - getattr(self._first[task], name)
            for task, progress in self._newest.items()
            if topic_of(task) != ITEMS.name
            and not task.startswith(REPORTED)
            and is_internal(topic_of(task)) == of_deltas
        )

    def _run(self) -> None:
        due = time.monotonic() + LINE_EVERY_S
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            while not self._stop.is_set():
                for row in self._follower.poll():
                    if progress := progress_of(row.value):
                        self._note(progress)
                if self._console.is_terminal:
                    if time.monotonic() >= due - LINE_EVERY_S + 1:
                        due = time.monotonic() + LINE_EVERY_S
                        live.update(Text(self._line(), no_wrap=True, overflow="ellipsis"), refresh=True)
                elif time.monotonic() >= due:
                    due += LINE_EVERY_S
                    self._console.print(self._line(), soft_wrap=True)

    def _note(self, progress: Progress) -> None:
        self._first.setdefault(progress.task, progress)
        self._newest[progress.task] = progress
        if progress.latency_p50_ms >= 0:
            self._p50.append(progress.latency_p50_ms)
            self._p99.append(progress.latency_p99_ms)

    def _line(self) -> str:
        at, events, updates = self._last
        now, events_now, updates_now = self.seconds, self._done("events"), self._done("pair_updates")
        self._last = now, events_now, updates_now
        s = max(now - at, 1e-3)
        newest = [p for p in self._newest.values() if p.latency_p50_ms >= 0]
        fresh = (
            f"to a list {statistics.median(p.latency_p50_ms for p in newest):,.0f} ms p50,"
            f" {max(p.latency_p99_ms for p in newest):,.0f} ms p99"
            if newest
            else "no latency reported"
        )
        if self._waiting and (events, updates) == (events_now, updates_now):
            first, *others = self._waiting.split("; ")
            fresh = f"waiting: {first}" + (f", and {len(others)} more" if others else "")
        return (
            f"{now:4.0f} s {(events_now - events) / s:>7,.0f} events/s"
            f" {(updates_now - updates) / s:>10,.0f} pairs/s {self._done('lists'):>8,} lists  {fresh}"
        )
