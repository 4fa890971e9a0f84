"""What the partitions of a kind share in a worker: the lists of all items, and what was learnt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from state.recommending.catalogue import Catalogue
from state.recommending.chronological import ChronologicalModel
from state.recommending.list_view import Entry, ListView
from state.recommending.ranker import Ranker, average
from state.recommending.recommender import new_rankers
from streams.messages import decode_related
from streams.recommending.messages import ModelAnnounced, Quality, RankerState
from streams.recommending.pacing import Pacing

if TYPE_CHECKING:
    from streams.kinds import EventKind

QualityKey = tuple[int, str, str, str]  # partition, day, algorithm, variant


@dataclass
class Board:
    """The board of one kind.

    Attributes
    ----------
    rankers : dict[str, Ranker]
        What this worker has learnt: its partitions teach the same.
    learnt : dict[int, RankerState]
        What each partition, of any worker, has learnt, as last published.
    quality : dict
        Cases and hits as published.
    announced : ModelAnnounced or None
        The chronological model that should be in use.
    model : ChronologicalModel or None
        The one that is; `streams.recommending.models` follows.
    """

    kind: EventKind
    view: ListView
    catalogue: Catalogue
    rankers: dict[str, Ranker] = field(default_factory=new_rankers)
    learnt: dict[int, RankerState] = field(default_factory=dict)
    quality: dict[QualityKey, Quality] = field(default_factory=dict)
    announced: ModelAnnounced | None = None
    model: ChronologicalModel | None = None

    def take_list(self, key: bytes, value: bytes | None) -> None:
        """A record of the lists topic, of another worker's partition."""
        if value is None:
            self.view.put(key.decode(), [], buyers=0, recent_mass=0.0, as_of_ms=0)
            return
        told = decode_related(value)
        entries = [Entry(e.item_id, e.together, e.after, e.recent, e.expected) for e in told.related]
        self.view.put(
            told.item_id, entries, buyers=told.buyers, recent_mass=told.recent_mass, as_of_ms=told.as_of
        )

    def take_in(self, here: dict[int, dict[str, float]]) -> None:
        """Go on from the average of what all workers learnt; `here` are lessons of this worker's partitions.

        Each partition counts as much as it has had lessons; those here have the weights of this worker.
        """
        others = [state for p, state in self.learnt.items() if p not in here]
        for name, ranker in self.rankers.items():
            own = ranker.state() | {"cases": sum(lessons[name] for lessons in here.values())}
            told = [state.rankers[name] for state in others if name in state.rankers]
            if told:
                ranker.adopt(average([own, *told]))


class Boards:
    """The boards of a worker, by name of the kind, with one catalogue and one pace."""

    def __init__(self, kinds: tuple[EventKind, ...], list_length: int) -> None:
        self.catalogue = Catalogue()
        self.pacing = Pacing()
        self.by_kind = {kind.name: Board(kind, ListView(list_length), self.catalogue) for kind in kinds}

    def of(self, kind: EventKind) -> Board:
        """The board of a kind."""
        return self.by_kind[kind.name]
