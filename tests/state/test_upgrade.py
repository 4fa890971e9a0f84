"""Stores of layout 1, kept as the program of then wrote them, are upgraded and go on counting.

In layouts/1: `events.json` and the `deltas.json` that followed from it, 700 events with returns, repeats and
forgotten customers; stores as they were after 600 of them with a sweep under way that began at 450, so that
META is of 300; and what the program of then had in the end in its full rows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from state import codec, history_codec
from state import rows as rw
from state import upgrade as upgrading
from state.catalogue import CatalogueMachine, CatalogueSaver
from state.customer_saver import CustomerSaver
from state.customers import CustomerMachine
from state.deltas import Source, Type, decode, decode_availability, message_type
from state.errors import CorruptRecord, UnknownLayout
from state.events import Event, Kind
from state.item_saver import ItemSaver
from state.items import ItemMachine
from state.saving import META, stored_position
from state.settings import CountingSettings
from state.store import MemoryStore, RocksStore, Store
from state.upgrade import upgrade
from tests.oracle import Oracle
from tests.state.machines import check_counts, check_histories

FOLDER = Path(__file__).parent / "layouts" / "1"
WINDOW = 3
SETTINGS = CountingSettings(window=WINDOW)
NAMES = ("customers", "items", "items-full", "catalogue")


def kept(name: str, into: Store | None = None) -> Store:
    """A store with the records that are kept."""
    store = MemoryStore() if into is None else into
    raw = json.loads((FOLDER / f"{name}.json").read_text())
    store.write([(bytes.fromhex(key), base64.b64decode(value)) for key, value in raw.items()])
    return store


def log() -> list[Event]:
    rows = json.loads((FOLDER / "events.json").read_text())
    return [Event(c, i, ms, quantity, Kind(kind), e) for c, i, ms, quantity, kind, e in rows]


def replay(machine: ItemMachine) -> None:
    for position, row in enumerate(json.loads((FOLDER / "deltas.json").read_text())):
        raw = base64.b64decode(row)
        if position >= machine.position and message_type(raw) == Type.COUNTS:
            machine.apply(decode(raw), position)
        elif position >= machine.position:
            machine.apply_availability(decode_availability(raw), position)


def records(store: Store) -> dict[bytes, bytes]:
    return dict(store.scan(b""))


def check_customers(store: Store, budget: int | None = None) -> None:
    """Load, go on to the log's end, and compare with the oracle."""
    machine = CustomerMachine(SETTINGS, budget_bytes=budget)
    saver = CustomerSaver(machine, store, log="topic 1")
    saver.load()
    events = log()
    machine.apply(machine.batch(events[machine.position :]))
    oracle = Oracle(WINDOW).feed(events)
    check_histories([machine], lambda _: 0, oracle, repeats=False)
    assert machine.customer_count == oracle.customers()
    forgotten = [c for c, h in oracle.histories.items() if not h and not oracle.seen[c]]
    saver.save_all()
    assert forgotten
    stored = {history_codec.history_customer(key, raw)[0] for key, raw in store.scan(b"H")}
    assert not stored & set(forgotten)
    assert codec.unpack_meta(META, store.get(META) or b"")["log"] == "topic 1"


def check_items(store: Store, budget: int | None = None) -> None:
    machine = ItemMachine(SETTINGS, budget_bytes=budget)
    ItemSaver(machine, store).load()
    replay(machine)
    # an item that only the catalogue named has no row
    check_counts([machine], lambda name: int(name == "Grüße"), Oracle(WINDOW).feed(log()), repeats=False)
    unavailable = [name for n, name in enumerate(machine.items) if not machine.tables.popularity.available[n]]
    assert sorted(unavailable) == ["Grüße", "i1"]


def check_full(store: Store, budget: int | None = None) -> None:
    machine = ItemMachine(CountingSettings(window=WINDOW, row_capacity=8), budget_bytes=budget)
    ItemSaver(machine, store).load()
    replay(machine)
    expected = json.loads((FOLDER / "items-full-expected.json").read_text())
    assert len(expected) == machine.row_count
    for row in range(machine.row_count):
        columns = zip(*(c.tolist() for c in machine.neighbours(row)), strict=True)
        entries = {machine.items.id(y): [a, b, f.hex()] for y, a, b, f in columns}
        rows = machine.tables.rows
        found = {
            "mass": int(rows.heads[row, rw.MASS]), "dropped": int(rows.heads[row, rw.DROPPED]),
            "lost": float(rows.heads_f[row, rw.LOST]).hex(), "entries": entries,
        }  # fmt: skip
        assert found == expected[machine.items.id(int(machine.tables.item_of[row]))]


def check_catalogue(store: Store, budget: int | None = None) -> None:
    machine = CatalogueMachine(Source(1, 0))
    CatalogueSaver(machine, store).load()
    assert (machine.position, machine.sent_to, machine.unavailable) == (4, 4, {"Grüße", "i1"})


CHECKS: dict[str, Callable[[Store, int | None], None]] = {
    "customers": check_customers,
    "items": check_items,
    "items-full": check_full,
    "catalogue": check_catalogue,
}


@pytest.mark.parametrize("budget", [None, 2_000])
@pytest.mark.parametrize("name", NAMES)
def test_an_old_store_goes_on_counting(name: str, budget: int | None) -> None:
    store = kept(name)
    assert {raw[0] for raw in records(store).values()} == {1}
    position = stored_position(store)
    upgrade(store)
    assert {raw[0] for raw in records(store).values()} == {2}
    assert stored_position(store) == position
    before = records(store)
    upgrade(store)  # a second time finds nothing to do
    assert records(store) == before
    CHECKS[name](store, budget)


def test_an_old_store_on_disk_is_upgraded(tmp_path: Path) -> None:
    for name in ("customers", "items"):
        store = RocksStore(tmp_path / name)
        kept(name, store)
        CHECKS[name](store, None)
        store.close()


@pytest.mark.parametrize("name", ["customers", "items"])
def test_an_old_store_of_a_first_sweep_has_no_meta(name: str) -> None:
    store = kept(name)
    store.write([(META, None)])
    CHECKS[name](store, None)


class Crash(Exception):
    pass


class Crashing(MemoryStore):
    """Fails at the n-th write."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def write(self, records: object) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1
        super().write(records)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("meta", [True, False])
def test_a_crash_in_the_middle_is_made_good(
    name: str, monkeypatch: pytest.MonkeyPatch, *, meta: bool
) -> None:
    if name == "catalogue" and not meta:
        return  # its only write has META
    monkeypatch.setattr(upgrading, "BATCH_BYTES", 0)  # a write for every record
    whole = kept(name)
    if not meta:
        whole.write([(META, None)])
    before = records(whole)
    upgrade(whole)
    crashes = 0
    while True:
        store = Crashing(1_000_000)
        store.write(list(before.items()))
        store.left = crashes
        try:
            upgrade(store)
            break
        except Crash:
            crashes += 1
        store.left = crashes // 2  # and once more on the way
        try:
            upgrade(store)
        except Crash:
            store.left = 1_000_000
            upgrade(store)
        assert records(store) == records(whole), crashes
    assert crashes >= (40 if name != "catalogue" else 1)


@pytest.mark.parametrize("name", ["customers", "items", "catalogue"])
def test_layouts_nobody_knows_are_refused_by_name(name: str) -> None:
    for key, raw in records(kept(name)).items():
        for damaged, error in (
            (b"\x03" + raw[1:], UnknownLayout),
            (raw[:-1], CorruptRecord),
            (b"", CorruptRecord),
        ):
            store = kept(name)
            store.write([(key, damaged)])
            with pytest.raises(error, match=r"record b"):
                CHECKS[name](store, None)


def test_a_history_without_its_customer_is_refused() -> None:
    store = kept("customers")
    store.write([(key, None) for key, _ in store.scan(b"c")])
    with pytest.raises(CorruptRecord, match="whose id is missing"):
        upgrade(store)
