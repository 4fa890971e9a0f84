"""What is published during a chaos run: real purchases, with returns, erasures and second deliveries."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator

import msgspec

from streams.messages import PurchaseEvent
from tests.events import real_slice

DUPLICATES, RETURNS, FORGETS = 0.03, 0.04, 0.002
REMEMBERED = 60  # events of a customer that may be delivered again; 128 are remembered


def feed(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values without end: slices of the real year, one after the other, and what befalls them."""
    rng = random.Random(seed)
    slice_seed = seed
    while True:
        slice_seed += 1
        yield from _befallen(rng, real_slice(100_000, slice_seed), slice_seed)


def _befallen(
    rng: random.Random, purchases: list[PurchaseEvent], number: int
) -> Iterator[tuple[bytes, bytes]]:
    sent: dict[str, deque[PurchaseEvent]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for n, purchase in enumerate(purchases):
        event = msgspec.structs.replace(purchase, event_id=f"{number}-{n}")
        customer = event.customer_id
        yield _record(event)
        dice = rng.random()
        if sent[customer] and dice < DUPLICATES:
            yield _record(rng.choice(sent[customer]))
        elif sent[customer] and dice < DUPLICATES + RETURNS:
            back = msgspec.structs.replace(
                rng.choice(sent[customer]), type="return", event_id=f"{number}-{n}-back"
            )
            yield _record(back)
            sent[customer].append(back)
        elif dice > 1 - FORGETS:
            forget = PurchaseEvent(
                customer_id=customer, item_id="", timestamp=event.timestamp, type="forget",
                event_id=f"{number}-{n}-forget",
            )  # fmt: skip
            yield _record(forget)
            del sent[customer]
            continue
        sent[customer].append(event)


def _record(event: PurchaseEvent) -> tuple[bytes, bytes]:
    return event.customer_id.encode(), msgspec.json.encode(event)
