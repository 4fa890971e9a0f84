"""How ours compares with the simple algorithms as its lessons grow, over the same candidates.

Every visit is first a test of what each algorithm would have shown, then a lesson
(`recommending.learner`); a hit is any item new to the customer among six.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.choices import make
from evaluation.prequential import chunks
from evaluation.protocol import Events, OnProgress
from recommending.recommender import ALGORITHMS

STEP = 20  # lessons between two points, at least
FIRST = 25  # lessons of the first row of a table; each row ends with twice as many


@dataclass(frozen=True)
class Point:
    """From the beginning on: lessons, visits that were tests, and those of them that each algorithm hit."""

    lessons: int
    visits: int
    hits: dict[str, int]


def curve(events: Events, progress: OnProgress) -> list[Point]:
    """A point every few lessons, the first one before any."""
    ours = make("live")
    points = [Point(0, 0, dict.fromkeys(ALGORITHMS, 0))]
    for stop in chunks(events):
        ours.fit(events.part(0, stop), int(events.time_ms[stop - 1]) + 1)
        lessons = int(ours.recommender.rankers["new"].cases)
        if lessons - points[-1].lessons >= STEP or stop == len(events):
            points.append(_point(lessons, ours.quality.cases, ours.quality.hits))
        progress(stop / len(events))
    return points


def _point(
    lessons: int, cases: dict[tuple[int, str, str], int], hits: dict[tuple[int, str, str], int]
) -> Point:  # fmt: skip
    visits = sum(n for (_, algorithm, _), n in cases.items() if algorithm == "ours")
    hit: dict[str, int] = dict.fromkeys(ALGORITHMS, 0)
    for (_, algorithm, _), n in hits.items():
        if algorithm in hit:
            hit[algorithm] += n
    return Point(lessons, visits, hit)


def rows(points: Sequence[Point]) -> list[list[object]]:
    """Of stretches that double the lessons: lessons at the end, visits in it, share that each hit."""
    ends, due = [points[0]], FIRST
    for point in points[1:]:
        if point.lessons >= due or point is points[-1]:
            ends.append(point)
            due = 2 * point.lessons
    return [
        [
            after.lessons,
            after.visits - before.visits,
            *(
                f"{(after.hits[name] - before.hits[name]) / max(after.visits - before.visits, 1):.4f}"
                for name in ALGORITHMS
            ),
        ]
        for before, after in pairwise(ends)
    ]


def ahead_from(points: Sequence[Point], other: str) -> int | None:
    """The lessons from which on ours hit more often than another, over any stretch that begins there.

    None where there is no such point but the last.
    """
    leads = [point.hits["ours"] - point.hits[other] for point in points]
    turn = max(n for n, lead in enumerate(leads) if lead == min(leads))
    return None if turn == len(points) - 1 else points[turn].lessons
