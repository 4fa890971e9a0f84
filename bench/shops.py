"""Seeded synthetic shops: purchases of any size and kind, drawn from a simple latent model.

Items belong to groups, and have a popularity by Zipf's law. It fades with their age where a shop drifts, and
rises once a year for seasonal items. A customer sticks to a few groups. A basket is drawn item by
item: an item that the customer has, or one that goes with the item before, or one of the basket's main group,
of another group of the customer, or any item. So bestsellers, lists, linear models and own counts all find
something, and the parameters of `Shop` alone decide how much each finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.zipf import START_MS
from evaluation.protocol import DAY_MS, Events

TAIL = 1.8  # Pareto exponent of how often a customer comes
MOST_OFTEN = 60.0  # largest ratio to the rarest customer
TASTES = np.array([0.6, 0.3, 0.1])  # shares of a customer's groups at any time
COMPANIONS = 3  # number of items that go with an item
ALIVE = 0.1  # share of its first popularity, below which an item is no longer bought with another
SEASON_DAYS = 18.0  # standard deviation of the time of year in which a seasonal item sells
IN_SEASON, OFF_SEASON = 4.0, 0.05  # factor of an item's popularity
YEAR_DAYS = 365.0
FESTIVE_DAY, FESTIVE_DAYS = 320.0, 30.0  # mean and deviation: in a shop with seasons, visits peak in November
FESTIVE = 2.0  # additional visits at that peak, relative to the usual number
MOST_IN_BASKET = 150
WEEK = 7

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shop:
    """The parameters of a shop.

    Attributes
    ----------
    visits, basket
        Means of the visits of a customer, which are heavy-tailed, and of the items of a basket, before
        duplicates are         removed.
    zipf
        Exponent of popularity: 0.8 gives the first of 5,000 items 4 % of all purchases, 0.5 gives it 0.7 %.
    repeat
        Share of purchases of an item that the customer has, mostly of late.
    groups
        Number of groups of taste.
    loyalty
        Share of the other purchases that are from the customer's groups.
    together
        Share of these that are from the basket's main group.
    companions
        Share of the other purchases that go with the item before.
    life_days
        Time in which an item loses 1 - 1/e of its popularity; None if all items exist from the beginning, for
        ever.
    taste_days
        Time after which a customer exchanges one of three groups; None if never.
    seasonal
        Share of items that sell at one time of year.
    """

    items: int
    customers: int
    visits: float
    basket: float
    days: int = 365
    zipf: float = 0.8
    repeat: float = 0.3
    groups: int = 30
    loyalty: float = 0.7
    together: float = 0.6
    companions: float = 0.15
    life_days: float | None = None
    taste_days: float | None = None
    seasonal: float = 0.0


SHOPS = {
    "few-customers": Shop(items=3_000, customers=150, visits=100, basket=5),
    "many-customers": Shop(items=2_000, customers=30_000, visits=2, basket=2, repeat=0.1),
    "tiny-baskets": Shop(items=3_000, customers=4_000, visits=15, basket=1),
    "huge-baskets": Shop(items=2_500, customers=1_000, visits=3.5, basket=40),
    "drifting": Shop(
        items=5_000, customers=3_000, visits=12, basket=2.5, repeat=0.1, life_days=25, taste_days=60
    ),
    "steady": Shop(items=5_000, customers=3_000, visits=12, basket=2.5, repeat=0.1),
    "200-items": Shop(items=200, customers=3_000, visits=12, basket=2.5, groups=8),
    "200000-items": Shop(items=200_000, customers=5_000, visits=9, basket=3, groups=300),
    # it is as large as a shop that sells gifts to wholesalers
    "gift-retailer": Shop(
        items=3_700, customers=4_000, visits=4.5, basket=26, zipf=0.5, repeat=0.25, groups=40, loyalty=0.65,
        companions=0.25, life_days=350, seasonal=0.25,
    ),
}  # fmt: skip


class _Items(NamedTuple):
    """Items ordered by group, and within a group by launch; `ids` are their numbers."""

    ids: Numbers
    starts: Numbers  # the first item of each group, and the end
    popularity: Floats
    launched: Floats  # day
    peak: Floats  # day of the year, NaN without a season

    def weights(self, shop: Shop, places: Numbers | slice, day: Floats | float) -> Floats:
        """Return the demand for items at places on a day, relative to their demand at first."""
        age = day - self.launched[places]
        wanted = np.where(age < 0, 0.0, 1.0)
        if shop.life_days is not None:
            wanted *= np.exp(-np.maximum(age, 0.0) / shop.life_days)
        peak = self.peak[places]
        off = np.abs((day - peak + YEAR_DAYS / 2) % YEAR_DAYS - YEAR_DAYS / 2)
        season = OFF_SEASON + IN_SEASON * np.exp(-((off / SEASON_DAYS) ** 2) / 2)
        return np.asarray(wanted * np.where(np.isnan(peak), 1.0, season))


class _Visits(NamedTuple):
    """Visits in order of customers, then of time, with the number of items that each should have."""

    customer: Numbers
    day: Floats
    size: Numbers


def events(shop: Shop, seed: int) -> Events:
    """Return all purchases of a shop, in order of time; the same for the same seed."""
    rng = np.random.default_rng(seed)
    items, visits = _items(shop, rng), _visits(shop, rng)
    visit = np.repeat(np.arange(len(visits.size)), visits.size)
    first = np.cumsum(visits.size) - visits.size  # draw of each visit
    day, customer = visits.day[visit], visits.customer[visit]
    place = _with_companions(shop, rng, items, _fresh(shop, rng, items, visits, visit), customer, day)
    place = place[_repeated(shop, rng, customer, first[visit])]
    item = items.ids[place]
    _, kept = np.unique(visit * shop.items + item, return_index=True)
    passed_s = (np.arange(len(visit)) - first[visit]) * rng.uniform(2.0, 8.0, len(first))[visit]
    time_ms = START_MS + (day * DAY_MS + passed_s * 1_000).astype(np.int64)
    kept = kept[np.argsort(time_ms[kept], kind="stable")]
    return Events(
        customer[kept].astype(np.int32), item[kept].astype(np.int32), time_ms[kept],
        shop.customers, shop.items,
    )  # fmt: skip


def _items(shop: Shop, rng: np.random.Generator) -> _Items:
    ids = rng.permutation(shop.items)
    shares = 1.0 / np.sqrt(1.0 + np.arange(shop.groups))
    group = rng.choice(shop.groups, shop.items, p=shares / shares.sum())
    launched = np.zeros(shop.items)
    if shop.life_days is not None:
        launched = rng.uniform(-2.0 * shop.life_days, shop.days, shop.items)
    popularity: Floats = np.power(1.0 + rng.permutation(shop.items), -shop.zipf)
    peak = rng.uniform(0.0, YEAR_DAYS, shop.items)
    peak[rng.random(shop.items) >= shop.seasonal] = np.nan
    order = np.lexsort((launched, group))
    starts = np.searchsorted(group[order], np.arange(shop.groups + 1))
    return _Items(ids[order], starts, popularity[order], launched[order], peak[order])


def _visits(shop: Shop, rng: np.random.Generator) -> _Visits:
    n = round(shop.customers * shop.visits)
    often = np.minimum(rng.pareto(TAIL, shop.customers) + 1.0, MOST_OFTEN)
    customer = np.sort(rng.choice(shop.customers, n, p=often / often.sum()))
    # half of the items exist from the beginning
    since = np.maximum(rng.uniform(-0.5, 0.7, shop.customers), 0.0)[customer]
    day = shop.days * (since + (1.0 - since) * rng.random(n))
    if shop.seasonal:
        festive = rng.random(n) < FESTIVE * FESTIVE_DAYS * np.sqrt(2 * np.pi) / shop.days
        drawn = rng.normal(FESTIVE_DAY, FESTIVE_DAYS, n)
        day = np.where(festive & (drawn > shop.days * since) & (drawn < shop.days), drawn, day)
    order = np.lexsort((day, customer))
    size = np.ones(n, np.int64)
    if shop.basket > 1:
        large = rng.lognormal(-0.125, 0.5, shop.customers)[customer]
        size += rng.poisson((shop.basket - 1.0) * large * rng.gamma(1.5, 1 / 1.5, n))
    return _Visits(customer, day[order], np.minimum(size, MOST_IN_BASKET))


def _fresh(
    shop: Shop, rng: np.random.Generator, items: _Items, visits: _Visits, visit: Numbers
) -> Numbers:  # fmt: skip
    """Return a place for every draw, by group and popularity."""
    customer, day = visits.customer[visit], visits.day[visit]
    period = np.zeros(len(visit), np.int64)
    if shop.taste_days is not None:
        begun = rng.random(shop.customers)[customer]
        period = (day / shop.taste_days + begun).astype(np.int64)
    sizes = np.diff(items.starts) / shop.items
    tastes = rng.choice(shop.groups, (shop.customers, int(period.max()) + len(TASTES)), p=sizes)
    main = rng.choice(len(TASTES), len(visits.size), p=TASTES)[visit]
    other = rng.choice(len(TASTES), len(visit), p=TASTES)
    which = np.where(rng.random(len(visit)) < shop.together, main, other)
    group = tastes[customer, period + which]
    anything = rng.random(len(visit)) >= shop.loyalty
    begin = np.where(anything, 0, items.starts[group])
    end = np.where(anything, shop.items, items.starts[group + 1])
    chance = rng.random(len(visit))
    place = np.empty(len(visit), np.int64)
    week = (day // WEEK).astype(np.int64)
    by_week = np.argsort(week, kind="stable")
    bounds = np.searchsorted(week[by_week], np.arange(int(week.max()) + 2))
    for n in range(len(bounds) - 1):
        some = by_week[bounds[n] : bounds[n + 1]]
        weights = items.popularity * items.weights(shop, slice(None), WEEK * (n + 0.5))
        total = np.concatenate(([0.0], np.cumsum(weights)))
        low, high = begin[some], end[some]
        empty = total[high] <= total[low]  # the group has no items in this week
        low, high = np.where(empty, 0, low), np.where(empty, shop.items, high)
        sought = total[low] + chance[some] * (total[high] - total[low])
        place[some] = np.clip(np.searchsorted(total, sought, "right") - 1, low, high - 1)
    return place


def _with_companions(
    shop: Shop, rng: np.random.Generator, items: _Items, place: Numbers, customer: Numbers, day: Floats
) -> Numbers:  # fmt: skip
    """Return the places, some of which follow the customer's previous one, in this basket or the last."""
    n = len(place)
    follows = rng.random(n) < shop.companions
    follows[1:] &= ~follows[:-1] & (customer[1:] == customer[:-1])
    follows[0] = False
    companion = np.minimum(np.roll(place, 1) + rng.integers(1, COMPANIONS + 1, n), shop.items - 1)
    follows &= items.weights(shop, companion, day) > ALIVE
    return np.where(follows, companion, place)


def _repeated(
    shop: Shop, rng: np.random.Generator, customer: Numbers, first_of_visit: Numbers
) -> Numbers:  # fmt: skip
    """Return for every draw the draw whose item it takes: its own, or one of the customer's earlier ones."""
    n = len(customer)
    had = first_of_visit - np.searchsorted(customer, customer)
    back = rng.exponential(max(4.0 * shop.basket, 12.0), n).astype(np.int64)
    back = np.where(back < had, back, (rng.random(n) * had).astype(np.int64))
    again = (rng.random(n) < shop.repeat) & (had > 0)
    source = np.where(again, first_of_visit - 1 - back, np.arange(n))
    while not np.array_equal(further := source[source], source):  # resolves repeats of repeats
        source = further
    return source
