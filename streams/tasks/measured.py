"""What a process has measured since it started, for its metrics.

It is noted per message, chunk, cycle or slice of state, never per event.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from streams.process.histogram import Histogram

LATENCIES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3_600.0)
SHORT_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)
SHORTEST_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.1, 1.0)


class Measured:
    """What all tasks of a process have measured together.

    Attributes
    ----------
    listed : dict[str, Histogram]
        For each kind of lists, the seconds from an event in Kafka to its changed lists there.
    cycles, slices : Histogram
        The seconds that cycles took which had something to do, and those of writing a slice of state.
    recommended : Histogram
        The seconds of CPU that a recommendation took, from the customer's history to its message.
    refused : Counter
        How many records were refused, by topic and class of reason (`streams.messages.reasons`).
    """

    def __init__(self) -> None:
        self.listed: dict[str, Histogram] = defaultdict(lambda: Histogram(LATENCIES_S))
        self.cycles, self.slices = Histogram(SHORT_S), Histogram(SHORT_S)
        self.recommended = Histogram(SHORTEST_S)
        self.refused: Counter[tuple[str, str]] = Counter()
