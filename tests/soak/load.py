"""The load of a soak: a shop of which everything stays the same, and rubbish.

Customers, items and what they buy together do not change, so that after a while nothing has a reason to grow:
neither memory nor stores. Event time passes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from streams.kinds import BOUGHT, EventKind
from tests.chaos.feed import befallen
from tests.events import START_MS, purchases, watches

CUSTOMERS, ITEMS = 400, 300
SLICE = 20_000
DAYS = 3.0  # of event time in a slice: an hour at 150 a second is 81 days
RUBBISH = 0.02
Records = Iterator[tuple[bytes, bytes]]


def load(seed: int, kind: EventKind) -> Records:
    """Yield keys and values of purchases or watches without end."""
    rng, number = random.Random(seed), seed
    while True:
        start_ms = START_MS + int((number - seed) * DAYS * 86_400_000)
        number += 1
        made = purchases if kind is BOUGHT else watches
        yield from befallen(rng, made(number, CUSTOMERS, ITEMS, SLICE, start_ms=start_ms, days=DAYS), number)


def with_rubbish(seed: int, records: Records) -> Records:
    """Yield records, and beside them some that are damaged, huge or nothing of the kind."""
    rng = random.Random(seed)
    for key, value in records:
        yield key, value
        if rng.random() < RUBBISH:
            at = rng.randrange(len(value))
            yield key, rng.choice((
                value[:at], value[:at] + b"\xff" + value[at + 1 :], b"", b"[" * 5_000, rng.randbytes(200),
                b'{"customer_id":"' + b"x" * 100_000 + b'"}', value.replace(b'"item_id"', b'"item"'),
            ))  # fmt: skip
