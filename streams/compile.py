"""Compile every kernel into numba's cache, so that no first purchase waits: `python -m streams.compile`.

Two processes compile side by side: this one the kernels of customers and of recommending, another those of
items and of messages. Then all are called once more, with what is in the cache by then.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np

import recommending.compile
import state.compile
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

APART = "items"


def exercise() -> int:
    """Run a small load through every kernel; returns how many lists it comes to."""
    customers, items = CustomerMachine(SETTINGS), ItemMachine(SETTINGS)
    for deltas in customers.apply(customers.batch(EVENTS)).deltas[0]:
        items.apply(decode(encode(deltas)))
    lists = _exercise_messages(items)
    recommending.compile.exercise(customers, items)
    state.compile.exercise()
    return lists


def _exercise_messages(items: ItemMachine) -> int:
    """Write the lists and the popularity of a machine, and read the lists; returns how many they are."""
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


def _exercise_apart() -> None:
    state.compile.exercise_items()
    _exercise_messages(ItemMachine(SETTINGS))


def main() -> None:
    """Compile in two processes, and then see that nothing is missing."""
    if sys.argv[1:] == [APART]:
        _exercise_apart()
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
