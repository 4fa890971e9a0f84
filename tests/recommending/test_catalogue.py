"""Filters are compared with a check of one item after the other; tests of groups and their shares."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from recommending.catalogue import Catalogue, Filter, Known
from recommending.related_lists import RelatedLists

Entry = tuple[str | None, str | None, float | None]


def fits(wanted: Filter, item: str, entry: Entry) -> bool:
    category, brand, price = entry
    return (
        (not wanted.categories or category in wanted.categories)
        and (not wanted.brands or brand in wanted.brands)
        and (wanted.lowest_price is None or (price is not None and price >= wanted.lowest_price))
        and (wanted.highest_price is None or (price is not None and price <= wanted.highest_price))
        and (not wanted.only or item in wanted.only)
        and item not in wanted.without
    )


def random_filter(rng: random.Random, names: list[str]) -> Filter:
    def some(values: list[str]) -> frozenset[str]:
        return frozenset(rng.sample(values, rng.randrange(1, 3)) if rng.random() < 0.4 else ())

    def price() -> float | None:
        return float(rng.randrange(10)) if rng.random() < 0.4 else None

    few = frozenset(rng.sample(names, 80) if rng.random() < 0.3 else ())
    return Filter(some(["tea", "milk", "unheard of"]), some(["a", "b"]), price(), price(), few, some(names))


def test_filters_and_groups_are_those_of_each_item() -> None:
    """Both the related lists and the catalogue grow and change in between."""
    rng = random.Random(1)
    related, catalogue = RelatedLists(1), Catalogue()
    known, entries = Known(catalogue, related), dict[str, Entry]()
    names = [f"i{n}" for n in range(3000)]
    fitted = 0
    for _ in range(40):
        for name in rng.sample(names, 60):
            related.items.number(name)
        for name in rng.sample(names, 60):
            price = rng.choice((None, float(rng.randrange(10))))
            entries[name] = (
                rng.choice((None, "", "tea", "milk", "bread")),
                rng.choice((None, "a", "b", "c")),
                price,
            )
            catalogue.put(name, *entries[name])
        wanted = random_filter(rng, names)
        expected = [fits(wanted, name, entries.get(name, (None, None, None))) for name in related.items]
        assert known.allowed(wanted).tolist() == expected
        fitted += sum(expected)
    assert fitted > 1000
    assert len(catalogue.items) > 1024
    assert Filter().empty
    assert not Filter(without=frozenset(["x"])).empty

    buyers = np.array([rng.randrange(50) for _ in related.items])
    groups = known.groups(buyers)
    by_name = dict(zip(related.items, buyers.tolist(), strict=True))
    for column, (dictionary, shares) in enumerate(
        ((catalogue.categories, groups.category_share), (catalogue.brands, groups.brand_share))
    ):
        for number, name in enumerate(related.items):
            group = entries.get(name, (None, None, None))[column] or ""
            assert dictionary.id(int(groups.of_item[number, column])) == group
        for group in dictionary:
            members = (y for y in by_name if (entries.get(y, (None, None, None))[column] or "") == group)
            share = sum(by_name[y] for y in members) / sum(by_name.values())
            assert shares[dictionary.numbers[group]] == pytest.approx(share)
        assert math.fsum(shares) == pytest.approx(1.0)
