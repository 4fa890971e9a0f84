"""Compile the kernels that write and read messages: `python -m streams.compile`, after `state.compile`."""

from __future__ import annotations

import numpy as np

from recommending.list_view import ListView
from state.compile import EVENTS, SETTINGS, counting_compilations
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.items.rows import MASS
from state.messages.deltas import decode, encode
from streams.messages.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.messages.popularity_json import popularity_records
from streams.messages.record_batches import frame, packed, successive
from streams.recommending.list_reading import ListReader


def exercise() -> int:
    """Write the lists and the popularity of a small load, and read the lists; returns how many they are."""
    customers, items = CustomerMachine(SETTINGS), ItemMachine(SETTINGS)
    for deltas in customers.apply(customers.batch(EVENTS)).deltas[0]:
        items.apply(decode(encode(deltas)))
    rows, _ = items.fresh(len(EVENTS))
    lists = items.rank_fresh(rows)
    which = items.mark_published(lists)
    ids, kind = JsonIds(items.items), np.frombuffer(b'"bought"', np.uint8).copy()
    ids.update()
    out = np.empty(int((HEAD_BYTES + lists.length[which] * (ENTRY_BYTES + ids.longest)).sum()), np.uint8)
    ends = np.empty(len(which), np.int64)
    write_lists(
        out, ends, which, lists, items.tables.item_of, items.tables.rows.heads, MASS, items.watermark_ms,
        items.position, kind, ids.blob, ids.starts, ids.ends,
    )  # fmt: skip
    keys = ids.plain(items.tables.item_of[lists.row[which]].astype(np.int64))
    frame(keys, successive(out, ends), lists.length[which] == 0)
    packed(popularity_records(items, rows, JsonIds(items.items), kind))
    view, raw = ListView(SETTINGS.list_length), out.tobytes()
    with view.lock:
        ListReader(view).take(
            [(b"", raw[start:end]) for start, end in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
        )
    return int(np.count_nonzero(view.arrays.length))


def main() -> None:
    """Do it."""
    with counting_compilations() as compiled:
        lists = exercise()
    print(f"compiled: {compiled.count} of messages; {lists} lists")


if __name__ == "__main__":
    main()
