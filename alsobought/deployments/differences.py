"""How far the messages of two deployments about the same item differ.

Whole numbers, such as how many customers have both items of a pair, must be the same. Scores, expectations
and decayed sums may differ by rounding, since the machines add in another order. A decayed sum is of the time
at which its message was made, so both are brought to the same time first.

A list holds the best of an item's neighbours. Where it ends between entries that are equally good, the two
deployments may have chosen others of them, which is no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from state.memory.entries import TAU_MINUTES
from state.popularity.counts import DAY_MS, DAYS
from streams.messages.schema import (
    PopularityMessage,
    RelatedItem,
    RelatedItems,
    decode_popularity,
    decode_related,
)
from streams.recommending.messages import decode_sellers

TOP = 10
MINUTE_MS = 60_000
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Difference:
    """How far two messages differ.

    Attributes
    ----------
    counts
        The largest difference of a whole number.
    scores
        The largest difference of a number that is not whole, relative to the larger of the two, or to 1.
    overlap
        Of the ten best entries of the one, how many are among the ten best of the other, from 0 to 1; None
        where the messages hold no list.
    others
        Entries that only one of the lists has, and that are better than the end of the other list.
    """

    counts: int = 0
    scores: float = 0.0
    overlap: float | None = None
    others: int = 0

    def within(self, tolerance: float) -> bool:
        """Return whether the messages are equal, scores up to `tolerance`."""
        return self.counts == 0 and self.others == 0 and self.scores <= tolerance


def relative(a: float, b: float) -> float:
    """Return a difference relative to the larger number, but to 1 where both are smaller.

    >>> relative(100.0, 99.0), relative(0.0, 0.25)
    (0.01, 0.25)
    """
    return abs(a - b) / max(abs(a), abs(b), 1.0)


def of_lists(ours: bytes, theirs: bytes, tolerance: float) -> Difference:
    """Compare two related lists."""
    a, b = decode_related(ours), decode_related(theirs)
    as_of = max(a.as_of, b.as_of)
    mine, other = ({e.item_id: e for e in message.related} for message in (a, b))
    counts = [abs(a.buyers - b.buyers), abs(a.mass - b.mass)]
    scores = [relative(_at(a.recent_mass, a.as_of, as_of), _at(b.recent_mass, b.as_of, as_of))]
    for item in mine.keys() & other.keys():
        x, y = mine[item], other[item]
        counts += [abs(x.together - y.together), abs(x.after - y.after)]
        recent = relative(_at(x.recent, a.as_of, as_of), _at(y.recent, b.as_of, as_of))
        scores += [relative(x.score, y.score), relative(x.expected, y.expected), recent]
    others = _better_than_end(a, b, other, tolerance) + _better_than_end(b, a, mine, tolerance)
    return Difference(max(counts), max(scores), _overlap(a.related, b.related), others)


def _at(decayed: float, made_ms: int, as_of_ms: int) -> float:
    """Return what a decayed sum has become at a later time."""
    return decayed * math.exp((made_ms // MINUTE_MS - as_of_ms // MINUTE_MS) / TAU_MINUTES)


def _better_than_end(
    message: RelatedItems, with_: RelatedItems, there: dict[str, RelatedItem], tolerance: float
) -> int:
    """Return how many entries `with_` should have, too: all, unless it ends with equally good ones."""
    missing = [entry.score for entry in message.related if entry.item_id not in there]
    if not with_.related or len(message.related) != len(with_.related):
        return len(missing)
    end = with_.related[-1].score
    return sum(score > end and relative(score, end) > tolerance for score in missing)


def _overlap(ours: list[RelatedItem], theirs: list[RelatedItem]) -> float:
    mine, other = ({entry.item_id for entry in some[:TOP]} for some in (ours, theirs))
    return len(mine & other) / max(len(mine), len(other), 1)


def of_popularity(ours: bytes, theirs: bytes, _tolerance: float) -> Difference:
    """Compare the popularity of an item.

    The number of all customers is of the time at which a message was made, so it is not compared.
    """
    a, b = decode_popularity(ours), decode_popularity(theirs)
    as_of = max(a.as_of, b.as_of)
    oldest = as_of // DAY_MS - DAYS + 1
    mine, other = _days(a, oldest), _days(b, oldest)
    counts = [abs(mine.get(day, 0) - other.get(day, 0)) for day in mine.keys() | other.keys()]
    counts += [
        abs(getattr(a, name) - getattr(b, name))
        for name in ("buyers", "first_days", "repeaters", "repeat_days", "repeat_minutes", "available")
    ]
    recent = relative(_at(a.recent_buyers, a.as_of, as_of), _at(b.recent_buyers, b.as_of, as_of))
    return Difference(max(counts), recent)


def _days(message: PopularityMessage, oldest: int) -> dict[int, int]:
    newest = message.newest_day.toordinal() - _EPOCH
    days = {newest - ago: count for ago, count in enumerate(message.purchases)}
    return {day: count for day, count in days.items() if day >= oldest and count}


def of_sellers(ours: bytes, theirs: bytes, _tolerance: float) -> Difference:
    """Compare bestsellers or rising items: the same items in the same order."""
    a, b = decode_sellers(ours).items, decode_sellers(theirs).items
    counts = [abs(len(a) - len(b))]
    counts += [abs(x.purchases - y.purchases) for x, y in zip(a, b, strict=False)]
    rises = [relative(x.rise or 0.0, y.rise or 0.0) for x, y in zip(a, b, strict=False)]
    others = sum(x.item_id != y.item_id for x, y in zip(a, b, strict=False))
    mine, other = ({entry.item_id for entry in some[:TOP]} for some in (a, b))
    overlap = len(mine & other) / max(len(mine), len(other), 1)
    return Difference(max(counts), max(rises, default=0.0), overlap, others)
