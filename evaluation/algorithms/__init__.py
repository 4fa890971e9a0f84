"""One algorithm per file, each of them an `evaluation.protocol.Algorithm`.

bestsellers       the same items for all customers
buy_again         what the customer bought most often
item_counts       item to item by raw counts; item_relatedness: by how far they are above expectation
similarity        item to item by inner products; ease: by a linear model; user_based: customer to customer
als, autoencoder  matrix factorisation, and a neural network
ours              the machines and the ranking of production
"""

from __future__ import annotations

from importlib import import_module

from evaluation.errors import EvaluationError
from evaluation.protocol import Algorithm

WHERE = {
    "bestsellers": "bestsellers:BestsellersScoring",
    "bestsellers-2w": "bestsellers:RecentBestsellersScoring",
    "user-cf": "user_based:UserBased",
    "user-cf-sampled": "user_based:SampledUserBased",
    "item-raw": "item_counts:RawCounts",
    "item-flawed": "item_relatedness:Flawed",
    "item-corrected": "item_relatedness:Corrected",
    "item-cosine": "similarity:Cosine",
    "bm25": "similarity:BM25",
    "als": "als:ALS",
    "ease": "ease:Ease",
    "autoencoder-reconstruction": "autoencoder:Reconstruction",
    "autoencoder-chronological": "autoencoder:Chronological",
    "buy-again": "buy_again:BuyAgain",
    "ours": "ours:Ours",
}
NAMES = tuple(WHERE)
OF_ALL_ITEMS = frozenset({"buy-again"})
"""Algorithms that recommend nothing new."""


def chosen(names: list[str] | None, *, new_only: bool) -> list[str]:
    """Return the algorithms to evaluate; without names, all that answer the question.

    Raises
    ------
    EvaluationError
        One is not known, or does not answer the question.
    """
    if names is None:
        return [name for name in NAMES if not (new_only and name in OF_ALL_ITEMS)]
    for name in names:
        if name not in WHERE:
            raise EvaluationError(f"there is no algorithm {name!r}; there are {', '.join(NAMES)}")
        if new_only and name in OF_ALL_ITEMS:
            raise EvaluationError(f"{name} recommends nothing new: leave it out, or ask for --all-items")
    return list(dict.fromkeys(names))


def make(name: str) -> Algorithm:
    """Return a new algorithm of a name of `NAMES`; the packages that it needs are imported now.

    A name with a colon, `bench.choices:as-is`, is passed to the `make` of that module.
    """
    if ":" in name:
        other, _, choice = name.partition(":")
        elsewhere: Algorithm = import_module(other).make(choice)
        return elsewhere
    module, _, cls = WHERE[name].partition(":")
    algorithm: Algorithm = getattr(import_module(f"{__name__}.{module}"), cls)()
    return algorithm
