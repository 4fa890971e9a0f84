"""Prequential evaluation: each basket of the stream is first a test, then a training example.

The method is that of Dawid (JRSS A 1984). Nothing is held back: at each visit of a customer who has a
history, every algorithm of the online learner selects what it would show from what was counted before. The
basket decides which algorithms hit; then it is a training example, and is counted. The tests are the same as
in production (`recommending.learner`): they cover the next basket alone instead of two weeks, and candidates
from lists, so the numbers are lower than those of `evaluate` at cutoffs.
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
    """Return the tests (cases) and hits by month and algorithm.

    Returns
    -------
    list of dict
        Each has month ("YYYY-MM", of event time), algorithm, cases, hits and hit; they are in order of month,
        then name. Algorithm "all" is ours where any item counts; for the others only new items count.
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
    """Yield where to stop counting and test: the ends of chunks in which no customer comes twice."""
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
