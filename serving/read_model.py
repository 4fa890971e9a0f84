"""The content of the compacted topics in memory: the newest message of every key.

`kind_model` has what belongs to one kind of lists; the catalogue, and how far everything is, are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from serving.kind_model import KindModel
from serving.title_index import words_of
from streams.kinds import EventKind, Kind, counted_of_kinds
from streams.messages.schema import (
    REPORTED,
    CatalogueItem,
    Progress,
    decode_item,
    decode_progress,
)
from streams.recommending.messages import (
    decode_quality,
    decode_ranker,
)
from streams.topics import ITEMS, PROGRESS, QUALITY, RANKER, TopicSpec, topic_of

Take = Callable[[str, bytes | None], None]


class ReadModel:
    """Everything that is published. It is filled and read in one thread.

    Attributes
    ----------
    items : dict[str, CatalogueItem]
        The catalogue.
    titles : dict[str, str]
        What the title is found by, by item of the catalogue; empty where it has none.
    taken_items : int
        The number of records of the catalogue that were taken in so far.
    withdrawn : set[str]
        Items that were taken out of the catalogue, which cannot be bought either.
    tasks, heard_ms : dict
        For each task, how far it is, and when it reported it (Kafka's clock, ms since 1970).
    ends : dict[str, int]
        For each task, the end of its partition, as far as it is known.
    ready : bool
        Whether everything was read that was there at the beginning.
    loaded : (int, int)
        How many records of how many have been read until then.
    refused : int
        How many records could not be decoded and were ignored.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds = {kind.name: KindModel(kind) for kind in kinds}
        self.items: dict[str, CatalogueItem] = {}
        self.titles: dict[str, str] = {}
        self.taken_items = 0
        self.withdrawn: set[str] = set()
        self.tasks: dict[str, Progress] = {}
        self.heard_ms: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.ready, self.loaded, self.refused = False, (0, 0), 0
        self._take: dict[str, Take] = {ITEMS.name: self._take_item}
        for of in self.kinds.values():
            self._take[of.kind.lists.name] = of.take_list
            if isinstance(of.kind, EventKind):
                self._take[of.kind.bestsellers.name] = of.take_sellers
                self._take[of.kind.recommendations.name] = of.take_recommendations

    def specs(self) -> list[TopicSpec]:
        """Return the topics that it reads."""
        counted = {spec.name for spec in counted_of_kinds(of.kind for of in self.kinds.values())}
        own = [
            spec
            for of in self.kinds.values()
            for spec in of.kind.topics
            if spec.name not in counted and spec.name in self._take
        ]
        return [*own, ITEMS, QUALITY, RANKER, PROGRESS]

    def end_of(self, task: str) -> int | None:
        """Return the end of the partition of a worker's or a recommender's task.

        None while it is not known.
        """
        return self.ends.get(task.removeprefix(REPORTED))

    def missing(self) -> list[str]:
        """Return the tasks that nobody has ever reported, in order."""
        events = {of.kind.events.name for of in self.of_events.values()}
        served = {f"{REPORTED}{task}" for task in self.ends if topic_of(task) in events}
        return sorted((set(self.ends) | served) - set(self.tasks))

    @property
    def of_events(self) -> dict[str, KindModel]:
        """The kinds of events; other kinds have only lists."""
        return {name: of for name, of in self.kinds.items() if isinstance(of.kind, EventKind)}

    def take(self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int) -> None:
        """Take in a record; a record that cannot be used is counted and otherwise ignored."""
        if key is None:
            self.refused += 1
            return
        try:
            name = key.decode()
            if topic == PROGRESS.name:
                self._take_progress(name, value, timestamp_ms)
            elif topic == QUALITY.name:
                self._take_quality(name, value)
            elif topic == RANKER.name:
                self._take_ranker(name, value)
            else:
                self._take[topic](name, value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.refused += 1

    def _take_item(self, item_id: str, value: bytes | None) -> None:
        self.taken_items += 1
        if value is None:
            self.items.pop(item_id, None)
            self.titles.pop(item_id, None)
            self.withdrawn.add(item_id)
        else:
            item = decode_item(value)
            self.items[item_id] = item
            self.withdrawn.discard(item_id)
            self.titles[item_id] = words_of(item.title or "")

    def _take_progress(self, task: str, value: bytes | None, timestamp_ms: int) -> None:
        progress = None if value is None else decode_progress(value)
        if progress is None:
            self.tasks.pop(task, None)
        elif progress.worker:
            self.tasks[task], self.heard_ms[task] = progress, timestamp_ms

    def _take_quality(self, key: str, value: bytes | None) -> None:
        if value is None:
            for of in self.kinds.values():
                of.quality.pop(key, None)
        elif (quality := decode_quality(value)).kind in self.kinds:
            self.kinds[quality.kind].take_quality(key, quality)

    def _take_ranker(self, key: str, value: bytes | None) -> None:
        if value is None:
            for of in self.kinds.values():
                of.learnt.pop(key, None)
        elif (state := decode_ranker(value)).kind in self.kinds:
            self.kinds[state.kind].learnt[key] = state
