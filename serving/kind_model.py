"""What is published of one kind of lists, in memory: lists, bestsellers, recommendations and quality.

Most of it is lists: they are kept as they came (`packed_values`), and are decoded on request. Only the number
of buyers of each is read at once, because searching orders by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from serving.packed_values import PackedValues
from streams.kinds import Kind
from streams.messages.schema import RelatedItems, decode_related, decoder
from streams.recommending.messages import (
    Quality,
    RankerState,
    Recommendations,
    Sellers,
    decode_recommendations,
    decode_sellers,
    key_of,
)


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
