"""Keep the lists of one item task published: at once when there is time, together under load.

A count changes some fifty rows, and ranking a row and writing its list takes longer than counting. So
counting marks the rows whose list may have changed, and the cycle (`streams.tasks.cycle`) asks here for rows
to rank:

fresh    rows that were marked in this very cycle: in live traffic all of them are ranked at once
a pass   rows that wait for longer, a few at a time: those of a backlog; those of the background sweep, so
         that within the sweep bound every list is scored with the popularity of the day; or, when a SETTLE
         message asks for it, all rows, each brought exactly up to date

While a backlog is counted, what is counted is older than any list anyhow. Then there are only passes, so that
a row is ranked once however often it changed: the first after `catch_up_ms`, the next ones when the backlog
has been counted for three times as long as at the last one (docs/decisions/0006), unless it ends soon.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from aiokafka.errors import KafkaError
from faust.types import TP

from state.items.lists import Lists
from streams.tasks.following import MOST_WAITING, end_lists
from streams.tasks.foreign_lists import ForeignLists
from streams.tasks.freshness import Latency, Longest
from streams.tasks.lateness import Lateness
from streams.tasks.list_writer import ListWriter, Ranked
from streams.tasks.passes import Pass, RowNumbers, Sweep, WaitingCounts

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from streams.tasks.context import Context
    from streams.tasks.items import ItemTask

log = logging.getLogger("alsobought")

AGAIN_S = 1.0  # until what Kafka refused is tried again
HOLD_S = 5.0  # passes wait at most so long for a settling, which ranks every row anyway


class Refresher:
    """Ranks the rows of one item task when they are due, and follows their lists until Kafka has them.

    All methods but `sent` and `finish_settling` run in the cycle's thread, or in the event loop if the cycle
    is quick.

    Attributes
    ----------
    writer : ListWriter
        It writes the messages of lists.
    lateness : Lateness
        It says whether a backlog is counted.
    foreign : ForeignLists
        It finds lists that another worker wrote to our partition.
    listed : int
        The position up to which every list was brought exactly up to date, when last asked for.
    latency, staleness
        The time from events to their lists, and the age of the oldest count that was in no list.
    """

    def __init__(self, task: ItemTask, context: Context) -> None:
        self._task, self._context = task, context
        self.writer = ListWriter(task.machine, task.kind.name)
        self.tp = TP(task.kind.lists.name, task.tp.partition)
        self.lateness = Lateness(task, context)
        self._counts = WaitingCounts()
        self._overflowed = False  # fresh rows were left to the next pass
        self._pass: Pass | None = None
        self._last_sent: asyncio.Future[int] | None = None
        self._settle_at = -1
        self._held_until = 0.0  # passes are held until then, for a settling that was asked for
        self._sweep = Sweep(0.8 * context.settings.sweep_ms / 1000)
        self.foreign = ForeignLists(self.tp, context, self._mark_unknown)
        self.latency, self.staleness = Latency(), Longest()
        self._listed = context.measured.listed[task.kind.name]
        self.listed = 0
        self._lists_settled = -1  # position up to which lists are settled, but perhaps not popularity
        self._settled = asyncio.Event()

    # ------------------------------------------------------------------ what is to be done

    def counted(self, events: int, published_ms: float | None) -> None:
        """Note that a message was applied; its lists are due."""
        if published_ms is not None and events:
            self._counts.events.append((published_ms, events))
        self.lateness.counted(published_ms if events else None)
        self._counts.since = self._counts.since or time.monotonic()

    def follow(self, spans: Sequence[Span]) -> None:
        """End spans of what was just counted once its lists are in Kafka; not of more than a bound."""
        waiting = self._counts.spans
        waiting += spans[: max(0, MOST_WAITING - len(waiting))]

    def expect_settling(self) -> None:
        """Hold passes for a moment, because `settle` will be called and would rank the same rows again."""
        self._held_until = time.monotonic() + HOLD_S

    def settle(self, position: int) -> None:
        """Bring every list exactly up to date, and then set `listed` to the position."""
        self._settle_at = position

    @property
    def ready(self) -> bool:
        """Whether lists may be published: once the end of the partition and the popularity are known."""
        return self.foreign.ready and self._context.others.ready

    @property
    def behind(self) -> bool:
        """Whether a backlog is counted: its events are old, or so many that they will be."""
        return self.lateness.behind

    @property
    def has_waiting(self) -> bool:
        """Whether there are rows to rank while nothing is counted."""
        if self.settling:
            return True
        waits = self._pass is not None or (self._counts.since > 0 and not self.behind)
        return waits and time.monotonic() >= self._held_until

    @property
    def settling(self) -> bool:
        """Whether lists are being brought exactly up to date."""
        return self._settle_at >= 0 or (self._pass is not None and self._pass.exact)

    def fresh(self, most: int) -> RowNumbers:
        """Return at most `most` of the rows that were marked since the last call; the others are left to a
        pass.
        """
        rows, left = self._task.machine.fresh(0 if self.behind else most)
        self._overflowed = self._overflowed or left > 0
        return rows

    def listed_counts(self) -> WaitingCounts:
        """Return the counts that the lists of the fresh rows contain: all of them, unless some rows were
        left.
        """
        if self._overflowed:
            return WaitingCounts()
        counts, self._counts = self._counts, WaitingCounts()
        return counts

    def waiting(self, most: int) -> tuple[RowNumbers, bool]:
        """Return the next rows of the pass, at most `most`, and whether they are ranked exactly."""
        if self._settle_at >= 0 and self._pass is not None and not self._pass.exact:
            # the settling ranks its rows, too
            self._counts, self._pass = self._pass.counts.with_later(self._counts), None
        if not self.settling and time.monotonic() < self._held_until:
            return np.zeros(0, np.int64), False
        if self._pass is None:
            self._begin_pass()
        under_way = self._pass
        if under_way is None:
            return np.zeros(0, np.int64), False
        if under_way.exact or under_way.swept:
            rows = under_way.rows[under_way.done : under_way.done + most]
            under_way.done += len(rows)
            return rows, under_way.exact
        rest = under_way.rows[under_way.done :]
        still = self._task.machine.still_waiting(rest)  # the others were ranked meanwhile
        rows = rest[still[:most]]
        under_way.done += int(still[len(rows) - 1]) + 1 if len(rows) < len(still) else len(rest)
        return rows, False

    def passed(self) -> Pass | None:
        """Return the pass under way if all its rows are ranked; this ends it."""
        under_way = self._pass
        if under_way is None or under_way.done < len(under_way.rows):
            return None
        self._pass = None
        return under_way

    def _begin_pass(self) -> None:
        machine, now = self._task.machine, time.monotonic()
        if self._settle_at >= 0:
            position, self._settle_at = self._settle_at, -1
            self._pass = Pass(np.arange(machine.row_count), self._take_counts(), position)
            return
        if self.behind and not self.lateness.pass_is_due(self._counts.since):
            return
        rows = machine.waiting()
        if len(rows):
            self._pass = Pass(rows, self._take_counts())
        elif not self.behind and len(rows := self._sweep.rows(machine, now)):
            self._pass = Pass(rows, WaitingCounts(), swept=True)
        elif self._counts.since:  # what was counted changed no list
            self._pass = Pass(rows, self._take_counts())

    def _take_counts(self) -> WaitingCounts:
        counts, self._counts, self._overflowed = self._counts, WaitingCounts(), False
        return counts

    # ------------------------------------------------------------------ ranking

    def rank(self, rows: RowNumbers, *, exact: bool) -> Ranked | None:
        """Rank rows; return the messages of the lists that changed, or None if none did."""
        return self._changed(self._task.machine.rank(rows, exact=exact), exact=exact)

    def rank_fresh(self, rows: RowNumbers) -> Ranked | None:
        """Rank rows that `fresh` returned; return as `rank` does."""
        return self._changed(self._task.machine.rank_fresh(rows), exact=False)

    def _changed(self, lists: Lists, *, exact: bool) -> Ranked | None:
        machine = self._task.machine
        which = machine.mark_published(lists, exact=exact)
        self._task.counters.lists += len(which)
        if len(which) == 0:
            return None
        return self.writer.batch(lists, which)

    # ------------------------------------------------------------------ what Kafka has

    def sent(
        self, batches: Sequence[tuple[asyncio.Future[int], int]], counts: WaitingCounts, settled: int = -1
    ) -> None:
        """Note what was sent, for when Kafka has it.

        Given are the batches of lists and how many lists each has, the counts that they contain, and the
        position up to which they settle.
        """
        # batches of a partition are acknowledged in their order: those of earlier cycles before the last
        for future, count in batches:
            future.add_done_callback(partial(self.foreign.own, count))
            self._last_sent = future
        last = self._last_sent

        def acknowledged(_future: asyncio.Future[int] | None = None) -> None:
            if last is not None and (last.cancelled() or last.exception() is not None):
                return  # the worker ends
            now_ms, now = time.time() * 1000, time.monotonic()
            if counts.since:
                self.staleness.note((now - counts.since) * 1000)
            for published_ms, events in counts.events:
                self.latency.note(now_ms - published_ms, events)
                self._listed.note((now_ms - published_ms) / 1000, events)
            if counts.spans:
                end_lists(counts.spans, sum(count for _, count in batches))
            if settled >= 0:
                self._lists_settled = max(self._lists_settled, settled)
                self._settled.set()

        if last is None or last.done():
            acknowledged()
        else:
            last.add_done_callback(acknowledged)

    def unsent(self, rows: Sequence[RowNumbers], counts: WaitingCounts, settled: int) -> None:
        """Take back what was ranked and not sent: it is due again. The lock must be held."""
        for some in rows:
            self._task.machine.mark_rows_unknown(some)
        self._settle_at = max(self._settle_at, settled)
        self._counts = counts.with_later(self._counts)
        self._counts.since = self._counts.since or time.monotonic()
        self._overflowed = True

    async def finish_settling(self) -> None:
        """Publish the popularity that settled lists were ranked by, then report them as settled; until
        cancelled.
        """
        while True:
            await self._settled.wait()
            self._settled.clear()
            position = self._lists_settled
            try:
                await self._task.settled()
            except KafkaError as error:
                log.info("%s: %s; settled again", self._task.name, error)
                self._settled.set()
                await asyncio.sleep(AGAIN_S)
                continue
            self.listed = max(self.listed, position)

    def _mark_unknown(self, items: Iterable[str]) -> None:
        """Let the lists of items be published again. The lock must be held."""
        self._task.machine.mark_unknown(items)
        self._counts.since = self._counts.since or time.monotonic()
        self._overflowed = True
