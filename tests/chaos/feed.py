"""The events of a chaos run: real purchases and watches, with the irregularities that occur in practice.

These are returns, erasures, second deliveries, and second publications of a source.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator

import msgspec

from streams.kinds import BOUGHT, EventKind
from streams.messages.schema import EventMessage
from tests.events import DAY_MS, real_slice, watches

DUPLICATES, RETURNS, FORGETS = 0.03, 0.04, 0.002
SLICE = 100_000
REPUBLISHED, AGAIN = 0.002, 150  # how often a source is published again, and which share of it
REMEMBERED = 60  # events of a customer that may be delivered again; 128 are remembered


def feed(seed: int, kind: EventKind) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of purchases or watches without end, slice after slice.

    Purchases are slices of the real year; watches are made, of the same customers, items and weeks.
    """
    rng = random.Random(seed)
    slice_seed = seed
    while True:
        slice_seed += 1
        some = real_slice(SLICE, slice_seed) if kind is BOUGHT else _watches(slice_seed)
        yield from befallen(rng, some, slice_seed)


def _watches(slice_seed: int) -> list[EventMessage]:
    """Return watches for a slice of purchases, such that enough customers have both."""
    bought = real_slice(SLICE, slice_seed)
    start_ms, end_ms = (int(bought[at].timestamp) for at in (0, -1))
    customers = list(dict.fromkeys(event.customer_id for event in bought))[:900]
    items = list(dict.fromkeys(event.item_id for event in bought))[:1_500]
    made = watches(
        slice_seed, len(customers), len(items), 20_000, start_ms=start_ms, days=(end_ms - start_ms) / DAY_MS
    )
    return [
        msgspec.structs.replace(
            event, customer_id=customers[int(event.customer_id[1:])], item_id=items[int(event.item_id[1:])]
        )
        for event in made
    ]


def befallen(rng: random.Random, events: list[EventMessage], number: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield events as records, with returns, erasures, second deliveries and second publications."""
    sent: dict[str, deque[EventMessage]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    of_source: deque[EventMessage] = deque(maxlen=AGAIN)
    for n, plain in enumerate(events):
        if n % 3:
            event = msgspec.structs.replace(plain, event_id=f"{number}-{n}")
        else:
            event = msgspec.structs.replace(plain, event_id=None, source=f"slice-{number}", sequence=n)
            of_source.append(event)
            if rng.random() < REPUBLISHED:
                yield from map(_record, of_source)
        customer = event.customer_id
        yield _record(event)
        dice = rng.random()
        if sent[customer] and dice < DUPLICATES:
            yield _record(rng.choice(sent[customer]))
        elif sent[customer] and dice < DUPLICATES + RETURNS:
            back = msgspec.structs.replace(
                rng.choice(sent[customer]), type="return", event_id=f"{number}-{n}-back", source=None,
                sequence=None,
            )  # fmt: skip
            yield _record(back)
            sent[customer].append(back)
        elif dice > 1 - FORGETS:
            forget = EventMessage(
                customer_id=customer, item_id="", timestamp=event.timestamp, type="forget",
                event_id=f"{number}-{n}-forget",
            )  # fmt: skip
            yield _record(forget)
            del sent[customer]
            continue
        sent[customer].append(event)


def _record(event: EventMessage) -> tuple[bytes, bytes]:
    return event.customer_id.encode(), msgspec.json.encode(event)
