"""Finding items by words of their titles or the beginning of their ids.

All titles are one text, in the order in which they would be shown, so that the first places at which a word
is found in it are the best ones: a search among 100,000 titles takes some milliseconds at most.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.read_model import KindModel, ReadModel

OLD_S = 1.0
"""An index is made again by the first search after so long, if anything has changed."""


class Found(NamedTuple):
    """An item and the number of customers who have it."""

    item_id: str
    buyers: int


class TitleIndex:
    """What was known of all items at one time; a rank is a place in the order in which they are shown.

    Parameters
    ----------
    titles : dict[str, str]
        By item of the catalogue; case does not matter.
    buyers : dict[str, int]
        By item that has a list: the customers who have it.
    """

    def __init__(self, titles: Mapping[str, str], buyers: Mapping[str, int]) -> None:
        unordered = [*titles, *(item_id for item_id in buyers if item_id not in titles)]
        # Arrow sorts without Python's lock, and by bytes of UTF-8, which is Python's order of characters
        ids: Any = pa.array(unordered, pa.string())
        self._ids: list[str] = ids.take(pc.sort_indices(ids)).to_pylist()
        counts = np.fromiter((buyers.get(item_id, 0) for item_id in self._ids), np.int64, len(self._ids))
        shown = np.argsort(-counts, kind="stable")
        self._ranks = np.empty(len(shown), np.int64)  # by place in the order of ids
        self._ranks[shown] = np.arange(len(shown))
        self._shown = [Found(self._ids[place], int(counts[place])) for place in shown.tolist()]
        lines = [" ".join(titles.get(found.item_id, "").casefold().split()) for found in self._shown]
        self._text = "\n".join(lines)
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        self._begins: list[int] = (np.cumsum(lengths + 1) - lengths - 1).tolist()

    def find(self, q: str, k: int) -> list[Found]:
        """Return at most k items whose title has every word of `q`, or whose id begins with it.

        The item with this very id is first, then those that most customers have, and of these in order of
        their ids.
        """
        prefix, words = q.strip(), q.casefold().split()
        first = bisect_left(self._ids, prefix)
        same = [int(self._ranks[first])] if self._ids[first : first + 1] == [prefix] else []
        after = bisect_right(self._ids, prefix, first, key=lambda item_id: item_id[: len(prefix)])
        by_id = np.sort(self._ranks[first:after]).tolist()
        ranks = heapq.merge(by_id, self._with_words(words)) if words else iter(by_id)
        others = (rank for rank, _ in itertools.groupby(ranks) if rank not in same)
        return [self._shown[rank] for rank in itertools.islice(itertools.chain(same, others), k)]

    def _with_words(self, words: list[str]) -> Iterator[int]:
        """Yield the ranks of the titles that have every word, the best first."""
        text, begins = self._text, self._begins
        longest, *others = sorted(words, key=len, reverse=True)
        at = text.find(longest)
        while at >= 0:
            rank = bisect_right(begins, at) - 1
            end = begins[rank + 1] if rank + 1 < len(begins) else len(text)
            if all(text.find(word, begins[rank], end) >= 0 for word in others):
                yield rank
            at = text.find(longest, end)


class Search:
    """Searches of a read model, which go on while it changes: each sees what was there a moment ago."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._indexes: dict[str, TitleIndex] = {}
        self._made: dict[str, tuple[float, tuple[int, int]]] = {}
        self._making: dict[str, asyncio.Task[None]] = {}

    async def find(self, of: KindModel, q: str, k: int) -> list[Found]:
        """Return at most k items; see `TitleIndex.find`."""
        name, version = of.kind.name, (self._model.taken_items, of.taken_lists)
        made_s, made_of = self._made.get(name, (-OLD_S, (-1, -1)))
        if version != made_of and time.monotonic() - made_s >= OLD_S and name not in self._making:
            self._made[name] = time.monotonic(), version
            self._making[name] = asyncio.create_task(self._make(of))
        if name not in self._indexes:
            await asyncio.shield(self._making[name])
        return await asyncio.to_thread(self._indexes[name].find, q, k)

    async def _make(self, of: KindModel) -> None:
        titles, buyers = dict(self._model.titles), dict(of.buyers)  # these change in the loop's thread
        try:
            self._indexes[of.kind.name] = await asyncio.to_thread(TitleIndex, titles, buyers)
        finally:
            del self._making[of.kind.name]
