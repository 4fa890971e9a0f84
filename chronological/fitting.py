"""Both ways of training the network, from a log of events up to now."""

from __future__ import annotations

from typing import Any

import numpy as np

from chronological.errors import TooShort
from chronological.examples import DAY_MS, WINDOW_DAYS, Examples, Ints, Log, completing, predicting
from chronological.training import BATCH, Training

MOST_CUTOFFS = 12
LEAST_BUYERS = 3  # of an item that the network is to know
HELD_OUT_SHARE = 20  # one customer of so many, of reconstruction
RECONSTRUCTION_BATCHES = 2_500  # about so many; its loss falls on for longer


def well_known(log: Log) -> tuple[Log, Ints]:
    """Return the events of items that several customers have, with new
    numbers, and the items' old numbers.
    """
    kept = np.flatnonzero(log.buyers() >= LEAST_BUYERS)
    numbers = np.full(log.item_count, -1)
    numbers[kept] = np.arange(len(kept))
    items = numbers[log.items]
    some = items >= 0
    return Log(log.customers[some], items[some], log.times_ms[some], len(kept)), kept


def chronological(log: Log, end_ms: int, *, again: bool = False, seed: int = 0, **more: Any) -> Training:
    """Return a training on what customers bought in the two weeks after each of up to 12 cutoffs.

    The newest cutoff is held out.

    Parameters
    ----------
    end_ms
        Now: the newest cutoff is two weeks before it.
    again
        Whether the network shall also predict what is bought again.

    Raises
    ------
    TooShort
        If there are no customers who come back after two cutoffs.
    """
    log = log.before(end_ms)
    sets: list[Examples] = []
    for n in range(1, MOST_CUTOFFS + 1):
        cutoff_ms = end_ms - n * WINDOW_DAYS * DAY_MS
        if not len(log.items) or cutoff_ms <= log.times_ms[0]:
            break
        found = predicting(log, cutoff_ms, again=again)
        if len(found):
            sets.append(found)
    if len(sets) < 2:
        raise TooShort(
            "there is too little to learn from: it takes customers who have bought before and in each of the"
            f" last two periods of {WINDOW_DAYS} days. Train again when there are."
        )
    newest, *others = sets
    return Training(log.item_count, others[::-1], newest, seed=seed, **more)


def reconstruction(log: Log, end_ms: int, *, seed: int = 0, **more: Any) -> Training:
    """Return a training to reproduce histories; those of every 20th customer are held out.

    Raises
    ------
    TooShort
        If there are fewer than 20 customers.
    """
    every = completing(log.before(end_ms))
    if len(every) < HELD_OUT_SHARE:
        raise TooShort(f"there are {len(every)} customers: it takes {HELD_OUT_SHARE} or more.")
    held = np.arange(len(every)) % HELD_OUT_SHARE == HELD_OUT_SHARE - 1
    sets = [every.take(np.flatnonzero(~held))]
    epochs = -(-RECONSTRUCTION_BATCHES // -(-len(sets[0]) // BATCH))
    settings = {"most_epochs": epochs, **more}
    return Training(log.item_count, sets, every.take(np.flatnonzero(held)), seed=seed, last=False, **settings)
