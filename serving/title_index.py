"""Finding items by words of their titles or the beginning of their ids.

A word of a search is looked for within the distinct words of all titles, of which there are far fewer than
titles. Each of these words has a list of the titles that it is in. So a search among 100,000 titles takes
about a millisecond, whatever is looked for, and most of it without Python's lock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

FEW = 300  # with more words, to look at all places is faster than to go through theirs
KEPT_WORDS, KEPT_BYTES = 512, 8 << 20  # of words whose items are kept, with a bit for each item


class Found(NamedTuple):
    """An item and the number of customers who have it."""

    item_id: str
    buyers: int


class Titles:
    """What is searched. An item's place is that of its id among the sorted ids.

    Parameters
    ----------
    ids
        The ids in order.
    words : StringArray
        The distinct words of all titles.
    begins : int64[words + 1]
        Where the places of each word begin in `places`.
    places : int32[words of all titles]
        The items in whose titles the words are.
    """

    def __init__(
        self, ids: list[str], words: Any, begins: npt.NDArray[np.int64], places: npt.NDArray[np.int32]
    ) -> None:
        self.ids = ids
        self._words, self._begins, self._places = words, begins, places
        # the words that people look for come again
        self._packed = lru_cache(min(KEPT_WORDS, KEPT_BYTES // (len(ids) // 8 + 1)))(self._look_for)

    def with_word(self, word: str) -> npt.NDArray[np.bool_]:
        """Return for each item whether its title has a word with these letters in it."""
        return np.unpackbits(self._packed(word), count=len(self.ids)).view(np.bool_)

    def _look_for(self, word: str) -> npt.NDArray[np.uint8]:
        """Return the same as bits."""
        found = np.zeros(len(self.ids), np.bool_)
        matches = np.asarray(pc.match_substring(self._words, word))
        numbers = np.flatnonzero(matches)
        if len(numbers) > FEW:
            found[self._places[np.repeat(matches, np.diff(self._begins))]] = True
        else:
            for number in numbers.tolist():
                found[self._places[self._begins[number] : self._begins[number + 1]]] = True
        return np.packbits(found)


def words_of(title: str) -> str:
    """Return what a title is found by: its words, without regard to case."""
    return " ".join(title.casefold().split())


def in_order(titles: Mapping[str, str], others: Iterable[str]) -> Titles:
    """Return the titles, and other ids without one, in the order of ids. Arrow works without Python's lock.

    Parameters
    ----------
    titles : dict[str, str]
        By item, as `words_of` has them.
    others
        Ids of items that have none.
    """
    ids: Any = pa.array([*titles, *others], pa.string())
    # by bytes of UTF-8, which is Python's order of characters
    ordered: list[str] = ids.take(pc.sort_indices(ids)).to_pylist()
    theirs: Any = pa.array([titles.get(item_id, "") for item_id in ordered], pa.string())
    split: Any = pc.split_pattern(theirs, " ")
    words = pc.list_flatten(split).dictionary_encode()
    numbers, places = words.indices.to_numpy(), np.asarray(pc.list_parent_indices(split), np.int32)
    begins = np.zeros(len(words.dictionary) + 1, np.int64)
    np.cumsum(np.bincount(numbers, minlength=len(words.dictionary)), out=begins[1:])
    return Titles(ordered, words.dictionary, begins, places[np.argsort(numbers, kind="stable")])


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
        self._titles = titles
        self._buyers = np.array([buyers.get(item_id, 0) for item_id in titles.ids], np.int64)
        self._shown = np.argsort(-self._buyers, kind="stable")  # places by rank
        self._ranks = np.empty_like(self._shown)  # the other way round
        self._ranks[self._shown] = np.arange(len(self._shown))

    def find(self, q: str, k: int) -> list[Found]:
        """Return at most k items whose title has every word of `q`, or whose id begins with it.

        The item with this very id is first, then those that most customers have, and of these in order of
        their ids.
        """
        ids, prefix = self._titles.ids, q.strip()
        first = bisect_left(ids, prefix)
        after = bisect_right(ids, prefix, first, key=lambda item_id: item_id[: len(prefix)])
        found = self._with_words(q.casefold().split())
        found[first:after] = True
        ranks = self._ranks[np.flatnonzero(found)]
        if len(ranks) > k + 1:  # one may be the item with this very id
            ranks = np.partition(ranks, k)[: k + 1]
        best = self._shown[np.sort(ranks)].tolist()
        if ids[first : first + 1] == [prefix]:
            best = [first, *(place for place in best if place != first)]
        return [Found(ids[place], int(self._buyers[place])) for place in best[:k]]

    def _with_words(self, words: list[str]) -> npt.NDArray[np.bool_]:
        """Return for each item whether its title has every word, and there is one."""
        found = np.full(len(self._titles.ids), bool(words))
        for word in words:
            if not _can_be_written(word):
                found[:] = False
                break
            found &= self._titles.with_word(word)
        return found


def _can_be_written(word: str) -> bool:
    """Return whether a word can be written in UTF-8: half a surrogate pair cannot, and no title has it."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
