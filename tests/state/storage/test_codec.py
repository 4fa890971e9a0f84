"""Every stored record is packed and unpacked, damaged, and given another layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from state.customers import codec as history_codec
from state.customers import event_rings, history_memory
from state.customers import histories as hs
from state.errors import CorruptRecord, UnknownLayout
from state.items import codec as item_codec
from state.items import row_layout as rl
from state.items import row_memory
from state.items import rows as rw
from state.memory.entries import decay_weight
from state.popularity import counts as pop
from state.storage import codec

KEY = b"r\x00\x00\x00\x07"
MINUTE = 25_000_000


def _history(items: int, events: int) -> hs.Histories:
    h = hs.new_histories(2)
    for n in range(items):
        hs.append(h, 1, 7 * n, n + 1, MINUTE * 60_000 + n, MINUTE * 60_000 + 2 * n, n + 1, n / 7, n % 256)
    for n in range(events):
        event_rings.seen_before(h, 1, n + 1)
    return h


def _rows(entries: int) -> rl.Rows:
    rows = rl.new_rows(2)
    for n in range(entries):
        for times in range(1 + n % 3):
            rw.add(rows, 1, n * 5, times % 2, MINUTE + n, decay_weight(MINUTE + n), 1 << 20)
    rows.heads[1, rl.DROPPED], rows.heads_f[1, rl.LOST] = 3, 0.5
    return rows


def _popularity(items: int) -> pop.Popularity:
    p = pop.new_popularity(max(items, 1) + 3)
    for n in range(items):
        pop.add_purchase(p, n, (17_000 + n % 20) * pop.DAY_MS)
        p.buyers[n], p.first_days[n], p.recent_buyers[n] = n, 17_000 * n, n / 7
        p.available[n] = n % 2
        p.repeats[n] = n // 2, n, 10**10 + n
    return p


SIZES = np.arange(2 * 19, dtype=np.uint32).reshape(2, 19)


def _pack_row(rows: rl.Rows) -> bytes:
    return item_codec.pack_rows(rows, np.array([1]), SIZES[np.newaxis], np.array([42]))[0]


def _unpack_row(rows: rl.Rows, sizes: npt.NDArray[np.uint32], raw: bytes) -> int:
    """Put a record into row 1; return its included offset."""
    of_all, included = np.zeros((2, *sizes.shape), np.uint32), np.zeros(2, np.int64)
    item_codec.unpack_rows(rows, [1], [(KEY, raw)], of_all, included)
    sizes[:] = of_all[1]
    return int(included[1])


RECORDS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "meta": (
        codec.pack_meta({"position": 7, "sources": [[0, 1, 2, 3]]}),
        lambda raw: codec.unpack_meta(KEY, raw),
    ),
    "page": (codec.pack_page(["tea", "Grüße", "日本"]), lambda raw: codec.unpack_page(KEY, raw)),
    "numbers": (codec.pack_numbers(np.arange(5, dtype=np.int32)), lambda raw: codec.unpack_numbers(KEY, raw)),
    "history": (
        history_codec.pack_history(_history(5, 9), 1, "ann", 42, ["kids"]),
        lambda raw: history_codec.unpack_history(hs.new_histories(2), 1, KEY, raw),
    ),
    "row": (
        _pack_row(_rows(20)),
        lambda raw: _unpack_row(rl.new_rows(2), np.zeros_like(SIZES), raw),
    ),
    "popularity": (
        item_codec.pack_popularity(_popularity(10), np.arange(10)),
        lambda raw: item_codec.unpack_popularity(pop.new_popularity(10), KEY, raw),
    ),
    "clock": (
        item_codec.pack_clock(_popularity(10), 42),
        lambda raw: item_codec.unpack_clock(pop.new_popularity(1), KEY, raw),
    ),
    "hidden": (
        item_codec.pack_hidden(_popularity(10), 10),
        lambda raw: item_codec.unpack_hidden(pop.new_popularity(10), KEY, raw),
    ),
    "hashes": (codec.pack_hashes(np.arange(5, dtype=np.uint64)), lambda raw: codec.unpack_hashes(KEY, raw)),
    "sent": (codec.pack_sent(7), lambda raw: codec.unpack_sent(KEY, raw)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_refused(name: str) -> None:
    raw, unpack = RECORDS[name]
    unpack(raw)
    rng = np.random.default_rng(1)
    for at in {1, 2, 3, 4, 7, 8, len(raw) - 1, *rng.integers(4, len(raw), 20).tolist()}:
        damaged = raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]
        with pytest.raises(CorruptRecord, match=r"record b'r\\x00\\x00\\x00\\x07' is damaged"):
            unpack(damaged)
    for size in (0, 7):
        with pytest.raises(CorruptRecord, match=f"has {size} bytes"):
            unpack(raw[:size])
    for size in (8, len(raw) - 1):
        with pytest.raises(CorruptRecord):
            unpack(raw[:size])


@pytest.mark.parametrize("name", RECORDS)
def test_another_layout_is_refused(name: str) -> None:
    raw, unpack = RECORDS[name]
    with pytest.raises(UnknownLayout, match="has layout 9, this program reads 8; a newer version wrote it"):
        unpack(b"\x09" + raw[1:])
    for older in (b"\x02", b"\x07"):
        with pytest.raises(UnknownLayout, match=rf"has layout {older[0]}, .* run `alsobought rebuild`"):
            unpack(older + raw[1:])


@pytest.mark.parametrize("name", RECORDS)
def test_one_kind_is_not_read_as_another(name: str) -> None:
    for other, (raw, _) in RECORDS.items():
        if other != name:
            with pytest.raises(CorruptRecord):
                RECORDS[name][1](raw)


def test_small_records_round_trip() -> None:
    meta = {"window": 50, "sources": [[0, 1, 2, 3]], "partition": 0}
    assert codec.unpack_meta(KEY, codec.pack_meta(meta)) == meta
    for page in ([], ["a"], ["", "Grüße", "日本" * 80]):
        assert codec.unpack_page(KEY, codec.pack_page(page)) == page
    for n in (0, 1, 1000):
        numbers = np.arange(n, dtype=np.int32)
        assert codec.unpack_numbers(KEY, codec.pack_numbers(numbers)).tolist() == numbers.tolist()


@pytest.mark.parametrize(("items", "events"), [(0, 0), (0, 1), (1, 0), (3, 5), (100, 128), (1000, 300)])
def test_histories_round_trip(items: int, events: int) -> None:
    h, into = _history(items, events), hs.new_histories(2)
    profiles = ["", "Grüße"] * (items % 2)
    raw = history_codec.pack_history(h, 1, "日本", 42, profiles)
    assert history_codec.history_customer(KEY, raw) == ("日本", profiles)
    assert history_codec.unpack_history(into, 1, KEY, raw) == 42
    for one, other in zip(history_memory.read(h, 1), history_memory.read(into, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(event_rings.read_ring(h, 1), event_rings.read_ring(into, 1))
    assert history_codec.pack_history(into, 1, "日本", 42, profiles) == raw
    # both remember the same from now on
    assert [event_rings.seen_before(h, 1, n) for n in range(1, 400, 7)] == [
        event_rings.seen_before(into, 1, n) for n in range(1, 400, 7)
    ]


@pytest.mark.parametrize("entries", [0, 1, 2, 7, 8, 100, 3000])
def test_rows_round_trip(entries: int) -> None:
    rows, into, sizes = _rows(entries), rl.new_rows(2), np.zeros_like(SIZES)
    raw = _pack_row(rows)
    assert _unpack_row(into, sizes, raw) == 42
    np.testing.assert_array_equal(sizes, SIZES)

    def read(of: rl.Rows) -> dict[int, tuple[float, ...]]:
        return {y: rest for y, *rest in zip(*(c.tolist() for c in row_memory.read(of, 1)), strict=True)}  # type: ignore[misc]

    assert read(into) == read(rows)
    for word in (rl.LIVE, rl.MASS, rl.DROPPED, rl.LOST, rl.RECENT_MASS):
        assert into.heads[1, word] == rows.heads[1, word]


def test_a_row_of_another_window_is_refused() -> None:
    raw = _pack_row(_rows(3))
    with pytest.raises(CorruptRecord, match="is no row of 5 size cells"):
        _unpack_row(rl.new_rows(2), np.zeros((2, 5), np.uint32), raw)


def test_a_row_of_another_length_is_refused() -> None:
    payload = codec.unframe(codec.RecordKind.ROW, KEY, _pack_row(_rows(20)))
    for changed in (payload[:-8], payload + bytes(8)):
        with pytest.raises(CorruptRecord, match="is no row of"):
            _unpack_row(rl.new_rows(2), np.zeros_like(SIZES), codec.frame(codec.RecordKind.ROW, changed))


@pytest.mark.parametrize("items", [0, 1, 7, 8, 500])
def test_popularity_round_trips(items: int) -> None:
    p, into = _popularity(items), pop.new_popularity(items + 5)
    clock, hidden = item_codec.pack_clock(p, 42), item_codec.pack_hidden(p, items)
    blocks = [item_codec.pack_popularity(p, some) for some in np.array_split(np.arange(items), 3)]
    assert item_codec.unpack_clock(into, KEY, clock) == 42
    item_codec.unpack_hidden(into, KEY, hidden)
    for raw in blocks:
        item_codec.unpack_popularity(into, KEY, raw)
    pop.count_recent(into)
    assert [item_codec.pack_popularity(into, some) for some in np.array_split(np.arange(items), 3)] == blocks
    for name in ("buyers", "recent", "days", "first_days", "recent_buyers", "repeats", "available"):
        np.testing.assert_array_equal(getattr(into, name)[:items], getattr(p, name)[:items], name)
    for total in (pop.WATERMARK_MS, pop.PURCHASES):
        assert into.totals[total] == p.totals[total]
    assert into.totals[pop.BUYERS] == p.buyers.sum()


@pytest.mark.parametrize("days", [0, 1, 5, 13, 27, 28, 40])
def test_days_that_began_since_a_block_was_stored_are_empty(days: int) -> None:
    """A block is stored only when it changes, but the window moves on."""
    p, into = _popularity(300), pop.new_popularity(300)
    raw = item_codec.pack_popularity(p, np.arange(300))
    pop.move_on(p, int(p.totals[pop.WATERMARK_MS]) + days * pop.DAY_MS)
    item_codec.unpack_clock(into, KEY, item_codec.pack_clock(p, 0))
    item_codec.unpack_popularity(into, KEY, raw)
    pop.count_recent(into)
    np.testing.assert_array_equal(into.days, p.days[:300])
    np.testing.assert_array_equal(into.recent, p.recent[:300])
    assert p.days.any() == (days < 28)
