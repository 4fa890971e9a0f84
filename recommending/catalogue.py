"""The category, brand and price of items, and filters by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recommending.related_lists import IdMapping, RelatedLists
from recommending.tastes import Groups
from state.memory.ids import Dictionary

NO_PRICE = np.nan


@dataclass(frozen=True)
class Filter:
    """Which items may be offered. An item without an entry fits only a filter that does not ask for it.

    Attributes
    ----------
    categories, brands
        The item must have one of these; empty: any.
    lowest_price, highest_price
        The price must be in this range, both ends included; None: any.
    only, without
        The item must be one of `only` (empty: any), and none of `without`.
    """

    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    lowest_price: float | None = None
    highest_price: float | None = None
    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether every item fits."""
        return self == Filter()


@dataclass
class Catalogue:
    """Categories, brands and prices by number of `items`; group 0 stands for none.

    >>> catalogue = Catalogue()
    >>> catalogue.put("tea", "drinks", "Assam & Co", 3.5)
    >>> catalogue.categories.id(int(catalogue.groups[0, 0])), float(catalogue.prices[0])
    ('drinks', 3.5)
    """

    items: Dictionary = field(default_factory=Dictionary)
    categories: Dictionary = field(default_factory=Dictionary)
    brands: Dictionary = field(default_factory=Dictionary)

    def __post_init__(self) -> None:
        self.groups = np.zeros((1024, 2), np.int32)
        self.prices = np.full(1024, NO_PRICE)
        self.version = 0
        for groups in (self.categories, self.brands):
            groups.number("")

    def put(self, item_id: str, category: str | None, brand: str | None, price: float | None) -> None:
        """Take in the newest entry of an item."""
        number = self.items.number(item_id)
        if number >= len(self.prices):
            n = 2 * len(self.prices)
            self.groups = np.concatenate([self.groups, np.zeros((n - len(self.prices), 2), np.int32)])
            self.prices = np.concatenate([self.prices, np.full(n - len(self.prices), NO_PRICE)])
        self.groups[number] = self.categories.number(category or ""), self.brands.number(brand or "")
        self.prices[number] = NO_PRICE if price is None else price
        self.version += 1


class Known:
    """The catalogue by the numbers of the related lists."""

    def __init__(self, catalogue: Catalogue, related: RelatedLists) -> None:
        self._catalogue, self._related = catalogue, related
        self._numbers = IdMapping(related.items, catalogue.items, adding=False)

    def groups(self, buyers: npt.NDArray[np.int64]) -> Groups:
        """Return the category and brand of every item, and the shares of all buyers of each."""
        numbers = self._numbers.up_to_date()
        known = numbers >= 0
        of_item = np.zeros((len(numbers), 2), np.int32)
        of_item[known] = self._catalogue.groups[numbers[known]]
        shares = []
        for column, names in enumerate((self._catalogue.categories, self._catalogue.brands)):
            counts = np.bincount(of_item[:, column], weights=buyers[: len(numbers)], minlength=len(names))
            shares.append(counts / max(counts.sum(), 1.0))
        return Groups(of_item, *shares)

    def allowed(self, wanted: Filter) -> npt.NDArray[np.uint8]:
        """Return for each item of the related lists whether it fits."""
        numbers = self._numbers.up_to_date()
        known = numbers >= 0
        fits = np.ones(len(numbers), np.bool_)
        for column, names, values in (
            (0, self._catalogue.categories, wanted.categories),
            (1, self._catalogue.brands, wanted.brands),
        ):
            if values:
                groups = np.zeros(len(numbers), np.int32)
                groups[known] = self._catalogue.groups[numbers[known], column]
                fits &= np.isin(groups, [n for name in values if name and (n := names.get(name)) is not None])
        if wanted.lowest_price is not None or wanted.highest_price is not None:
            prices = np.full(len(numbers), NO_PRICE)
            prices[known] = self._catalogue.prices[numbers[known]]
            if wanted.lowest_price is not None:
                fits &= prices >= wanted.lowest_price
            if wanted.highest_price is not None:
                fits &= prices <= wanted.highest_price
        if wanted.only:
            fits &= np.isin(np.arange(len(numbers)), self._of(wanted.only))
        if wanted.without:
            fits &= ~np.isin(np.arange(len(numbers)), self._of(wanted.without))
        return fits.astype(np.uint8)

    def _of(self, names: Iterable[str]) -> list[int]:
        return [n for name in names if (n := self._related.items.get(name)) is not None]
