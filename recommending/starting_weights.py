"""The weights that rankers begin with, before they have learnt anything, and usual variances of features."""

from __future__ import annotations

from recommending.features import FEATURES, NEW_FEATURES
from recommending.ranker import Ranker

# weights that suit shops and films alike: between those learnt from a year of groceries and from watches;
# those of all items lean a little to those learnt from synthetic shops (docs/decisions/0025)
START_NEW = {
    "day3": 0.25, "day14": 0.3, "age": -0.05, "trend": 0.1, "recent": 0.15, "lift": 0.25, "lift_after": 0.05,
    "cosine": 0.1, "together": 0.1, "category": 0.1, "brand": 0.1, "raw": 0.05, "corrected": 0.1,
    "chronological": 0.15,
}  # fmt: skip
START_ALL = {
    "day3": 0.19, "day14": 0.4, "buyers": -0.06, "trend": 0.08, "recent": 0.1, "lift": 0.15,
    "lift_after": 0.05, "category": 0.1, "raw": 0.06, "corrected": 0.12, "owned": 0.32, "days": 0.66,
    "often": 0.37, "since": -0.12, "gap": 0.12, "due": 0.23, "repeat": 0.8, "rate": 0.2,
}  # fmt: skip
# variances among the candidates of a customer, about those of a year of groceries and of watches of films;
# that of the chronological feature depends on the model, and may well be a thousandth
USUAL = {
    "day3": 0.8, "day14": 0.8, "buyers": 0.9, "age": 0.15, "trend": 0.7, "recent": 0.2, "lift": 0.15,
    "lift_after": 0.25, "recent_last": 0.1, "cosine": 0.5, "together": 0.13, "category": 1.0, "brand": 0.3,
    "raw": 1.0, "corrected": 0.2, "owned": 0.06, "days": 0.03, "often": 0.02,
    "since": 0.25, "gap": 0.3, "due": 0.3, "repeat": 0.6, "rate": 3.0,
}  # fmt: skip


def new_rankers() -> dict[str, Ranker]:
    """Return rankers that have learnt nothing yet."""
    return {
        "new": Ranker.new(NEW_FEATURES, START_NEW, USUAL),
        "all": Ranker.new(FEATURES, START_ALL, USUAL, any_of=True),
    }
