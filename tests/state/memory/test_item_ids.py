"""Items are numbered by the hashes of their ids, and the ids may come later."""

from __future__ import annotations

import random

import numpy as np

from state.memory.item_ids import ItemIds, item_hash, item_hashes


def test_any_number_of_ids_is_numbered_in_order_of_appearance() -> None:
    rng, items, expected = random.Random(1), ItemIds(), dict[str, int]()
    for _ in range(300):
        names = [f"item {int(rng.paretovariate(0.3))}" for _ in range(rng.randrange(120))]
        numbers = items.numbers(item_hashes(names))
        assert numbers.tolist() == [expected.setdefault(name, len(expected)) for name in names]
    assert len(items) == len(expected) > 2_000
    assert items.find(item_hashes(list(expected))).tolist() == list(expected.values())
    assert items.find(item_hashes(["never seen"])).tolist() == [-1]
    assert (items.hashes[: len(items)] == item_hashes(list(expected))).all()


def test_an_id_is_known_once_it_is_named() -> None:
    items = ItemIds()
    items.numbers(item_hashes(["tea", "milk", "bread"]))
    assert items.get("milk") is None
    assert items.ids([0, 1, 2]) == ["", "", ""]
    items.name(2, "bread")
    items.name(0, "tea")
    items.name(0, "tea")
    assert items.named == [2, 0]
    assert items.known[:3].tolist() == [True, False, True]
    assert (items.get("bread"), items.id(0), items.id(1)) == (2, "tea", "")
    assert items.number("milk") == 1
    assert items.named == [2, 0, 1]
    assert list(items.since(1)) == ["milk", "bread"]


def test_two_ids_of_one_hash_are_one_item_under_the_first() -> None:
    items = ItemIds()
    number = items.number("tea")
    items.name(number, "milk")
    assert (items.id(number), items.clashes, items.clash) == ("tea", 1, ("tea", "milk"))
    assert items.get("milk") is None


def test_hashes_are_those_of_the_id_alone() -> None:
    """Hashes are stored and sent in messages, so every version must have the same."""
    assert item_hash("tea") == 0xB9FBB2C10201D480
    assert item_hashes(["tea"]).dtype == np.uint64
    assert item_hash("Grüße") != item_hash("Grusse")
