"""The content of the compacted topics in memory: the newest message of every key.

Most of it is lists: they are kept as they came (`packed_values`), and are decoded on request. Only the number
of buyers of each is read at once, because searching orders by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from serving.packed_values import PackedValues
from serving.title_index import words_of
from streams.kinds import EventKind, Kind, counted_of_kinds
from streams.messages.schema import (
    REPORTED,
    CatalogueItem,
    Progress,
    RelatedItems,
    decode_item,
    decode_progress,
    decode_related,
    decoder,
)
from streams.recommending.messages import (
    Quality,
    RankerState,
    Recommendations,
    Sellers,
    decode_quality,
    decode_ranker,
    decode_recommendations,
    decode_sellers,
    key_of,
)
from streams.topics import ITEMS, PROGRESS, QUALITY, RANKER, TopicSpec, topic_of

Take = Callable[[str, bytes | None], None]


class _ListHead(Struct):
    buyers: int


class _Whose(Struct):
    customer_id: str
    profile_id: str | None = None


_decode_head = decoder(_ListHead)
_decode_whose = decoder(_Whose)
_ENTRIES = b',"related":['  # no text within a string looks like it, because quotes are escaped there


@dataclass
class KindModel:
    """What is published of one kind of lists; only kinds of events have bestsellers and the like.

    Attributes
    ----------
    buyers : dict[str, int]
        For each item with a list, the customers who have it, or who watched it.
    quality, learnt : dict
        The messages by key of their records.
    taken_lists, taken_sellers, taken_qualities : int
        The numbers of records of lists, bestsellers and hit rates that were taken in so far.
    """

    kind: Kind
    buyers: dict[str, int] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    learnt: dict[str, RankerState] = field(default_factory=dict)
    _lists: PackedValues = field(default_factory=PackedValues)
    _sellers: dict[str, bytes] = field(default_factory=dict)
    _recommended: PackedValues = field(default_factory=PackedValues)
    _profiles: dict[str, set[str]] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _served: set[str] = field(default_factory=set)
    taken_lists: int = 0
    taken_sellers: int = 0
    taken_qualities: int = 0

    def list_version(self, item_id: str) -> int | None:
        """Return the number of an item's list, which is another one for every list; None if it has none."""
        return self._lists.version(item_id)

    def recommendations_version(self, customer_id: str, profile_id: str | None = None) -> int | None:
        """Return the number of what is published for a customer or a profile; None if nothing is."""
        return self._recommended.version(key_of(customer_id, profile_id))

    def related(self, item_id: str) -> RelatedItems | None:
        """Return an item's list, None if it has none that can be decoded."""
        value = self._lists.get(item_id)
        try:
            return None if value is None else decode_related(value)
        except msgspec.MsgspecError:
            self._remove_list(item_id)
            return None

    def sellers(self, category: str | None, *, trending: bool) -> Sellers | None:
        """Return bestsellers or trending items, of everything or of a category; None if there are none."""
        prefix = "trending" if trending else "category"
        key = f"{prefix}:{category}" if category is not None else "trending" if trending else "all"
        value = self._sellers.get(key)
        try:
            return None if value is None else decode_sellers(value)
        except msgspec.MsgspecError:
            del self._sellers[key]
            return None

    def categories(self) -> set[str]:
        """Return the categories that have bestsellers."""
        return {key.removeprefix("category:") for key in self._sellers if key.startswith("category:")}

    def recommendations(self, customer_id: str, profile_id: str | None = None) -> Recommendations | None:
        """Return what is published for a customer or a profile, None if nothing is."""
        value = self._recommended.get(key_of(customer_id, profile_id))
        try:
            answer = None if value is None else decode_recommendations(value)
        except msgspec.MsgspecError:
            self._recommended.remove(key_of(customer_id, profile_id))
            return None
        return (
            answer
            if answer and (answer.customer_id, answer.profile_id) == (customer_id, profile_id)
            else None
        )

    def profiles(self, customer_id: str) -> list[str]:
        """Return the profiles of an account that have recommendations of their own, in order."""
        known = self._profiles.get(customer_id, ())
        return sorted(name for name in known if key_of(customer_id, name) in self._recommended)

    @property
    def published(self) -> dict[str, int]:
        """How many lists and recommendations there are."""
        return {"lists": len(self._lists), "recommendations": len(self._recommended)}

    def take_list(self, item_id: str, value: bytes | None) -> None:
        """Take in a record of the lists topic."""
        self.taken_lists += 1
        self._changed.add(item_id)
        if value is None:
            self._remove_list(item_id)
            return
        entries = value.find(_ENTRIES)
        self.buyers[item_id] = _decode_head(value if entries < 0 else value[:entries] + b"}").buyers
        self._lists.put(item_id, value)

    def _remove_list(self, item_id: str) -> None:
        self._lists.remove(item_id)
        self.buyers.pop(item_id, None)

    def take_sellers(self, key: str, value: bytes | None) -> None:
        """Take in a record of the bestsellers topic."""
        self.taken_sellers += 1
        if value is None:
            self._sellers.pop(key, None)
        else:
            self._sellers[key] = value

    def take_recommendations(self, key: str, value: bytes | None) -> None:
        """Take in a record of the recommendations topic."""
        if value is None:
            self._recommended.remove(key)
            self._profiles.pop(key, None)
            return
        whose = _decode_whose(value)
        self._served.add(whose.customer_id)
        if whose.profile_id is not None:
            self._profiles.setdefault(whose.customer_id, set()).add(whose.profile_id)
        self._recommended.put(key, value)

    def take_quality(self, key: str, quality: Quality) -> None:
        """Take in a record of hit rates."""
        self.taken_qualities += 1
        self.quality[key] = quality

    def take_changed(self) -> set[str]:
        """Return the items whose lists have changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def take_served(self) -> set[str]:
        """Return the customers whose recommendations have changed since the last call."""
        served, self._served = self._served, set()
        return served


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
