"""Logs in which sources were published more than once. A helper of the tests in this folder."""

from __future__ import annotations

import random
from dataclasses import replace

from state.customers.events import Event

NAMES = ("2026-11.csv", "till", "Grüße")


def published(rng: random.Random, events: list[Event]) -> list[Event]:
    """Return events of three sources, or of none; the sources are interleaved, and then come again.

    Second publications are complete or interrupted, and may run beside the first.
    """
    of: dict[str | None, list[Event]] = {name: [] for name in (*NAMES, None)}
    for event in events:
        name = rng.choice((*NAMES, None))
        sequence = None if name is None else 3 * len(of[name])
        of[name].append(replace(event, source=name, sequence=sequence))
    waiting = [of[None], *(of[name] for name in NAMES)]
    waiting += [of[name][: rng.randrange(len(of[name]) + 1)] for name in NAMES]
    waiting += [of[name] for name in NAMES if rng.random() < 0.7]
    log: list[Event] = []
    under_way = [(one, 0) for one in waiting[:4]]
    waiting = waiting[4:]
    while under_way:
        if waiting and rng.random() < 0.01:
            under_way.append((waiting.pop(), 0))
        at = rng.randrange(len(under_way))
        one, done = under_way.pop(at)
        n = rng.randrange(1, 60)
        log += one[done : done + n]
        if done + n < len(one):
            under_way.append((one, done + n))
        elif waiting:
            under_way.append((waiting.pop(), 0))
    return log


def first_deliveries(log: list[Event]) -> list[Event]:
    """Return what counts of a log: each event of a source where it first occurs, as if it had no source."""
    met: set[tuple[str, int]] = set()
    kept = []
    for event in log:
        if event.source is not None and event.sequence is not None:
            if (event.source, event.sequence) in met:
                continue
            met.add((event.source, event.sequence))
        kept.append(replace(event, source=None, sequence=None))
    return kept
