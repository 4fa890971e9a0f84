"""Candidates and their features as the docstrings define them: plain Python, item by item."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Mapping

from state.customers.machine import Purchased
from tests.recommending.world import World, as_of

DAY_MS = 86_400_000
Values = dict[str, float]


def newest(history: list[Purchased]) -> list[Purchased]:
    return sorted(history, key=lambda b: -b.last_ms)[:120]


def weight(b: Purchased, now_ms: int) -> float:
    return math.exp(-(now_ms - b.last_ms) / (30 * DAY_MS)) + 0.001


def float32(value: float) -> float:
    """Return a value rounded as related lists keep it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def pairs_of(world: World, x: str) -> dict[str, Values]:
    """Return what is known about x and each y in its list."""
    if x not in world.lists:
        return {}
    counts, message = world.counts, world.lists[x]
    now, mass = counts.now_ms, counts.mass
    total = sum(mass.values())
    pairs = {}
    for y, together, after, recent, expected in message.entries:
        n, e, f = together, float32(expected), as_of(recent, message.as_of_ms, now)
        e_f = mass[x] * mass.get(y, 0.0) / total
        chance = message.buyers * world.lists[y].buyers / counts.customers if y in world.lists else 0.0
        pairs[y] = {
            "n": n, "e": e, "after": after, "f": f,
            "z_n": max(0.0, (n - e) / math.sqrt(e + 20)),
            "z_f": max(0.0, (f - e_f) / math.sqrt(e_f + 5)),
            "cosine": f / math.sqrt(counts.recent_buyers[x] + 0.3),
            "raw": n, "corrected": (n - e) / math.sqrt(e + 20),
            "flawed": (n - chance) / math.sqrt(chance + 20),
        }  # fmt: skip
    return pairs


WEIGHTED, UNWEIGHTED = ("n", "e", "after", "z_n", "z_f", "cosine"), ("raw", "flawed", "corrected")
COLUMNS = (*WEIGHTED, "z_f_last", *UNWEIGHTED)


def sums(world: World, history: list[Purchased]) -> dict[str, Values]:
    """Return for each candidate every column of the sums."""
    found: dict[str, Values] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0.0))
    for place, b in enumerate(newest(history)):
        q = weight(b, world.counts.now_ms)
        for y, pair in pairs_of(world, b.item_id).items():
            for name in WEIGHTED:
                found[y][name] += q * pair[name]
            for name in UNWEIGHTED:
                found[y][name] += pair[name]
            if place < 5:
                found[y]["z_f_last"] = max(found[y]["z_f_last"], pair["z_f"])
    return dict(found)


def best(values: Mapping[str, float], most: int) -> tuple[set[str], set[str]]:
    """Return the best items with positive values: those that are certainly best, and those that tie."""
    positive = {name: value for name, value in values.items() if value > 1e-12}
    least = sorted(positive.values(), reverse=True)[most - 1] if len(positive) > most else 1e-12
    return (
        {name for name, value in positive.items() if value > least * (1 + 1e-9)},
        {name for name, value in positive.items() if value >= least * (1 - 1e-9)},
    )


def by_three_orders(world: World, history: list[Purchased], fitting: set[str]) -> tuple[set[str], set[str]]:
    """Return the candidates from lists: those that must be there, and those that may be."""
    found = {y: s for y, s in sums(world, history).items() if y in fitting}
    recent = world.counts.recent[14, 0]
    directed = {y: (s["after"] + 1) / (s["e"] / 2 + 1) * math.sqrt(recent[y] + 0.5) for y, s in found.items()}
    orders = ({y: s["z_n"] for y, s in found.items()}, {y: s["z_f"] for y, s in found.items()}, directed)
    must, may = zip(*(best(values, 70) for values in orders), strict=True)
    return set.union(*must), set.union(*may)


def bestsellers(world: World, days: int) -> list[str]:
    """Return at most 120 bestsellers; ties have the order of the related lists."""
    sold = world.counts.recent[days, 0]
    available = [item for item in world.related.items if sold[item] and item not in world.gone]
    return sorted(available, key=lambda item: -sold[item])[:120]


def own(world: World, history: list[Purchased], fitting: set[str]) -> tuple[set[str], set[str]]:
    """Return the owned candidates: those that must be there, and those that may be."""
    late = {b.item_id: math.exp(-(world.counts.now_ms - b.last_ms) / (30 * DAY_MS)) for b in history}
    owned = [b for b in history if b.item_id in fitting]
    often = best({b.item_id: b.recent * late[b.item_id] for b in owned}, 100)
    days = best({b.item_id: b.days + late[b.item_id] for b in owned}, 60)
    return often[0] | days[0], often[1] | days[1]


def features(world: World, history: list[Purchased], item: str, found: dict[str, Values]) -> Values:
    """Return the features of any candidate, by name."""
    counts = world.counts
    newest_day = counts.now_ms // DAY_MS
    s = found.get(item, dict.fromkeys(COLUMNS, 0.0))
    buyers = counts.buyers[item]
    week, before = counts.recent[7, 0][item], counts.recent[21, 7][item]
    return {
        "day3": math.log(counts.recent[3, 0][item] + 0.5),
        "day14": math.log(counts.recent[14, 0][item] + 0.5),
        "buyers": math.log(counts.buyers[item] + 1),
        "age": math.log(1 + newest_day - counts.first_days[item] / buyers) if buyers else 0.0,
        "trend": math.log(week + 0.5) - math.log(before / 3 + 0.5),
        "recent": math.log(1 + s["z_f"]),
        "lift": math.log((s["n"] + 1) / (s["e"] + 1)),
        "lift_after": math.log((s["after"] + 1) / (s["e"] / 2 + 1)),
        "recent_last": math.log(1 + s["z_f_last"]),
        "cosine": math.log(s["cosine"] / math.sqrt(counts.recent_buyers.get(item, 0.0) + 0.3) + 0.03),
        "together": math.log(1 + s["z_n"]),
        "raw": math.log(1 + s["raw"]),
        "corrected": math.log(1 + max(0, s["corrected"])),
        "category": taste(world, history, item, 0),
        "brand": taste(world, history, item, 1),
        "chronological": 0.0,
    }


def taste(world: World, history: list[Purchased], item: str, column: int) -> float:
    """Return log((share of q in the group + a P) / (P + a P)), where a = 3 / sum of q."""
    group = world.groups[item][column] if item in world.groups else ""
    if not group or not history:
        return 0.0
    counts = world.counts
    share = max(counts.of_groups[column][group] / sum(counts.buyers.values()), 1e-6)
    q = {b.item_id: weight(b, counts.now_ms) for b in newest(history)}
    total = sum(q.values())
    of_customer = sum(w for y, w in q.items() if y in world.groups and world.groups[y][column] == group)
    of_customer /= total
    return math.log((of_customer + 3 / total * share) / (share + 3 / total * share))


def repeats(world: World, b: Purchased) -> Values:
    """Return the values of the repeat model, in days, for an item and a customer who has it."""
    repeaters, repeat_days, span_minutes = world.counts.repeats[b.item_id]
    buyers = world.counts.buyers[b.item_id]
    since, span = (world.counts.now_ms - b.last_ms) / DAY_MS, (b.last_ms - b.first_ms) / DAY_MS
    mean_gap = (span_minutes / 1440 + 5 * 30) / (repeat_days + 5)
    own_gap = (span + mean_gap) / b.days
    probability = (repeaters + 1) / (buyers + 10)
    t = span + (2 * abs(own_gap - since) if since < 2 * own_gap else since)
    return {
        "mean_gap": mean_gap,
        "own_gap": own_gap,
        "probability": probability,
        "due_ratio": (since + 0.5) / (own_gap + 0.5),
        "rate": (b.days - 1 + 1) / (t + mean_gap) * probability,
    }


def own_features(world: World, b: Purchased) -> Values:
    """Return the further features of an owned item."""
    since = (world.counts.now_ms - b.last_ms) / DAY_MS
    model = repeats(world, b)
    return {
        "owned": 1.0,
        "days": math.log(1 + b.days),
        "often": math.log(1 + b.recent * math.exp(-since / 30)),
        "since": math.log(1 + since),
        "gap": math.log(model["due_ratio"]),
        "due": -abs(math.log(model["due_ratio"])),
        "repeat": math.log(model["probability"]),
        "rate": math.log(model["rate"]),
    }
