"""Lists that wait: what comes is decoded when it is needed, and the newest of each item alone."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from state.recommending.list_view import ListView
from streams.messages import RelatedItem, RelatedItems, encode
from streams.recommending.pending import PendingLists
from tests.state.recommending.test_list_view import contents

NOW_MS = 1_700_000_000_000


def message(name: str, others: int, version: int) -> RelatedItems:
    """The list of an item as a worker publishes it."""
    rng = random.Random(f"{name} {version}")
    related = [
        RelatedItem(f"y{n}", 9.0 - n, rng.randrange(1, 99), 1, rng.random(), rng.random())
        for n in rng.sample(range(50), others)
    ]
    return RelatedItems(name, "bought", NOW_MS, version, rng.randrange(1, 99), 99, rng.random(), related)


def whole(messages: list[RelatedItems]) -> dict[str, Any]:
    """The contents of a view that took in every message at once."""
    view = ListView(20)
    for m in messages:
        view.put(
            m.item_id, m.related, buyers=m.buyers, recent_mass=m.recent_mass, as_of_ms=m.as_of
        )  # fmt: skip
    return contents(view)


def known(view: ListView, names: set[str]) -> dict[str, Any]:
    """Contents, of lists alone."""
    return {name: told for name, told in contents(view).items() if name in names}


def test_what_is_decoded_later_is_what_was_published_last() -> None:
    view = ListView(20)
    pending = PendingLists(view)
    messages = [message(f"x{n % 30}", 1 + n % 25, n) for n in range(200)]
    with view.lock:
        for m in messages:
            pending.take(m.item_id.encode(), encode(m))
    assert len(pending) == 30
    names = {m.item_id for m in messages}
    numbers = np.array([view.items.number(name) for name in sorted(names)[:10]] + [-1], np.int32)
    with view.lock:
        view.bring_in(numbers)
        assert len(pending) == 20
        assert pending.decode_some(7) == 7
        assert pending.decode_some(1_000) == 13
    assert (len(pending), pending.n_bytes) == (0, 0)
    expected = whole(messages)
    assert known(view, names) == {name: expected[name] for name in names}


def test_the_head_is_known_at_once() -> None:
    view = ListView(20)
    pending = PendingLists(view)
    m = message("x", 5, 1)
    with view.lock:
        pending.take(b"x", encode(m))
    number = view.items.number("x")
    assert view.arrays.buyers[number] == m.buyers
    assert view.arrays.recent_mass[number] > 0
    assert view.arrays.length[number] == 0


def test_a_tombstone_takes_back_what_waits_and_what_was_decoded() -> None:
    view = ListView(20)
    pending = PendingLists(view)
    with view.lock:
        for name in ("x", "z"):
            pending.take(name.encode(), encode(message(name, 5, 1)))
        pending.bring_in(np.array([view.items.number("z")], np.int32))
        for name in ("x", "z"):
            pending.take(name.encode(), None)
    assert (len(pending), pending.n_bytes) == (0, 0)
    assert known(view, {"x", "z"}) == {"x": (0, 0.0, []), "z": (0, 0.0, [])}
    assert view.arrays.total[0] == pytest.approx(0.0, abs=1e-9)


def test_what_waits_is_bounded() -> None:
    view = ListView(20)
    pending = PendingLists(view, most_bytes=3_000)
    messages = [message(f"x{n}", 15, n) for n in range(60)]
    with view.lock:
        for m in messages:
            pending.take(m.item_id.encode(), encode(m))
            assert pending.n_bytes <= 3_000
        assert 0 < len(pending) < 60
        pending.decode_some(60)
    assert known(view, {m.item_id for m in messages}) == {
        name: told for name, told in whole(messages).items() if name.startswith("x")
    }


def test_any_order_of_fields_is_read_and_what_is_no_list_changes_nothing() -> None:
    view = ListView(20)
    pending = PendingLists(view)
    m = message("x", 5, 1)
    turned = dict(reversed(msgspec.json.decode(encode(m)).items()))
    with view.lock:
        pending.take(b"x", msgspec.json.encode(turned))
        for odd in (b"{", b"[]", b'{"item_id":"x"}', b'{"item_id":"x","related":[7]}'):
            with pytest.raises(msgspec.MsgspecError):
                pending.take(b"x", odd)
        pending.decode_some(9)
    before = known(view, {"x"})
    assert before == {"x": whole([m])["x"]}
    odd = encode(m).replace(b'"together":', b'"together":-')
    with view.lock:
        pending.take(b"x", odd)
        pending.take(b"z", encode(m)[: encode(m).index(b'"related"')] + b'"related":[7]}')
        pending.decode_some(9)
    assert known(view, {"x"})["x"][2] == before["x"][2]  # the entries are those of before
