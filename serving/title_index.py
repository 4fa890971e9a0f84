"""Finding items by words of their titles or the beginning of their ids.

All titles are one text, in the order in which they would be shown, so that the first places at which a word
is found in it are the best ones: a search among 100,000 titles takes some milliseconds at most.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Found(NamedTuple):
    """An item and the number of customers who have it."""

    item_id: str
    buyers: int


class Titles(NamedTuple):
    """What is searched: the ids in order, and the title of each, as `words_of` has it."""

    ids: list[str]
    titles: list[str]


def words_of(title: str) -> str:
    """Return what a title is found by: its words, without regard to case."""
    return " ".join(title.casefold().split())


def in_order(titles: Mapping[str, str], others: Iterable[str]) -> Titles:
    """Return the titles, and other ids without one, in the order of ids.

    Parameters
    ----------
    titles : dict[str, str]
        By item, as `words_of` has them.
    others
        Ids of items that have none.
    """
    ids: Any = pa.array([*titles, *others], pa.string())
    # Arrow sorts without Python's lock, and by bytes of UTF-8, which is Python's order of characters
    ordered: list[str] = ids.take(pc.sort_indices(ids)).to_pylist()
    return Titles(ordered, [titles.get(item_id, "") for item_id in ordered])


class TitleIndex:
    """What was known of all items at one time; a rank is a place in the order in which they are shown.

    Parameters
    ----------
    titles
        Of all items.
    buyers : dict[str, int]
        By item that has a list: the customers who have it.
    """

    def __init__(self, titles: Titles, buyers: Mapping[str, int]) -> None:
        self._ids = titles.ids
        self._buyers = np.array([buyers.get(item_id, 0) for item_id in self._ids], np.int64)
        self._shown = np.argsort(-self._buyers, kind="stable")  # places in the order of ids, by rank
        self._ranks = np.empty_like(self._shown)  # the other way round
        self._ranks[self._shown] = np.arange(len(self._shown))
        lines = [titles.titles[place] for place in self._shown.tolist()]
        self._text = "\n".join(lines)
        self._begins: list[int] = [0, *itertools.accumulate(len(line) + 1 for line in lines)][:-1]

    def find(self, q: str, k: int) -> list[Found]:
        """Return at most k items whose title has every word of `q`, or whose id begins with it.

        The item with this very id is first, then those that most customers have, and of these in order of
        their ids.
        """
        prefix, words = q.strip(), q.casefold().split()
        first = bisect_left(self._ids, prefix)
        same = [int(self._ranks[first])] if self._ids[first : first + 1] == [prefix] else []
        after = bisect_right(self._ids, prefix, first, key=lambda item_id: item_id[: len(prefix)])
        all_of_them = after - first == len(self._ids)
        by_id = range(len(self._ids)) if all_of_them else np.sort(self._ranks[first:after]).tolist()
        ranks = heapq.merge(by_id, self._with_words(words)) if words else iter(by_id)
        others = (rank for rank, _ in itertools.groupby(ranks) if rank not in same)
        best = itertools.islice(itertools.chain(same, others), k)
        return [Found(self._ids[place], int(self._buyers[place])) for place in self._shown[[*best]].tolist()]

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
