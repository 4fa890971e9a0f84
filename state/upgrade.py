"""From layout 1 of the stores to 2, when a store is opened.

Layout 1 kept histories by the customers' numbers, and both dictionaries in pages, which only ever grew; so
a customer could be emptied, but not erased. Layout 2 keeps histories by the customers' ids and has no
numbers for them; it counts repeats, and days of four weeks instead of two. The rest differs in nothing
but its layout byte.

A crash leaves a store in between, which goes on being upgraded when it is opened again: each record is
replaced in one batch with what takes its place, what others are read with goes later, and META goes last.
A version that knows only layout 1 refuses such a store by name, as it does one of layout 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from state import codec, history_codec, item_codec
from state.codec import Kind
from state.customer_keys import HISTORY, history_key
from state.errors import CorruptRecord
from state.store import Records, Store
from state.stored_ids import StoredIds

BATCH_BYTES = 4 << 20
META, TOTALS = b"m", b"k"
_SAME = {
    b"w": Kind.NUMBERS,
    b"s": Kind.NUMBERS,
    b"r": Kind.ROW,
    b"u": Kind.PAGE,
}


def upgrade(store: Store) -> None:
    """Make a store of layout 1 one of layout 2; nothing to do for one of layout 2, or an empty one.

    Raises
    ------
    UnknownLayout, CorruptRecord
    """
    if not _is_old(store):
        return
    for prefix, kind in _SAME.items():
        _write(store, _reframed(store, prefix, kind))
    _write(store, _popularity(store))
    _write(store, _histories(store))
    _write(store, _items(store))
    customers = sum(history_codec.history_items(key, raw) > 0 for key, raw in store.scan(HISTORY))
    ids = sum(1 for _ in store.scan(b"N"))
    last: Records = [(key, None) for prefix in (b"c", b"i") for key, _ in store.scan(prefix)]
    if ids or customers:
        last.append((TOTALS, codec.pack_totals(ids, customers)))
    meta = store.get(META)
    if meta is not None:
        last.append((META, codec.pack_meta(codec.unpack_meta(META, meta))))
    store.write(last)


def _is_old(store: Store) -> bool:
    meta = store.get(META)
    if meta is not None:
        return codec.layout_of(meta) == 1
    return any(codec.layout_of(raw) == 1 for _, raw in store.scan(b""))


def _reframed(store: Store, prefix: bytes, kind: Kind) -> Iterator[Records]:
    for key, raw in store.scan(prefix):
        if codec.layout_of(raw) != codec.LAYOUT:
            yield [(key, codec.frame(kind, codec.unframe(kind, key, raw, layout=1)))]


def _popularity(store: Store) -> Iterator[Records]:
    for key, raw in store.scan(b"p"):
        if codec.layout_of(raw) != codec.LAYOUT:
            yield [(key, item_codec.upgrade_popularity(key, raw))]


def _histories(store: Store) -> Iterator[Records]:
    names = [name for key, raw in store.scan(b"c") for name in codec.unpack_page(key, raw, layout=1)]
    for key, raw in store.scan(b"h"):
        number = int.from_bytes(key[1:], "big")
        if number >= len(names):
            raise CorruptRecord(f"record {key!r} is of a customer whose id is missing")
        name = names[number]
        upgraded, items, seen = history_codec.upgrade_history(key, raw, name)
        gone = items == 0 and seen == 0  # forgotten: only the id is left
        yield [(key, None)] if gone else [(key, None), (history_key(name), upgraded)]


def _items(store: Store) -> Iterator[Records]:
    number = 0
    for key, raw in store.scan(b"i"):
        for name in codec.unpack_page(key, raw, layout=1):
            yield StoredIds.records(number, [name])
            number += 1


def _write(store: Store, replaced: Iterator[Records]) -> None:
    batch: Records = []
    n_bytes = 0
    for records in replaced:
        batch += records
        n_bytes += sum(len(key) + len(value or b"") for key, value in records)
        if n_bytes > BATCH_BYTES:
            store.write(batch)
            batch, n_bytes = [], 0
    store.write(batch)
