"""Compares ours with the simple algorithms as its training steps grow, over the same candidates.

Every visit is first a test of what each algorithm would have shown, then a training example
(`recommending.learner`); a hit is any item new to the customer among six.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.choices import make
from evaluation.prequential import chunks
from evaluation.protocol import Events, OnProgress
from recommending.algorithms import ALGORITHMS

STEP = 20  # fewest training steps between two points
FIRST = 25  # training steps of the first row of a table; each row ends with twice as many


@dataclass(frozen=True)
class Point:
    """The counts since the beginning: training steps, visits that were tests, and how many of these each
    algorithm hit.

    Training steps, visits that were tests, and how many of these each algorithm hit.
    """

    training_steps: int
    visits: int
    hits: dict[str, int]


def curve(events: Events, progress: OnProgress) -> list[Point]:
    """Return a point every few training steps, the first one before any."""
    ours = make("live")
    points = [Point(0, 0, dict.fromkeys(ALGORITHMS, 0))]
    for stop in chunks(events):
        ours.fit(events.part(0, stop), int(events.time_ms[stop - 1]) + 1)
        training_steps = int(ours.recommender.rankers["new"].steps)
        if training_steps - points[-1].training_steps >= STEP or stop == len(events):
            points.append(_point(training_steps, ours.quality.cases, ours.quality.hits))
        progress(stop / len(events))
    return points


def _point(
    training_steps: int, cases: dict[tuple[int, str, str], int], hits: dict[tuple[int, str, str], int]
) -> Point:  # fmt: skip
    visits = sum(n for (_, algorithm, _), n in cases.items() if algorithm == "ours")
    hit: dict[str, int] = dict.fromkeys(ALGORITHMS, 0)
    for (_, algorithm, _), n in hits.items():
        if algorithm in hit:
            hit[algorithm] += n
    return Point(training_steps, visits, hit)


def rows(points: Sequence[Point]) -> list[list[object]]:
    """Return a row for each stretch that doubles the training steps.

    It has the training steps at the end, the visits in the stretch, and the share that each algorithm hit.
    """
    ends, due = [points[0]], FIRST
    for point in points[1:]:
        if point.training_steps >= due or point is points[-1]:
            ends.append(point)
            due = 2 * point.training_steps
    return [
        [
            after.training_steps,
            after.visits - before.visits,
            *(
                f"{(after.hits[name] - before.hits[name]) / max(after.visits - before.visits, 1):.4f}"
                for name in ALGORITHMS
            ),
        ]
        for before, after in pairwise(ends)
    ]


def ahead_from(points: Sequence[Point], other: str) -> int | None:
    """Return the training steps from which on ours hit more often, over any stretch that begins there.

    Return None if there is no such point but the last.
    """
    leads = [point.hits["ours"] - point.hits[other] for point in points]
    turn = max(n for n, lead in enumerate(leads) if lead == min(leads))
    return None if turn == len(points) - 1 else points[turn].training_steps
