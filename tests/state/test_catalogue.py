"""Tests of the catalogue machine: it sends only changes, and is saved and loaded."""

from __future__ import annotations

import random

import numpy as np

from state.catalogue import CatalogueMachine, CatalogueSaver
from state.items.machine import ItemMachine
from state.messages.deltas import Source
from state.storage.store import MemoryStore


def test_only_changes_are_sent() -> None:
    rng = random.Random(1)
    machine, known, position = CatalogueMachine(Source(1, 0)), {f"i{n}": True for n in range(20)}, 0
    for _ in range(300):
        ids = [f"i{rng.randrange(20)}" for _ in range(rng.randrange(5))]
        flags = [rng.random() < 0.7 for _ in ids]
        position += len(ids)
        message = machine.apply(ids, np.array(flags, np.uint8), position)
        before = dict(known)
        known.update(zip(ids, flags, strict=True))
        assert machine.unavailable == {name for name, available in known.items() if not available}
        assert machine.position == position
        after = dict(before)
        if message is not None:
            assert message.end == position
            after.update(zip(message.ids, map(bool, message.available.tolist()), strict=True))
        assert after == known


def test_the_catalogue_is_saved_and_loaded() -> None:
    for gone in ([], ["tea"], ["tea", "Grüße"]):
        store, machine = MemoryStore(), CatalogueMachine(Source(1, 0))
        machine.apply(gone, np.zeros(len(gone), np.uint8), 7)
        CatalogueSaver(machine, store).save_all()
        again = CatalogueMachine(Source(1, 0))
        CatalogueSaver(again, store).load()
        assert (again.position, again.unavailable) == (7, set(gone))


def test_an_empty_store_is_an_empty_catalogue() -> None:
    machine = CatalogueMachine(Source(1, 0))
    saver = CatalogueSaver(machine, MemoryStore())
    saver.load()
    assert (saver.stored, machine.unavailable) == (0, set())


def test_a_change_that_was_not_sent_is_sent_again() -> None:
    """A message after a lost one is dropped, and is applied when its source sends both again."""
    machine, items = CatalogueMachine(Source(1, 0)), ItemMachine()
    first, second = (
        machine.apply([name], np.zeros(1, np.uint8), end) for name, end in (("tea", 4), ("milk", 9))
    )
    assert first is not None
    assert second is not None
    assert items.apply_availability(second) == 0
    assert items.apply_availability(first) == 1
    assert items.apply_availability(second) == 1
    assert items.apply_availability(first) == 0

    store = MemoryStore()
    CatalogueSaver(machine, store).save_all()
    again = CatalogueMachine(Source(1, 0))
    CatalogueSaver(again, store).load()
    assert machine.apply([], np.zeros(0, np.uint8), 12) is None
    third = again.apply(["bread"], np.zeros(1, np.uint8), 15)
    assert third is not None
    assert (third.first, third.end) == (9, 15)
    assert items.apply_availability(third) == 1
