"""The slow, obvious computation everything is compared with: plain Python over the whole log."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from state.events import Event, Kind

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

    def span_minutes(self) -> int:
        return max(self.last_ms - self.first_ms, 0) // 60_000 if self.days > 1 else 0


@dataclass
class Oracle:
    """Histories after all events, then every count from the histories alone."""

    window: int
    histories: dict[str, list[Bought]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refused: list[int] = field(default_factory=list)
    purchases: list[tuple[str, int]] = field(default_factory=list)
    gained: list[tuple[str, int]] = field(default_factory=list)  # those that brought the item into a history

    def feed(self, events: Iterable[Event]) -> Oracle:
        for number, event in enumerate(events):
            self._one(number, event)
        return self

    def _one(self, number: int, event: Event) -> None:
        history = self.histories[event.customer_id]
        if event.event_id:
            if event.event_id in self.seen[event.customer_id][-128:]:
                return
            self.seen[event.customer_id].append(event.event_id)
        if event.kind == Kind.FORGET:
            history.clear()
            self.seen[event.customer_id].clear()
            return
        bought = next((b for b in history if b.item == event.item_id), None)
        if event.kind == Kind.PURCHASE:
            self.purchases.append((event.item_id, event.time_ms))
            if bought is None:
                self.gained.append((event.item_id, event.time_ms))
                history.append(
                    Bought(
                        event.item_id, event.quantity, event.time_ms, event.time_ms, profile=event.profile_id
                    )
                )
            else:
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

    def buyers(self) -> Counter[str]:
        return Counter(b.item for history in self.histories.values() for b in history)

    def after(self) -> Counter[tuple[str, str]]:
        """(x, y): customers in whose history y comes after x, within the window."""
        counts: Counter[tuple[str, str]] = Counter()
        for history in self.histories.values():
            for i, x in enumerate(history):
                for y in history[i + 1 : i + 1 + self.window]:
                    counts[x.item, y.item] += 1
        return counts

    def decayed(self) -> dict[tuple[str, str], float]:
        """(x, y), both ways: F, a pair's time being that of the one bought later."""
        f: dict[tuple[str, str], float] = defaultdict(float)
        for history in self.histories.values():
            for i, x in enumerate(history):
                for y in history[i + 1 : i + 1 + self.window]:
                    weight = math.exp((y.first_ms // 60_000 - LANDMARK_MINUTE) / TAU_MINUTES)
                    f[x.item, y.item] += weight
                    f[y.item, x.item] += weight
        return f

    def sizes(self) -> dict[str, Counter[int]]:
        """Per item how many of its buyers have which opportunity."""
        sizes: dict[str, Counter[int]] = defaultdict(Counter)
        for history in self.histories.values():
            for i, x in enumerate(history):
                m = min(i, self.window) + min(len(history) - 1 - i, self.window)
                sizes[x.item][m] += 1
        return sizes

    def customers(self) -> int:
        return sum(1 for history in self.histories.values() if history)

    def watermark_ms(self) -> int:
        return max((t for _, t in self.purchases), default=0)

    def recent(self, days: int = 14, before: int = 0) -> Counter[str]:
        """Purchases of `days` days, the last of which is `before` days before the newest event's."""
        last = self.watermark_ms() // DAY_MS - before
        return Counter(item for item, t in self.purchases if last - days < t // DAY_MS <= last)

    def first_days(self) -> dict[str, int]:
        """The day of each item's earliest purchase."""
        first: dict[str, int] = {}
        for item, t in self.purchases:
            first[item] = min(first.get(item, t // DAY_MS), t // DAY_MS)
        return first

    def repeats(self) -> dict[str, list[int]]:
        """Per item: customers who bought it on several days, days beyond the first, minutes in between."""
        repeats: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for history in self.histories.values():
            for b in history:
                added = (b.days > 1, b.days - 1, b.span_minutes())
                repeats[b.item] = [n + more for n, more in zip(repeats[b.item], added, strict=True)]
        return repeats

    def lists(self, score: str, k: int) -> dict[str, list[tuple[str, float, float]]]:
        """Per item its k best (item, score, expected), exactly as `state.relatedness` defines them."""
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
