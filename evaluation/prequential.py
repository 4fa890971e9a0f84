"""Prequential evaluation: the whole stream, each basket first a test, then a lesson (Dawid, JRSS A 1984).

Nothing is held back: at each visit of a customer who has a history, every algorithm of the online learner
says what it would show, from what was counted before; what is in the basket decides who hit; then it is
learnt from and counted. The tests are those that production makes of itself (`state.recommending.learner`):
of the next basket alone, not of two weeks, and of candidates from lists, so that numbers are lower than those
of `evaluate` at cutoffs.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from evaluation.algorithms.ours import Ours
from evaluation.protocol import Events, Progress

CHUNK = 500  # events counted at once: a customer's second visit among them is no test
DAY_S = 86_400


def run(events: Events, progress: Progress) -> list[dict[str, Any]]:
    """Cases and hits by month and algorithm.

    Returns
    -------
    list of dict
        month ("YYYY-MM", of event time), algorithm, cases, hits, hit; in order of time, then name. Algorithm
        "all" is ours where any item counts; for the others only items that are new to the customer do.
    """
    ours = Ours(CHUNK, CHUNK)
    ours.progress = progress
    if len(events):
        ours.fit(events, int(events.time_ms[-1]) + 1)
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
