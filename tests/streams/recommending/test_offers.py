"""The record of which recommendations hold an item is compared with a plain dictionary and with the topic."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from state.memory.ids import Dictionary
from streams.recommending.messages import Recommendations, Recommended, encode
from streams.recommending.offers import Offers

K = 4


def test_recommendations_with_an_item_are_found_through_changes_and_removals() -> None:
    rng = random.Random(1)
    offers, plain = Offers(Dictionary(), K), dict[bytes, list[int]]()
    for _ in range(3_000):
        key = f"c{rng.randrange(300)}".encode()
        if rng.random() < 0.3:
            offers.remove(key)
            plain.pop(key, None)
        else:
            plain[key] = rng.sample(range(40), rng.randrange(K + 1))
            offers.put(key, plain[key])
    assert len(offers) == len(plain) > 100
    for _ in range(50):
        hidden = np.zeros(rng.choice((0, 20, 40, 60)), np.bool_)
        gone = {n for n in rng.sample(range(40), 3) if n < len(hidden)}
        hidden[list(gone)] = True
        assert set(offers.holding(hidden)) == {key for key, items in plain.items() if gone & set(items)}


def message(customer: str, *items: str) -> bytes:
    return encode(
        Recommendations(
            customer_id=customer, kind="bought", as_of=1,
            items=[Recommended(item, 1.0, [], "related") for item in items],
        )
    )  # fmt: skip


def test_earlier_offers_give_way_to_newer_ones() -> None:
    items = Dictionary()
    older, offers = Offers(items, K), Offers(items, K)
    for key, value in (
        (b"a", message("a", "tea", "milk")), (b"a", message("a", "bread")), (b"b", message("b", "tea")),
        (b"c", message("c", "tea")), (b"c", None), (b"d", message("d", "tea")),
    ):  # fmt: skip
        older.read(key, value)
    offers.put(b"d", [items.number("bread")])
    offers.adopt(older)
    hidden = np.zeros(len(items), np.bool_)
    hidden[items.number("tea")] = True
    assert offers.holding(hidden) == [b"b"]
    hidden[items.number("bread")] = True
    assert set(offers.holding(hidden)) == {b"a", b"b", b"d"}
    with pytest.raises(msgspec.MsgspecError):
        older.read(b"e", b"no JSON")
