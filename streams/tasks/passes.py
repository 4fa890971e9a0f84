"""Rows that are ranked over several cycles: those of a backlog, of a
settling, and of the background sweep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from state.items.machine import ItemMachine

if TYPE_CHECKING:
    from opentelemetry.trace import Span

RowNumbers = npt.NDArray[np.int64]

SWEEP_STEP_S = 1.0
PASS_AGE = 0.7  # share of `catch_up_ms`: how old a count may be when the pass that lists it begins
PASS_GROWTH = 2.0  # and how old in a backlog, in times of how long the backlog had been counted before it
SOON_S = 30.0  # a pass waits for so long if the backlog, whose end brings one of all rows, will end so soon


def is_due(waited_s: float, counted_s: float, left_s: float, catch_up_s: float) -> bool:
    """Return whether a pass is to begin in a backlog.

    Parameters
    ----------
    waited_s
        The age of the oldest count that is in no list.
    counted_s
        How long the backlog has been counted.
    left_s
        How long counting what is left of it will take; infinity if that is not known.
    catch_up_s
        The setting `catch_up_ms`, in seconds.
    """
    before_s = counted_s - waited_s  # how long it had been counted when that count came
    due_s = max(PASS_AGE * catch_up_s, PASS_GROWTH * before_s)
    ends_soon = left_s < min(SOON_S, PASS_GROWTH * counted_s)
    return waited_s >= (due_s + SOON_S if ends_soon else due_s)


@dataclass
class WaitingCounts:
    """What was counted and waits for its lists.

    Attributes
    ----------
    since
        When the oldest of it was counted, by the monotonic clock; 0 without any.
    events
        When events were published (ms since 1970), and how many they were.
    spans
        Those that end when Kafka has the lists (`streams.tasks.following`).
    """

    since: float = 0.0
    events: list[tuple[float, int]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def with_later(self, later: WaitingCounts) -> WaitingCounts:
        """Return these counts together with later ones."""
        since = min((counts.since for counts in (self, later) if counts.since), default=0.0)
        return WaitingCounts(since, self.events + later.events, self.spans + later.spans)


@dataclass
class Pass:
    """Rows that are ranked over several cycles.

    `position` is where it settles the lists, -1 if it does not.
    """

    rows: RowNumbers
    counts: WaitingCounts
    position: int = -1
    done: int = 0
    swept: bool = False

    @property
    def exact(self) -> bool:
        """Whether every row is brought exactly up to date."""
        return self.position >= 0


class Sweep:
    """The background sweep: it ranks every row within a bound of time, and none twice needlessly.

    Parameters
    ----------
    takes_s
        How long a sweep over all rows takes.
    """

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._done = 0  # rows of the sweep under way that are done
        self._from = -1  # position of the machine when it began
        self._whole = -1  # position of the machine when the last whole sweep began
        self._begun = self._looked = 0.0

    def rows(self, machine: ItemMachine, now: float) -> RowNumbers:
        """Return the rows that are due at a moment.

        None if nothing was counted since the last whole sweep.
        """
        none = np.zeros(0, np.int64)
        if now - self._looked < SWEEP_STEP_S:
            return none
        self._looked = now
        if self._done == 0:
            if self._whole >= machine.position or machine.row_count == 0:
                return none
            self._from, self._begun = machine.position, now
        share = (now - self._begun) / self._takes_s
        stop = min(machine.row_count, max(self._done + 1, int(share * machine.row_count)))
        rows = np.arange(self._done, stop)
        self._done = stop
        if stop == machine.row_count:
            self._done, self._whole = 0, self._from
        return rows
