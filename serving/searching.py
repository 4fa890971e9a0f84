"""Searches of a read model: indexes of its titles, made again as it changes, in threads."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from serving.kind_model import KindModel
from serving.read_model import ReadModel
from serving.title_index import Found, TitleIndex, Titles, in_order

SOON_S, LATER_S = 1.0, 30.0
"""An index is made again by the first search after so long: soon if the catalogue has changed or there are
many more lists than before, else later, for the order of what is found changes slowly."""

MORE = 1.05
"""So many times the lists are many more."""


class _Version(NamedTuple):
    made_s: float
    taken_items: int
    taken_lists: int
    lists: int

    def is_old(self, now: _Version) -> bool:
        """Whether it is to be made again."""
        age_s = now.made_s - self.made_s
        if age_s < SOON_S or now[1:] == self[1:]:
            return False
        much = now.taken_items != self.taken_items or now.lists > MORE * self.lists
        return much or age_s >= LATER_S


class Search:
    """Searches of a read model, which go on while it changes: each sees what was there a moment ago."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._indexes: dict[str, TitleIndex] = {}
        self._titles: dict[str, tuple[int, set[str], Titles]] = {}
        self._made: dict[str, _Version] = {}
        self._making: dict[str, asyncio.Task[None]] = {}

    async def find(self, of: KindModel, q: str, k: int) -> list[Found]:
        """Return at most k items; see `TitleIndex.find`."""
        name = of.kind.name
        now = _Version(time.monotonic(), self._model.taken_items, of.taken_lists, len(of.buyers))
        if (name not in self._made or self._made[name].is_old(now)) and name not in self._making:
            self._made[name] = now
            self._making[name] = asyncio.create_task(self._make(of))
        if name not in self._indexes:
            await asyncio.shield(self._making[name])
        found = await asyncio.to_thread(self._indexes[name].find, q, k)
        return [Found(one.item_id, of.buyers.get(one.item_id, 0)) for one in found]

    async def _make(self, of: KindModel) -> None:
        name, taken_items = of.kind.name, self._model.taken_items
        titles, buyers = self._model.titles, dict(of.buyers)  # they change in the loop's thread
        others = {item_id for item_id in buyers if item_id not in titles}
        before = self._titles.get(name)
        try:
            if before is None or before[:2] != (taken_items, others):
                ordered = await asyncio.to_thread(in_order, dict(titles), others)
                before = self._titles[name] = taken_items, others, ordered
            self._indexes[name] = await asyncio.to_thread(TitleIndex, before[2], buyers)
        except BaseException:
            self._made.pop(name, None)  # the next search tries again
            raise
        finally:
            del self._making[name]
