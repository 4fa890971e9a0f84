"""What is published during a chaos run: real purchases, and watches, with what befalls them.

That is returns, erasures and second deliveries.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator

import msgspec

from streams.kinds import BOUGHT, EventKind
from streams.messages import EventMessage
from tests.events import real_slice, watches

DUPLICATES, RETURNS, FORGETS = 0.03, 0.04, 0.002
REMEMBERED = 60  # events of a customer that may be delivered again; 128 are remembered


def feed(seed: int, kind: EventKind) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of purchases or watches without end, one slice after the other.

    Purchases are slices of the real year; watches are made, and of other customers and items.
    """
    rng = random.Random(seed)
    slice_seed = seed
    while True:
        slice_seed += 1
        some = real_slice(100_000, slice_seed) if kind is BOUGHT else watches(slice_seed, 900, 1_500, 20_000)
        yield from _befallen(rng, some, slice_seed)


def _befallen(rng: random.Random, events: list[EventMessage], number: int) -> Iterator[tuple[bytes, bytes]]:
    sent: dict[str, deque[EventMessage]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for n, plain in enumerate(events):
        event = msgspec.structs.replace(plain, event_id=f"{number}-{n}")
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
