"""Compile every kernel into numba's cache, so that no first purchase waits: `python -m streams.compile`.

Two processes compile side by side: this one the kernels of customers and of recommending, another those of
items and of messages. Then all are called once more, with what is in the cache.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np

import recommending.compile
import state.compile
from recommending.related_lists import RelatedLists
from state.compile import EVENTS, SETTINGS, START_MS, counting_compilations
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.items.row_layout import MASS
from state.messages import deltas as dl
from streams.messages.event_parsing import parse_events
from streams.messages.lists_json import ENTRY_BYTES, HEAD_BYTES, JsonIds, write_lists
from streams.messages.popularity_json import popularity_records
from streams.messages.record_batches import frame, packed, parts_of, successive
from streams.messages.schema import RelatedItem, RelatedItems, encode
from streams.recommending.list_reading import ListReader

APART = "items"
ONE_LIST = encode(
    RelatedItems("tea", "bought", START_MS, 1, 1, 1, 1.0, [RelatedItem("milk", 1.0, 1, 1, 1.0, 0.1)])
)


def exercise() -> int:
    """Run a small load through every kernel; return how many lists it makes."""
    customers, items = CustomerMachine(SETTINGS), ItemMachine(SETTINGS)
    for deltas in customers.apply(customers.batch(EVENTS)).deltas[0]:
        items.apply(dl.decode(dl.encode(deltas)))
    lists = _read(_write(items))
    recommending.compile.exercise(customers, items)
    state.compile.exercise()
    return lists


def _write(items: ItemMachine) -> list[bytes]:
    """Write the lists and the popularity of a machine; return the lists."""
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
    raw = out.tobytes()
    return [raw[start:end] for start, end in zip([0, *ends.tolist()], ends.tolist(), strict=False)]


def _read(lists: list[bytes]) -> int:
    """Read events, and lists; return how many lists they are."""
    parse_events(parts_of([b"ann"]), parts_of([b"{}"]))
    related = RelatedLists(SETTINGS.list_length)
    with related.lock:
        ListReader(related).take([(b"", raw) for raw in lists])
    return int(np.count_nonzero(related.arrays.length))


def main() -> None:
    """Compile in two processes, then check that nothing is missing."""
    if sys.argv[1:] == [APART]:
        _write(state.compile.exercise_items())
        _read([ONE_LIST])
        return
    with counting_compilations() as compiled:
        apart = subprocess.Popen([sys.executable, "-m", "streams.compile", APART])
        customers = state.compile.exercise_customers()
        recommending.compile.exercise(customers, ItemMachine(SETTINGS))
        if status := apart.wait():
            raise subprocess.CalledProcessError(status, apart.args)
        mine = compiled.count
        lists = exercise()
    print(f"compiled: {mine} here, {compiled.count - mine} that neither process had; {lists} lists")


if __name__ == "__main__":
    main()
