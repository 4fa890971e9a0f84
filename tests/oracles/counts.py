"""The slow, obvious computation that all counts are compared with: plain Python over the whole log."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

from state.customers.actions import Action
from state.customers.events import Event
from state.popularity.bestsellers import EVERYTHING, Bestseller, BestsellerList

LANDMARK_MINUTE = 26_297_280
TAU_MINUTES = 30 * 24 * 60
DAY_MS = 86_400_000


@dataclass
class Bought:
    item: str
    quantity: int
    first_ms: int
    last_ms: int
    days: int = 1
    recent: float = 1.0
    profile: str | None = None
    times_ms: list[int] = field(default_factory=list)  # over all its purchases

    def span_minutes(self) -> int:
        return max(self.last_ms - self.first_ms, 0) // 60_000 if self.days > 1 else 0


@dataclass
class Oracle:
    """The histories after all events, and every count, computed from the histories alone."""

    window: int
    histories: dict[str, list[Bought]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refused: list[int] = field(default_factory=list)
    most_a_day: int = 0
    limited: list[int] = field(default_factory=list)
    days: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # of purchases in a row
    partition_of: Callable[[str], int] = lambda _customer_id: 0
    # the highest sequence, by partition and source
    highest: dict[tuple[int, str], int] = field(default_factory=dict)
    fed: int = 0
    newest_ms: int = 0  # the newest time of all purchases, also of those taken back
    newest_gained_ms: int = 0  # the newest time of purchases that brought an item into a history

    def feed(self, events: Iterable[Event]) -> Oracle:
        for number, event in enumerate(events):
            self._one(number, event)
            self.fed += 1
        return self

    def _published_before(self, event: Event) -> bool:
        if event.source is None or event.sequence is None:
            return False
        key = self.partition_of(event.customer_id), event.source
        before = event.sequence <= self.highest.get(key, -1)
        self.highest[key] = max(event.sequence, self.highest.get(key, -1))
        return before

    def _is_limited(self, event: Event) -> bool:
        """Return whether the customer's last `most_a_day` counted purchases are of the day of this one."""
        days, day = self.days[event.customer_id], event.time_ms // DAY_MS
        if self.most_a_day and days[-self.most_a_day :] == [day] * self.most_a_day:
            return True
        days.append(day)
        return False

    def _one(self, number: int, event: Event) -> None:
        if self._published_before(event):
            return
        history = self.histories[event.customer_id]
        if event.event_id:
            if event.event_id in self.seen[event.customer_id][-128:]:
                return
            self.seen[event.customer_id].append(event.event_id)
        if event.action == Action.FORGET:
            history.clear()
            self.seen[event.customer_id].clear()
            self.days[event.customer_id].clear()
            return
        if event.action == Action.PURCHASE and self._is_limited(event):
            self.limited.append(number)
            return
        bought = next((b for b in history if b.item == event.item_id), None)
        if event.action == Action.PURCHASE:
            self.newest_ms = max(self.newest_ms, event.time_ms)
            if bought is None:
                self.newest_gained_ms = max(self.newest_gained_ms, event.time_ms)
                history.append(
                    Bought(
                        event.item_id, event.quantity, event.time_ms, event.time_ms,
                        profile=event.profile_id, times_ms=[event.time_ms],
                    )
                )  # fmt: skip
            else:
                bought.times_ms.append(event.time_ms)
                bought.quantity += event.quantity
                bought.days += event.time_ms // DAY_MS != bought.last_ms // DAY_MS
                decay = math.exp(-abs(event.time_ms - bought.last_ms) / (30 * DAY_MS))
                bought.recent = (
                    bought.recent * decay + 1 if event.time_ms >= bought.last_ms else bought.recent + decay
                )
                bought.last_ms = max(bought.last_ms, event.time_ms)
                bought.profile = event.profile_id
        elif bought is None or bought.quantity < event.quantity:
            self.refused.append(number)
        elif bought.quantity > event.quantity:
            bought.quantity -= event.quantity
        else:
            history.remove(bought)
            if not history:
                self.days[event.customer_id].clear()

    def buyers(self) -> Counter[str]:
        return Counter(b.item for history in self.histories.values() for b in history)

    def after(self) -> Counter[tuple[str, str]]:
        """Return by (x, y) the number of customers in whose history y comes after x, within the window."""
        counts: Counter[tuple[str, str]] = Counter()
        for history in self.histories.values():
            for i, x in enumerate(history):
                for y in history[i + 1 : i + 1 + self.window]:
                    counts[x.item, y.item] += 1
        return counts

    def decayed(self) -> dict[tuple[str, str], float]:
        """Return F by (x, y), both ways; a pair has the time of the item that was bought later."""
        f: dict[tuple[str, str], float] = defaultdict(float)
        for history in self.histories.values():
            for i, x in enumerate(history):
                for y in history[i + 1 : i + 1 + self.window]:
                    weight = math.exp((y.first_ms // 60_000 - LANDMARK_MINUTE) / TAU_MINUTES)
                    f[x.item, y.item] += weight
                    f[y.item, x.item] += weight
        return f

    def sizes(self) -> dict[str, Counter[int]]:
        """Return for each item how many of its buyers have which opportunity."""
        sizes: dict[str, Counter[int]] = defaultdict(Counter)
        for history in self.histories.values():
            for i, x in enumerate(history):
                m = min(i, self.window) + min(len(history) - 1 - i, self.window)
                sizes[x.item][m] += 1
        return sizes

    def customers(self) -> int:
        return sum(1 for history in self.histories.values() if history)

    def watermark_ms(self) -> int:
        return self.newest_ms

    def purchases(self) -> list[tuple[str, int]]:
        """Return items and times of all purchases of the items that customers have."""
        return [(b.item, t) for history in self.histories.values() for b in history for t in b.times_ms]

    def by_day(self) -> Counter[tuple[str, int]]:
        """Return how many of these are of an item on a day since 1970."""
        return Counter((item, t // DAY_MS) for item, t in self.purchases())

    def recent(self, days: int = 14, before: int = 0) -> Counter[str]:
        """Return how many are in `days` days, the last one `before` days before the newest event's day."""
        last = self.watermark_ms() // DAY_MS - before
        return Counter(item for item, t in self.purchases() if last - days < t // DAY_MS <= last)

    def first_days(self) -> Counter[str]:
        """Return the sum, over an item's buyers, of the days on which they first bought it."""
        first: Counter[str] = Counter()
        for history in self.histories.values():
            for b in history:
                first[b.item] += b.times_ms[0] // DAY_MS
        return first

    def recent_buyers(self) -> dict[str, float]:
        """Return for each item its buyers, each weighted by the age of the day of the first purchase."""
        recent: dict[str, float] = defaultdict(float)
        for history in self.histories.values():
            for b in history:
                minute = b.times_ms[0] // DAY_MS * (DAY_MS // 60_000)
                recent[b.item] += math.exp((minute - LANDMARK_MINUTE) / TAU_MINUTES)
        return recent

    def sellers(self, gone: Set[str] = frozenset()) -> dict[BestsellerList, list[Bestseller]]:
        """Return bestsellers and trending items of all categories, without unavailable items."""
        return sellers(self.purchases(), self.watermark_ms(), gone, lambda _item: EVERYTHING, 100)

    def repeats(self) -> dict[str, list[int]]:
        """Return by item the customers who bought it on several days, further days, and minutes between."""
        repeats: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for history in self.histories.values():
            for b in history:
                added = (b.days > 1, b.days - 1, b.span_minutes())
                repeats[b.item] = [n + more for n, more in zip(repeats[b.item], added, strict=True)]
        return repeats

    def lists(self, score: str, k: int) -> dict[str, list[tuple[str, float, float]]]:
        """Return for each item its k best (item, score, expected), as `state.relatedness` defines them."""
        buyers, after, f, sizes = self.buyers(), self.after(), self.decayed(), self.sizes()
        total, customers, recent = sum(buyers.values()), self.customers(), self.recent()
        now = math.exp((LANDMARK_MINUTE - self.watermark_ms() // 60_000) / TAU_MINUTES)
        together: dict[str, Counter[str]] = defaultdict(Counter)
        for (x, y), n in after.items():
            together[x][y] += n
            together[y][x] += n
        lists = {}
        for x, row in together.items():
            mass = sum(row.values())
            recent_mass = sum(f[x, y] for y in row) * now
            entries = []
            for y, n in row.items():
                p = min(buyers[y] / total, 0.99)
                e = sum(c * -math.expm1(m * math.log1p(-p)) for m, c in sizes[x].items())
                chance = buyers[x] * buyers[y] / customers
                e_f = e * recent_mass / mass
                z = (n - e) / math.sqrt(e + 20)
                z_f = (f[x, y] * now - e_f) / math.sqrt(e_f + 5)
                g = 2 * (n * math.log(n / e) - (n - e))
                value = {
                    "mix": (max(z, 0) / 2 + max(z_f, 0)) * math.sqrt(recent[y] + 0.5),
                    "corrected": z,
                    "raw": n,
                    "flawed": (n - chance) / math.sqrt(chance + 20),
                    "difference": n - e,
                    "g": g if n > e else -g,
                }[score]
                if value > 0:
                    entries.append((y, value, chance if score == "flawed" else e))
            lists[x] = sorted(entries, key=lambda entry: -entry[1])[:k]
        return lists


def sellers(
    purchases: list[tuple[str, int]], newest_ms: int, gone: Set[str],
    category_of: Callable[[str], int], most: int,
) -> dict[BestsellerList, list[Bestseller]]:  # fmt: skip
    """Return the lists of `state.popularity.bestsellers`, from items and times of purchases."""
    newest = newest_ms // DAY_MS
    age = Counter((item, newest - t // DAY_MS) for item, t in purchases)

    def sold(item: str, first: int, last: int) -> int:
        return sum(age[item, days] for days in range(first, last))

    lists: dict[BestsellerList, list[Bestseller]] = {}
    for item in sorted({item for item, _ in purchases} - gone):
        n, usual = sold(item, 0, 14), sold(item, 7, 28) / 3
        rise = (sold(item, 0, 7) - usual) / math.sqrt(usual + 1)
        for category in {EVERYTHING, category_of(item)}:
            if n > 0:
                lists.setdefault(BestsellerList(category, False), []).append(Bestseller(item, n))
            if rise > 0:
                lists.setdefault(BestsellerList(category, True), []).append(Bestseller(item, n, rise))
    # they are ordered by id already, and sorting keeps the order of equals
    for board, of_board in lists.items():
        of_board.sort(key=lambda s: -(s.rise or 0) if board.trending else -s.purchases)
        del of_board[most:]
    return lists
