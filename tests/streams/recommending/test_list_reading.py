"""Lists that are read by the kernel give the same related lists as if each had been decoded."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommending.id_table import IdTable, find
from recommending.related_lists import RelatedLists, landmark_weight
from state.items.row_layout import MASS
from state.memory.arrays import address_of
from state.memory.ids import Dictionary
from state.settings import CountingSettings
from streams.messages.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.messages.schema import RelatedItem, RelatedItems, decode_related, encode
from streams.recommending.list_reading import ListReader
from tests.recommending.test_related_lists import contents
from tests.state.machines import Run, shop

NOW_MS = 1_700_000_000_000
ODD = [
    "Grüße",
    "日本",
    'say "hi"',
    "back\\slash",
    "line\nbreak",
    "a/b",
    "x" * 200,
    "é" * 60,
    "",
    "7",
    "12345678",
]

Contents = dict[str, Any]


def message(name: str, others: int, version: int) -> RelatedItems:
    """Return a list of an item."""
    rng = random.Random(f"{name} {version}")
    names = [f"y{n}" for n in range(50)] + ODD
    related = [
        RelatedItem(
            other,
            9.0 - n / 10,
            rng.randrange(1, 99),
            1,
            rng.random() * 10.0 ** rng.randrange(-9, 9),
            rng.random(),
        )
        for n, other in enumerate(rng.sample(names, others))
    ]
    return RelatedItems(
        name, "bought", NOW_MS + version, version, rng.randrange(99), 99, rng.random(), related
    )


def put_one_by_one(messages: list[RelatedItems]) -> Contents:
    """Return the contents of related lists that took in every message by itself."""
    related = RelatedLists(20)
    for m in messages:
        related.put(m.item_id, m.related, buyers=m.buyers, recent_mass=m.recent_mass, as_of_ms=m.as_of)
    return contents(related)


def take(related: RelatedLists, values: list[bytes]) -> None:
    """Let the related lists take in records."""
    reader = ListReader(related)
    with related.lock:
        reader.take([(b"", value) for value in values])


def same(found: Contents, expected: Contents) -> None:
    """Check that two views are the same; items without a list are empty in both."""
    empty: tuple[int, float, list[Any]] = (0, 0.0, [])
    for name in found.keys() | expected.keys():
        mine, theirs = found.get(name, empty), expected.get(name, empty)
        assert mine[0] == theirs[0]
        assert mine[1] == pytest.approx(theirs[1], rel=1e-14)
        assert [e[:3] for e in mine[2]] == [e[:3] for e in theirs[2]], name
        for one, other in zip(mine[2], theirs[2], strict=True):
            assert one[3:] == pytest.approx(other[3:], rel=1e-12)


def counting_unusual(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Count the messages that the kernel leaves to msgspec, from now on."""
    left: list[bytes] = []
    take_unusual = ListReader._take_unusual

    def noting(self: ListReader, value: bytes) -> None:
        left.append(value)
        take_unusual(self, value)

    monkeypatch.setattr(ListReader, "_take_unusual", noting)
    return left


def test_messages_of_workers_are_read_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    left = counting_unusual(monkeypatch)
    machine = Run.over(shop(8, 3_000, 80, 160), CountingSettings(window=10, list_length=20)).items[0]
    lists = machine.rank(np.arange(machine.row_count), exact=True)
    ids = JsonIds(machine.items)
    ids.update()
    which = np.flatnonzero(lists.length)
    room = HEAD_BYTES + ids.longest + lists.length[which] * (ENTRY_BYTES + ids.longest)
    out, ends = np.zeros(int(room.sum()), np.uint8), np.empty(len(which), np.int64)
    tables = machine.tables
    write_lists(
        out, ends, which, lists, tables.item_of, tables.rows.heads, MASS, machine.watermark_ms,
        machine.position, np.frombuffer(b'"bought"', np.uint8).copy(), ids.blob, ids.starts, ids.ends,
    )  # fmt: skip
    raw = out.tobytes()
    values = [raw[a:b] for a, b in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
    related = RelatedLists(20)
    take(related, values)
    assert left == []
    assert len(values) > 80
    same(contents(related), put_one_by_one([decode_related(value) for value in values]))


def test_the_newest_of_each_item_stays() -> None:
    messages = [message(f"x{n % 30}", n % 25, n) for n in range(300)]
    related = RelatedLists(20)
    take(related, [encode(m) for m in messages])
    same(contents(related), put_one_by_one(messages))


def test_tombstones_come_in_their_turn() -> None:
    related = RelatedLists(20)
    reader = ListReader(related)
    first, second = message("x", 5, 1), message("x", 9, 2)
    with related.lock:
        reader.take(
            [(b"x", encode(first)), (b"x", None), (b"z", encode(message("z", 5, 1))), (b"\xff", None)]
        )
    assert contents(related)["x"] == (0, 0.0, [])
    with related.lock:
        reader.take([(b"z", None), (b"x", encode(second))])
    same(contents(related), put_one_by_one([second]))


def test_any_order_of_fields_is_read_and_other_messages_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    related = RelatedLists(20)
    m = message("x", 5, 1)
    whole = encode(m)
    turned = msgspec.json.encode(dict(reversed(msgspec.json.decode(whole).items())))
    odd = [
        b"", b"{", b"[]", b'{"item_id":"x"}', b'{"item_id":"x","related":[7]}', whole[:-1], whole + b"}",
        whole.replace(b'"together":', b'"together":-'), whole.replace(b'"after":1', b'"after":4294967296'),
        whole.replace(b'"x"', b'"\xff"'), whole[: whole.index(b"[") + 1] + b"7]}",
    ]  # fmt: skip
    take(related, [turned, *odd])
    same(contents(related), put_one_by_one([m]))
    assert len(caplog.records) == len(odd)


@pytest.mark.parametrize("field", ["recent", "expected"])
def test_what_32_bits_cannot_hold_is_refused(field: str, caplog: pytest.LogCaptureFixture) -> None:
    """Such a list may be of a year so long ago that its sums as of the landmark are small all the same."""
    related = RelatedLists(20)
    m = message("x", 5, 1)
    value = msgspec.json.decode(encode(m)) | {"as_of": 0}
    value["related"][2][field] = 1e40
    take(related, [encode(m), msgspec.json.encode(value)])
    same(contents(related), put_one_by_one([m]))
    assert len(caplog.records) == 1
    value["related"][2][field] = 1e30
    take(related, [msgspec.json.encode(value)])
    assert len(caplog.records) == 1
    assert np.isfinite(related.arrays.recent).all()
    assert related.arrays.to_landmark[related.items.number("x")] == landmark_weight(0)


def test_a_list_longer_than_the_view_is_cut() -> None:
    related = RelatedLists(20)
    take(related, [encode(message("x", 40, 1))])
    same(contents(related), put_one_by_one([message("x", 40, 1)]))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.floats(min_value=0, max_value=1e100, allow_nan=False, allow_infinity=False), st.integers(0, 2**32 - 1)
)
def test_any_number_is_read_as_json_says(real: float, count: int) -> None:
    m = RelatedItems(
        "x",
        "bought",
        NOW_MS,
        1,
        count,
        1,
        real,
        [RelatedItem("y", real, count, 0, min(real, 1e30), min(real, 1e30))],
    )
    related = RelatedLists(20)
    take(related, [encode(m)])
    same(contents(related), put_one_by_one([m]))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=40), unique=True, max_size=60), st.lists(st.text(max_size=9), max_size=9))
def test_ids_are_found_by_their_bytes(names: list[str], others: list[str]) -> None:
    items = Dictionary()
    table = IdTable(items)
    for name in names:
        items.number(name)
        if items.number(name) % 7 == 0:
            table.up_to_date()
    arrays = table.up_to_date()
    for name in (*names, *others):
        raw = np.frombuffer(name.encode() + b"more of it", np.uint8).copy()
        assert find(arrays, address_of(raw), len(name.encode())) == (items.get(name) if name in names else -1)


def test_many_ids() -> None:
    items = Dictionary()
    table = IdTable(items)
    for n in range(50_000):
        items.number(str(n * 7919))
        if n % 1_111 == 0:
            table.up_to_date()
    arrays = table.up_to_date()
    assert 2 * len(items) <= len(arrays.slots)
    for n in range(0, 50_000, 37):
        raw = np.frombuffer(str(n * 7919).encode() + bytes(8), np.uint8).copy()
        assert find(arrays, address_of(raw), len(str(n * 7919))) == n
