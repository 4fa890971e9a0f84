"""Events for all tests: seeded ones that look like those of a shop or a cinema, and real purchases."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alsobought.sources import open_purchases
from alsobought.sources.events import messages_of
from state.customers.actions import Action
from state.customers.events import Event
from streams.messages.schema import EventMessage

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
REAL_EVENTS = 1_443_277
TYPES = {
    **dict.fromkeys((None, "purchase", "watch", "liked"), Action.PURCHASE),
    "return": Action.RETURN,
    "forget": Action.FORGET,
}

_GROUP = 8
_SEASONS = 8


def purchases(
    seed: int,
    customers: int,
    items: int,
    events: int,
    *,
    heavy: float = 0.05,
    repeats: float = 0.2,
    start_ms: int = START_MS,
    days: float = 90,
    returns: float = 0.0,
    duplicates: float = 0.0,
) -> list[EventMessage]:
    """Return `events` messages in order of time; the same arguments give the same messages.

    Items are "i0" to "i{items-1}", customers "c0" to "c{customers-1}"; not all need occur.

    - Popularity is Zipf's, exponent 1, over a ranking that is partly reshuffled eight times in the period.
    - Items go together in groups of eight: half of the purchases are from the group of the last one.
    - The share `heavy` of the customers makes half of the purchases.

    Parameters
    ----------
    repeats
        The share of purchases of items that the customer has already.
    start_ms, days
        The period; several events may share a millisecond.
    returns
        Share of messages of type return, of something the customer has, in full or in part.
    duplicates
        Share of messages that are one of the customer's last ten once more, its own time included: so with
        duplicates the times are not in order.
    """
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(start_ms, start_ms + int(days * DAY_MS), events))
    buyers = _buyers(rng, customers, events, heavy)
    popular = _popular(rng, items, events)
    groups = rng.permutation(items)  # groups[g * 8 + j] is the j-th item of group g
    place = np.argsort(groups)
    dice, kind = rng.random((2, events))
    pick = rng.random(events)
    quantities = np.minimum(rng.geometric(0.7, events), 9)

    owned: list[dict[int, int]] = [{} for _ in range(customers)]
    last: dict[int, int] = {}
    sent: list[list[EventMessage]] = [[] for _ in range(customers)]
    made = []
    for n in range(events):
        customer, quantity = int(buyers[n]), int(quantities[n])
        has = owned[customer]
        if sent[customer] and kind[n] < duplicates:
            made.append(sent[customer][int(pick[n] * len(sent[customer]))])
            continue
        returned = bool(has) and kind[n] < duplicates + returns
        if returned or (has and dice[n] < repeats):
            item = list(has)[int(pick[n] * len(has))]
        elif customer in last and dice[n] < repeats + (1 - repeats) / 2:
            group = place[last[customer]] // _GROUP * _GROUP
            item = int(groups[min(group + int(pick[n] * _GROUP), items - 1)])
        else:
            item = int(popular[n])
        if returned:
            quantity = min(quantity, has[item])
        has[item] = has.get(item, 0) + (-quantity if returned else quantity)
        if not has[item]:
            del has[item]
        last[customer] = item
        event = EventMessage(
            customer_id=f"c{customer}",
            item_id=f"i{item}",
            timestamp=int(times[n]),
            quantity=quantity,
            type="return" if returned else "purchase",
            event_id=f"e{n}",
        )
        made.append(event)
        sent[customer] = [*sent[customer][-9:], event]
    return made


def watches(
    seed: int,
    customers: int,
    items: int,
    events: int,
    *,
    start_ms: int = START_MS,
    days: float = 90,
) -> list[EventMessage]:
    """Return `events` watches in order of time. They are like purchases, but nobody watches an item again.

    Customers are "c0" ... and items "i0" ..., too. Event ids are "w0" ..., and half of the messages say their
    type. When a customer has watched all items, the next customer goes on.
    """
    if events > customers * items:
        raise ValueError(f"{customers} customers cannot watch {items} items {events} times without repeats")
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(start_ms, start_ms + int(days * DAY_MS), events))
    watchers, popular = _buyers(rng, customers, events, heavy=0.05), _popular(rng, items, events)
    seen: list[set[int]] = [set() for _ in range(customers)]
    made = []
    for n in range(events):
        customer, item = int(watchers[n]), int(popular[n])
        while len(seen[customer]) == items:
            customer = (customer + 1) % customers
        while item in seen[customer]:
            item = (item + 1) % items
        seen[customer].add(item)
        made.append(
            EventMessage(
                customer_id=f"c{customer}",
                item_id=f"i{item}",
                timestamp=int(times[n]),
                type="watch" if n % 2 else None,
                event_id=f"w{n}",
            )
        )
    return made


def as_event(message: EventMessage) -> Event:
    """Return an event as the machines and the oracle use it; the time must be in ms."""
    assert isinstance(message.timestamp, int)
    return Event(
        message.customer_id, message.item_id, message.timestamp, message.quantity, TYPES[message.type],
        message.event_id, None, message.source, message.sequence,
    )  # fmt: skip


def _buyers(rng: np.random.Generator, customers: int, events: int, heavy: float) -> npt.NDArray[np.int64]:
    """Return the customer of each event."""
    few = min(customers, max(1, round(customers * heavy))) if heavy else customers
    anybody = rng.integers(0, customers, events)
    return np.where(rng.random(events) < 0.5, rng.integers(0, few, events), anybody)


def _popular(rng: np.random.Generator, items: int, events: int) -> npt.NDArray[np.int64]:
    """Return an item for each event, drawn by a popularity that drifts."""
    weights = 1 / np.arange(1, items + 1)
    ranks = rng.choice(items, events, p=weights / weights.sum())
    ranking = rng.permutation(items)
    drawn = np.empty(events, np.int64)
    for season in np.array_split(np.arange(events), _SEASONS):
        drawn[season] = ranking[ranks[season]]
        moved = rng.choice(items, max(1, items // 10), replace=False)
        ranking[np.sort(moved)] = ranking[moved]
    return drawn


def real_slice(n: int, seed: int = 0) -> list[EventMessage]:
    """Return the first `n` purchases of complete-journey; another seed than 0 starts elsewhere in the year.

    There are 1,443,277; of these a slice has fewer than `n` only when that is more than there are.
    """
    return list(_real_slice(n, seed))


@lru_cache(maxsize=8)
def _real_slice(n: int, seed: int) -> tuple[EventMessage, ...]:
    start = int(np.random.default_rng(seed).integers(max(1, REAL_EVENTS - n))) if seed else 0
    found: list[EventMessage] = []
    for batch in open_purchases("complete-journey").batches():
        skipped = min(start, batch.num_rows)
        start -= skipped
        found += messages_of(batch.slice(skipped, n - len(found)))
        if len(found) == n:
            break
    return tuple(found)
