"""Keeping lists published: at once when there is room, coalesced under load, all of them by and by.

A count changes some fifty rows, and ranking a row and sending its list costs more than counting, so rows
whose list may have changed are marked and refreshed together. The pause between two refreshes follows what
the last one took: with little to do lists go out in milliseconds, under full load a row is refreshed once a
pause however often it changed, the pause growing up to the staleness bound. While a backlog is worked off,
what is counted is older than that anyhow, and a longer bound holds (docs/decisions/0006). Beside the marked
rows every refresh takes a few of all rows, so that within the sweep bound each is scored with the
popularity of the day.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt
from aiokafka.errors import KafkaError
from faust.types import TP

from state.lists import Lists
from state.rows import MASS
from streams.foreign import Written
from streams.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.outbox import Batch, acknowledged
from streams.threads import in_thread

if TYPE_CHECKING:
    from streams.context import Context
    from streams.item_task import ItemTask

log = logging.getLogger("alsobought")

ACTIVE_S = 5.0  # a task that counted nothing for so long wants no share of the time for ranking
SLICE_ROWS = 512  # ranked and written in one go, in a thread: some 20 ms and 5 MiB
SHARE = 1.0  # of a core that ranking may take before pauses grow
SHARE_BEHIND = 0.2  # the same while a backlog is counted
SWEEP_STEP_S = 1.0
LOOK_S = 1.0  # between looks for other writers
PAUSE_STEP_S = 0.02


class Refresher:
    """Refreshes the lists of one item task.

    Attributes
    ----------
    listed : int
        Position up to which every list was brought exactly up to date, when last asked to.
    """

    def __init__(self, task: ItemTask, context: Context) -> None:
        self._task = task
        self._context = context
        self._ids = JsonIds(task.machine.items)
        self._kind = np.frombuffer(msgspec.json.encode(task.kind.name), np.uint8).copy()
        self._topic = task.kind.lists.name
        self._wake = asyncio.Event()
        self._counted: list[tuple[float, int]] = []  # (published ms, events) waiting for their lists
        self._latencies: list[tuple[float, int]] = []
        self._settle_at = -1
        self._swept = 0  # rows of the sweep under way that are done
        self._sweep_from = -1  # position when the sweep under way began
        self._sweep_done = -1  # position the last whole sweep began at
        self._lag_ms = 0.0  # age of the newest purchases counted
        self._marked_at = 0.0  # when the oldest count not in a list was made
        self._counted_at = float("-inf")
        self._sweep_begun = 0.0
        self._written: Written | None = None
        self._looked_at = 0.0
        self._computed_s = 0.0  # that the refresh under way spent on ranking and writing lists
        self.staleness_ms = 0.0  # longest from a count to its lists in Kafka, since last asked
        self.listed = 0

    def counted(self, events: int, published_ms: float | None) -> None:
        """Note that a message was applied; its lists are due."""
        if published_ms is not None and events:
            self._lag_ms = time.time() * 1000 - published_ms
            self._counted.append((published_ms, events))
        self._counted_at = time.monotonic()
        self._marked_at = self._marked_at or self._counted_at

    @property
    def active(self) -> bool:
        """Whether something was counted lately."""
        return time.monotonic() - self._counted_at < ACTIVE_S

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def settle(self, position: int) -> None:
        """Bring every list exactly up to date, then say so in `listed`."""
        self._settle_at = position

    def latency(self) -> tuple[float, float]:
        """Median and 99th percentile of ms from publishing to lists since last asked; -1 without any."""
        seen, self._latencies = self._latencies, []
        if not seen:
            return -1.0, -1.0
        ms, events = np.array([s[0] for s in seen]), np.array([s[1] for s in seen])
        order = np.argsort(ms)
        reached = np.cumsum(events[order]) / events.sum()
        p50, p99 = (float(ms[order][np.searchsorted(reached, q)]) for q in (0.5, 0.99))
        return p50, p99

    async def run(self) -> None:
        """Refresh until cancelled."""
        while self._written is None:  # before the first list, or what others write after it goes unnoticed
            await self._look_for_others()
            if self._written is None:
                await asyncio.sleep(LOOK_S)
        while True:
            begin = time.monotonic()
            self._computed_s = 0.0
            await self._refresh()
            await self._pause(self._computed_s, time.monotonic() - begin)
            if time.monotonic() - self._looked_at > LOOK_S:
                await self._look_for_others()
            if self._settle_at >= 0:
                await self._settle()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), SWEEP_STEP_S)
            self._wake.clear()

    async def _pause(self, computed_s: float, took_s: float) -> None:
        """Leave time to others, after a refresh that took so long and computed for so much of it.

        What is marked from now on waits for the pause and the refresh after it. Looked at anew all the time,
        as a backlog may end.
        """
        others = max(1, sum(task.refresher.active for task in self._context.item_tasks()))
        begin = time.monotonic()
        while self._settle_at < 0:
            share = SHARE_BEHIND if self._behind else SHARE
            pause = min(computed_s * (others / share - 1), max(0.0, 0.9 * self._bound_s() - 2 * took_s))
            left = begin + pause - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, PAUSE_STEP_S))

    def _bound_s(self) -> float:
        """How old a count may be when its lists go out: longer while the counts themselves are old."""
        settings = self._context.settings
        return (settings.catch_up_ms if self._behind else settings.staleness_ms) / 1000

    @property
    def _behind(self) -> bool:
        return self._lag_ms > 2 * self._context.settings.staleness_ms

    async def _refresh(self) -> None:
        machine = self._task.machine
        counted, self._counted = self._counted, []
        marked_at, self._marked_at = self._marked_at, 0.0
        await self._publish(np.union1d(machine.waiting(), self._sweep_rows()), exact=False)
        now = time.time() * 1000
        self._latencies += [(now - published_ms, events) for published_ms, events in counted]
        if marked_at:
            self.staleness_ms = max(self.staleness_ms, (time.monotonic() - marked_at) * 1000)

    def _sweep_rows(self) -> npt.NDArray[np.int64]:
        """The next rows of the background sweep; none when nothing was counted since the last one."""
        machine = self._task.machine
        if self._swept == 0:
            if self._sweep_done >= machine.position or machine.row_count == 0:
                return np.zeros(0, np.int64)
            self._sweep_from = machine.position
            self._sweep_begun = time.monotonic()
        share = (time.monotonic() - self._sweep_begun) * 1000 / (0.8 * self._context.settings.sweep_ms)
        stop = min(machine.row_count, max(self._swept + 1, int(share * machine.row_count)))
        rows = np.arange(self._swept, stop)
        self._swept = stop
        if stop == machine.row_count:
            self._swept, self._sweep_done = 0, self._sweep_from
        return rows

    async def _look_for_others(self) -> None:
        """Have lists published again that another worker wrote to our partition."""
        reader, tp = self._context.reader, TP(self._topic, self._task.tp.partition)
        try:
            if self._written is None:
                self._written = Written(tp, await reader.end_of(tp))
            written = self._written
            written.reached(await reader.end_of(tp))
            while written.foreign:
                keys = await reader.keys(tp, *written.foreign[0])
                async with self._task.lock:
                    self._task.machine.mark_unknown(key.decode() for key in keys)
                written.foreign.pop(0)
                self._wake.set()
        except KafkaError as error:
            log.info("%s: %s; looked at again later", self._task.name, error)
        self._looked_at = time.monotonic()

    async def _settle(self) -> None:
        await self._look_for_others()
        position, self._settle_at = self._settle_at, -1
        await self._publish(np.arange(self._task.machine.row_count), exact=True)
        await self._task.settled()
        self.listed = position

    def message(self, item: int) -> bytes | None:
        """The message an item's list would be now, None if it has none. The task's lock must be held."""
        machine = self._task.machine
        return self._messages(machine.view(item), np.zeros(1, np.int64))[0][1]

    async def _publish(self, rows: npt.NDArray[np.int64], *, exact: bool) -> None:
        """Rank rows and send the lists that say something new; returns when Kafka has them.

        One task of a worker at a time ranks, in a thread, while others count. Counting into this task waits
        for all slices: else every slice would wait for a chunk, and the first rows grow old.
        """
        if len(rows) == 0:
            return
        task = self._task
        sent: list[Batch] = []
        await task.confirmed()
        async with self._context.ranking, task.lock:
            for start in range(0, len(rows), SLICE_ROWS):
                records = await in_thread(self._lists, rows[start : start + SLICE_ROWS], exact)
                task.counters.lists += len(records)
                sent += await self._context.outbox.send_many(self._topic, task.tp.partition, records)
        await acknowledged([batch.acknowledged for batch in sent])
        if self._written is not None:
            self._written.own(sent)

    def _lists(self, rows: npt.NDArray[np.int64], exact: bool) -> list[tuple[bytes, bytes | None]]:
        machine = self._task.machine
        begin = time.monotonic()
        lists = machine.rank(rows, exact=exact)
        which = machine.mark_published(lists, exact=exact)
        records = self._messages(lists, which)
        self._computed_s += time.monotonic() - begin
        return records

    def _messages(self, lists: Lists, which: npt.NDArray[np.int64]) -> list[tuple[bytes, bytes | None]]:
        if len(which) == 0:
            return []
        machine, ids = self._task.machine, self._ids
        ids.update()
        tables = machine.tables
        entry = ENTRY_BYTES + ids.longest
        out = np.empty(int((HEAD_BYTES + ids.longest + lists.length[which] * entry).sum()), np.uint8)
        ends = np.empty(len(which), np.int64)
        write_lists(
            out, ends, which, lists, tables.item_of, tables.rows.heads, MASS,
            machine.watermark_ms, machine.position, self._kind, ids.blob, ids.ends,
        )  # fmt: skip
        raw = out[: ends[-1]].tobytes()
        records: list[tuple[bytes, bytes | None]] = []
        start = 0
        for i, end in zip(which.tolist(), ends.tolist(), strict=True):
            key = machine.items.id(int(tables.item_of[lists.row[i]])).encode()
            records.append((key, raw[start:end] if lists.length[i] else None))
            start = end
        return records
