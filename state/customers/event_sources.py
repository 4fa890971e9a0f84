"""How far each source that numbers its events is applied, so that a second publication changes nothing.

An event may name what it was published from (`source`, a file or a feed) and its number there (`sequence`,
ascending within the source). A partition remembers the highest number of each source. It treats an event
whose number is not higher as a duplicate, however long ago the first delivery was. Kafka does the same for
the batches of a producer (KIP-98, exactly once delivery and transactional messaging).

A partition remembers `MOST_SOURCES` sources. For a further one it forgets the source whose newest event is
the oldest. All this is a function of the log alone, record by record.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

MOST_SOURCES = 4_096
NOT_MET = -1


class Sequences(NamedTuple):
    """The numbers of events by number of the source; number 0 stands for no source."""

    highest: npt.NDArray[np.int64]  # sequence, NOT_MET of a source that is not remembered
    newest: npt.NDArray[np.int64]  # offset of its newest event
    met: npt.NDArray[np.int64]  # [1]: how many are remembered


def new_sequences(capacity: int) -> Sequences:
    """Return sequences without any source, with room for source numbers below `capacity`."""
    return Sequences(np.full(capacity, NOT_MET), np.zeros(capacity, np.int64), np.zeros(1, np.int64))


@kernel
def published_before(s: Sequences, source: int, sequence: int, offset: int) -> bool:
    """Return whether the source of the event at an offset has sent it
    before, and remember the event if not.
    """
    s.newest[source] = offset
    if s.highest[source] == NOT_MET:
        if s.met[0] == MOST_SOURCES:
            oldest = -1
            for other in range(1, len(s.highest)):
                if s.highest[other] != NOT_MET and (oldest < 0 or s.newest[other] < s.newest[oldest]):
                    oldest = other
            s.highest[oldest] = NOT_MET
            s.met[0] -= 1
        s.met[0] += 1
    if sequence <= s.highest[source]:
        return True
    s.highest[source] = sequence
    return False


class EventSources:
    """The sources of one customer machine's events.

    Attributes
    ----------
    sequences : Sequences
        What the kernel reads and changes.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.sequences = new_sequences(16)

    def number(self, source: str) -> int:
        """Return the number of a source, a new number for a new source; numbers are valid until `tidy`."""
        return self._numbers.setdefault(source, len(self._numbers) + 1)

    def make_room(self) -> None:
        """Make room for every source that has a number by now."""
        old = self.sequences
        if len(self._numbers) >= len(old.highest):
            grown = new_sequences(2 * (len(self._numbers) + 1))
            grown.highest[: len(old.highest)], grown.newest[: len(old.newest)] = old.highest, old.newest
            self.sequences = grown._replace(met=old.met)

    def tidy(self) -> None:
        """If there are many names of forgotten sources, drop them; this changes the numbers."""
        if len(self._numbers) > 2 * MOST_SOURCES:
            self.recall(self.noted())

    def noted(self) -> list[tuple[str, int, int]]:
        """Return each source that is remembered, its highest sequence and the offset of its newest event."""
        highest, newest = self.sequences.highest.tolist(), self.sequences.newest.tolist()
        return [
            (name, highest[number], newest[number])
            for name, number in self._numbers.items()
            if number < len(highest) and highest[number] != NOT_MET
        ]

    def recall(self, noted: list[tuple[str, int, int]]) -> None:
        """Remember what `noted` returned, and nothing else."""
        self._numbers = {name: number for number, (name, _, _) in enumerate(noted, 1)}
        self.sequences = new_sequences(max(16, 2 * len(noted) + 1))
        for number, (_, highest, newest) in enumerate(noted, 1):
            self.sequences.highest[number], self.sequences.newest[number] = highest, newest
        self.sequences.met[0] = len(noted)
