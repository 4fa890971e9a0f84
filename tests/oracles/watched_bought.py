"""Watched, then bought, counted slowly from two oracles' histories."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracles.counts import DAY_MS, LANDMARK_MINUTE, TAU_MINUTES, Oracle


@dataclass
class CrossingOracle:
    """Counts every pair of each customer: X was watched, and Y was bought within `days` after."""

    watched: Oracle
    bought: Oracle
    days: int = 30

    def _paired(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """Return by customer and watched item the items that it pairs with, and when they were bought."""
        for customer, history in self.watched.histories.items():
            for x in history:
                yield (
                    x.item,
                    [
                        (y.item, y.first_ms)
                        for y in self.bought.histories.get(customer, ())
                        if x.first_ms <= y.first_ms <= x.first_ms + self.days * DAY_MS
                    ],
                )

    def pairs(self) -> Counter[tuple[str, str]]:
        """Return the number of customers by (x, y)."""
        return Counter((x, y) for x, then in self._paired() for y, _ in then)

    def decayed(self) -> dict[tuple[str, str], float]:
        """Return F by (x, y)."""
        f: dict[tuple[str, str], float] = defaultdict(float)
        for x, then in self._paired():
            for y, time_ms in then:
                f[x, y] += math.exp((time_ms // 60_000 - LANDMARK_MINUTE) / TAU_MINUTES)
        return f

    def sizes(self) -> dict[str, Counter[int]]:
        """Return for each item how many of its watchers have which opportunity."""
        sizes: dict[str, Counter[int]] = defaultdict(Counter)
        for x, then in self._paired():
            sizes[x][min(len(then), 2 * self.bought.window)] += 1
        return sizes

    def customers(self) -> int:
        """Return the customers who have watched or bought something."""
        both = (self.watched.histories, self.bought.histories)
        return len({customer for some in both for customer, history in some.items() if history})

    def watermark_ms(self) -> int:
        """Return the newest time of a purchase that brought an item into a history."""
        return self.bought.newest_gained_ms

    def gained(self) -> list[tuple[str, int]]:
        """Return items and times of the purchases that brought an item into a history that still has it."""
        return [(b.item, b.first_ms) for history in self.bought.histories.values() for b in history]

    def by_day(self) -> Counter[tuple[str, int]]:
        """Return how many of these are of an item on a day since 1970."""
        return Counter((item, t // DAY_MS) for item, t in self.gained())

    def recent(self) -> Counter[str]:
        """Return how many are in the last 14 days."""
        last = self.watermark_ms() // DAY_MS
        return Counter(item for item, t in self.gained() if last - 14 < t // DAY_MS <= last)

    def lists(self, k: int) -> dict[str, list[tuple[str, float]]]:
        """Return for each item its k best (item, score) by the default score."""
        buyers, f, sizes, recent = self.bought.buyers(), self.decayed(), self.sizes(), self.recent()
        total = sum(buyers.values())
        now = math.exp((LANDMARK_MINUTE - self.watermark_ms() // 60_000) / TAU_MINUTES)
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for (x, y), n in self.pairs().items():
            rows[x][y] = n
        lists = {}
        for x, row in rows.items():
            mass, recent_mass = sum(row.values()), sum(f[x, y] for y in row) * now
            entries = []
            for y, n in row.items():
                p = min(buyers[y] / total, 0.99)
                e = sum(c * -math.expm1(m * math.log1p(-p)) for m, c in sizes[x].items())
                e_f = e * recent_mass / mass
                z = (n - e) / math.sqrt(e + 20)
                z_f = (f[x, y] * now - e_f) / math.sqrt(e_f + 5)
                entries.append((y, (max(z, 0) / 2 + max(z_f, 0)) * math.sqrt(recent[y] + 0.5)))
            lists[x] = sorted((e for e in entries if e[1] > 0), key=lambda e: -e[1])[:k]
        return lists
