"""Finding items by words of their titles or the beginning of their ids: columns of Arrow, which threads scan.

Arrow's kernels (`match_substring`, `starts_with`) let go of Python's lock, so that a search among 100,000
titles delays no other answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from serving.read_model import KindModel, ReadModel

OLD_S = 1.0
"""An index is made anew by the first search after so long, if anything has changed."""


class Found(NamedTuple):
    """An item and the number of customers who have it."""

    item_id: str
    buyers: int


class TitleIndex:
    """What was known of all items at one time, in order of their ids.

    Parameters
    ----------
    titles : dict[str, str]
        By item of the catalogue; case does not matter.
    buyers : dict[str, int]
        By item that has a list: the customers who have it.
    """

    def __init__(self, titles: Mapping[str, str], buyers: Mapping[str, int]) -> None:
        ids = [*titles, *(item_id for item_id in buyers if item_id not in titles)]
        unordered = pa.array(ids, pa.string())
        order = pc.sort_indices(unordered)
        self._ids: pa.Array[Any] = unordered.take(order)
        lower = [titles[item_id].casefold() if item_id in titles else None for item_id in ids]
        self._titles: pa.Array[Any] = pa.array(lower, pa.string()).take(order)  # null: not in the catalogue
        counts = np.fromiter((buyers.get(item_id, 0) for item_id in ids), np.int64, len(ids))
        self._buyers: npt.NDArray[np.int64] = counts[order.to_numpy()]

    def find(self, q: str, k: int) -> list[Found]:
        """Return at most k items whose title has every word of `q`, or whose id begins with it.

        The item with this very id is first, then those that most customers have, and of these in order of
        their ids.
        """
        prefix, words = q.strip(), q.casefold().split()
        matches = _mask(pc.is_valid(self._titles))
        for word in words:
            matches &= _mask(pc.match_substring(self._titles, word))
        rows = np.flatnonzero(matches | _mask(pc.starts_with(self._ids, prefix)))
        rows = rows[np.argsort(-self._buyers[rows], kind="stable")]
        same = [row for row in (pc.index(self._ids, prefix).as_py(),) if row >= 0]
        best = [*same, *(row for row in rows[: k + 1].tolist() if row not in same)][:k]
        return [Found(self._ids[row].as_py(), int(self._buyers[row])) for row in best]


def _mask(values: Any) -> npt.NDArray[np.bool_]:
    """Return booleans of Arrow, where null is false, as an array that can be written to."""
    return np.array(values.fill_null(False).to_numpy(zero_copy_only=False))


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
