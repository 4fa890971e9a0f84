"""The board: lists, popularity, catalogue and learnt weights, which the partitions of a kind share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recommending.averaging import average
from recommending.buffers import Buffers
from recommending.catalogue import Catalogue
from recommending.chronological import ChronologicalModel
from recommending.ranker import Ranker
from recommending.related_lists import RelatedLists
from recommending.starting_weights import new_rankers
from state.popularity.view import PopularityView
from streams.recommending.alignment import Alignment
from streams.recommending.list_reading import ListReader
from streams.recommending.messages import ModelAnnounced, Quality, RankerState
from streams.recommending.pacing import Pacing

if TYPE_CHECKING:
    from streams.kinds import EventKind

QualityKey = tuple[int, str, str, str]  # partition, day, algorithm, variant


@dataclass
class Board:
    """The board of one kind. Whoever changes or reads it must hold `related.lock`, except for `alignment`.

    Attributes
    ----------
    rankers : dict[str, Ranker]
        What this process has learnt; all its partitions train the same rankers.
    learnt : dict[int, RankerState]
        What each partition, of any recommender, has learnt, as last published.
    quality : dict
        The cases (tests) and hits, as published.
    hidden : int
        It grows whenever an item is hidden.
    marks : dict[int, int]
        The newest settle mark of each partition of the popularity topic.
    settled : int
        The newest mark in all partitions from which everything that is published follows.
    announced : ModelAnnounced or None
        The chronological model that should be in use.
    model : ChronologicalModel or None
        The model that is in use; `streams.recommending.models` brings it to the announced one.
    alignment : Alignment
        How far the events are.
    buffers : Buffers
        Where the partitions' recommendations are computed, one at a time.
    """

    kind: EventKind
    related: RelatedLists
    catalogue: Catalogue
    rankers: dict[str, Ranker] = field(default_factory=new_rankers)
    learnt: dict[int, RankerState] = field(default_factory=dict)
    quality: dict[QualityKey, Quality] = field(default_factory=dict)
    hidden: int = 0
    marks: dict[int, int] = field(default_factory=dict)
    settled: int = -1
    announced: ModelAnnounced | None = None
    model: ChronologicalModel | None = None

    def __post_init__(self) -> None:
        self.lists = ListReader(self.related)
        self.buffers = Buffers(self.related.k)
        self.alignment = Alignment()
        self.popularity = PopularityView(self.related.items)

    def offer(self, item_id: str, *, available: bool) -> None:
        """Note whether an item can be bought."""
        if self.popularity.offer(item_id, available=available) and not available:
            self.hidden += 1

    def mark(self, partitions: int) -> int:
        """Return the newest settle mark that was read in every partition of the popularity topic; -1 for
        none.
        """
        return min((self.marks.get(p, -1) for p in range(partitions)), default=-1)

    def take_in(self, here: dict[int, dict[str, float]]) -> None:
        """Continue from the average of the weights of all partitions.

        `here` has the training steps of this process's partitions, which share the weights of this process. A
        partition counts in proportion to its training steps.
        """
        others = [state for p, state in self.learnt.items() if p not in here]
        for name, ranker in self.rankers.items():
            own = ranker.state() | {"cases": sum(training_steps[name] for training_steps in here.values())}
            theirs = [state.rankers[name] for state in others if name in state.rankers]
            if theirs:
                ranker.adopt(average([own, *theirs]))


class Boards:
    """The boards of a recommender by name of the kind, with one catalogue and shared time budgets."""

    def __init__(self, kinds: tuple[EventKind, ...], list_length: int) -> None:
        self.catalogue = Catalogue()
        self.pacing = Pacing()
        self.by_kind = {kind.name: Board(kind, RelatedLists(list_length), self.catalogue) for kind in kinds}

    def of(self, kind: EventKind) -> Board:
        """Return the board of a kind."""
        return self.by_kind[kind.name]
