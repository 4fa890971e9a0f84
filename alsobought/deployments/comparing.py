"""Compare what two deployments publish: related lists, popularity and bestsellers of every kind."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from alsobought.deployments.differences import Difference, of_lists, of_popularity, of_sellers
from alsobought.deployments.other import Deployment
from alsobought.deployments.reading import Side, pairs
from alsobought.options import CommandError
from streams.kinds import EventKind, Kind
from streams.topics import TopicSpec

EXAMPLES = 5

Comparing = Callable[[bytes, bytes, float], Difference]


@dataclass
class Compared:
    """A topic of both deployments, compared.

    Attributes
    ----------
    topic
        Its name without a prefix.
    both, here, there
        Keys that are in both, and in one only.
    equal
        Of those in both, the ones whose whole numbers are the same and whose scores differ by the tolerance
        at most.
    counts, scores
        The largest differences (`alsobought.deployments.differences`).
    overlap
        Of the lists that differ, the mean share of the ten best that both have; None if none differs.
    examples
        The keys that only one has, and those that differ most, a few of them.
    """

    topic: str
    both: int = 0
    here: int = 0
    there: int = 0
    equal: int = 0
    counts: int = 0
    scores: float = 0.0
    overlap: float | None = None
    examples: list[str] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many keys in both have messages that differ."""
        return self.both - self.equal

    @property
    def same(self) -> bool:
        """Whether both deployments say the same."""
        return not (self.differing or self.here or self.there)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**asdict(self), "differing": self.differing}


@dataclass
class Comparison:
    """What is compared: the topics, where they are, and how many offsets there are to read."""

    sides: list[tuple[Side, Side, Comparing]]
    offsets: int

    def run(self, tolerance: float, on_progress: Callable[[int, str], None]) -> Iterable[Compared]:
        """Yield the result of each topic.

        Parameters
        ----------
        tolerance
            By how much of itself a score may differ.
        on_progress
            Called with the number of offsets read, and the topic that is read.

        Raises
        ------
        KafkaUnreachable, RightsMissing
            Kafka does not answer, or this process may not read.
        CommandError
            A message cannot be read.
        """
        read = 0
        for ours, theirs, comparing in self.sides:

            def passed(offsets: int, topic: str = ours.spec.base) -> None:
                nonlocal read
                read += offsets
                on_progress(read, topic)

            yield _compare(ours, theirs, comparing, tolerance, passed)


def comparison(here: Deployment, there: Deployment, kinds: Iterable[Kind]) -> Comparison:
    """Find what there is to compare.

    Raises
    ------
    KafkaUnreachable, RightsMissing
    TopicAbsent
        One of the deployments lacks a topic.
    """
    sides = []
    for kind in kinds:
        wanted: list[tuple[TopicSpec, Comparing]] = [(kind.lists, of_lists)]
        if isinstance(kind, EventKind):
            wanted += [(kind.popularity, of_popularity), (kind.bestsellers, of_sellers)]
        for spec, comparing in wanted:
            ours, theirs = (Side(one, spec.of_deployment(one.prefix)) for one in (here, there))
            sides.append((ours, theirs, comparing))
    offsets = sum(side.look() for pair in sides for side in pair[:2])
    return Comparison(sides, offsets)


def _compare(
    ours: Side, theirs: Side, comparing: Comparing, tolerance: float, on_read: Callable[[int], None]
) -> Compared:
    found, overlaps, examples = Compared(ours.spec.base), list[float](), list[tuple[Any, str]]()
    for key, mine, other in pairs(ours, theirs, on_read):
        if mine is None or other is None:
            found.here += other is None
            found.there += mine is None
            there = (ours if other is None else theirs).spec.name
            _keep(examples, (math.inf,), f"{key} is only in {there}")
            continue
        try:
            difference = comparing(mine, other, tolerance)
        except msgspec.MsgspecError as error:
            raise CommandError(
                f"a message about {key!r} in {ours.spec.name} or {theirs.spec.name} cannot be read: {error}."
                " Compare with the version that wrote it."
            ) from error
        found.both += 1
        found.counts = max(found.counts, difference.counts)
        found.scores = max(found.scores, difference.scores)
        if difference.within(tolerance):
            found.equal += 1
            continue
        if difference.overlap is not None:
            overlaps.append(difference.overlap)
        size = difference.counts, difference.others, difference.scores
        _keep(examples, size, f"{key}: {_said(difference)}")
    if overlaps:
        found.overlap = sum(overlaps) / len(overlaps)
    found.examples = [text for _, text in sorted(examples, reverse=True)]
    return found


def _keep(examples: list[tuple[Any, str]], size: tuple[float, ...], text: str) -> None:
    """Keep an example if it is among the largest."""
    (heapq.heappush if len(examples) < EXAMPLES else heapq.heappushpop)(examples, (size, text))


def _said(difference: Difference) -> str:
    said = [f"counts differ by {difference.counts:,}, scores by {100 * difference.scores:.2g} %"]
    if difference.others:
        said.append(f"{difference.others} entries are in one only, or elsewhere")
    return "; ".join(said)
