"""Prequential evaluation: the whole stream, each basket first a test, then a lesson (Dawid, JRSS A 1984).

Nothing is held back: at each visit of a customer who has a history, every algorithm of the online learner
says what it would show, from what was counted before; what is in the basket decides who hit; then it is
learnt from and counted. The tests are those that production makes of itself (`recommending.learner`):
of the next basket alone, not of two weeks, and of candidates from lists, so that numbers are lower than those
of `evaluate` at cutoffs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from evaluation.algorithms.ours import Ours
from evaluation.protocol import Events, OnProgress
from recommending.visits import BREAK_MS

CHUNK = 500  # events counted at once at most
DAY_S = 86_400


def run(events: Events, progress: OnProgress) -> list[dict[str, Any]]:
    """Cases and hits by month and algorithm.

    Returns
    -------
    list of dict
        month ("YYYY-MM", of event time), algorithm, cases, hits, hit; in order of time, then name. Algorithm
        "all" is ours where any item counts; for the others only items that are new to the customer do.
    """
    ours = Ours(CHUNK, CHUNK, CHUNK)
    for stop in chunks(events):
        ours.fit(events.part(0, stop), int(events.time_ms[stop - 1]) + 1)
        progress(stop / len(events))
    cases: dict[tuple[str, str], int] = defaultdict(int)
    hits: dict[tuple[str, str], int] = defaultdict(int)
    for (day, algorithm, _), n in ours.quality.cases.items():
        month = datetime.fromtimestamp(day * DAY_S, UTC).strftime("%Y-%m")
        cases[month, algorithm] += n
        hits[month, algorithm] += ours.quality.hits[day, algorithm, ""]
    return [
        {
            "month": month,
            "algorithm": name,
            "cases": n,
            "hits": hits[month, name],
            "hit": hits[month, name] / n,
        }
        for (month, name), n in sorted(cases.items())
    ]


def chunks(events: Events, most: int = CHUNK) -> Iterator[int]:
    """Where to stop counting and test: ends of chunks in which no customer comes twice."""
    begin = 0
    newest: dict[int, int] = {}
    pairs = zip(events.customer.tolist(), events.time_ms.tolist(), strict=True)
    for n, (customer, time_ms) in enumerate(pairs):
        if n - begin == most or time_ms - newest.get(customer, time_ms) > BREAK_MS:
            yield n
            begin = n
            newest.clear()
        newest[customer] = time_ms
    if len(events):
        yield len(events)
